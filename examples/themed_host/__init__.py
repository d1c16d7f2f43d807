"""A host whose look the admin pages take over."""
