"""Benchmarks of API Devices. Run ``python -m benchmarks --help``."""
