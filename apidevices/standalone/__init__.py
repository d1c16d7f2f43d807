"""The parts of the standalone application: accounts, client API, health checks, server, demo."""
