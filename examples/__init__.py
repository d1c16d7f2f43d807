"""Applications with API Devices in them."""
