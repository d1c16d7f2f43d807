"""What API Devices costs, measured: ``python -m benchmarks --help``."""
