"""Example applications that use API Devices."""
