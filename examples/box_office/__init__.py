"""A box office, to learn from."""
