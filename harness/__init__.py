"""Real servers, databases and proxies for tests and benchmarks."""
