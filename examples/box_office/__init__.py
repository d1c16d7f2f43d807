"""An example of a host application: a box office."""
