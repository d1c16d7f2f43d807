"""A host application whose layout and theme the admin pages adopt."""
