"""An application that is in the way."""
