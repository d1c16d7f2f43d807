"""A host application whose names collide with those of API Devices."""
