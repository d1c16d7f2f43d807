"""A box office, as an example of a host application."""
