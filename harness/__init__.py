"""Real servers, databases and proxies for tests and benchmarks to run against."""
