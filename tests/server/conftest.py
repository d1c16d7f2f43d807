"""Fixtures for tests against the real server."""

import pytest

from harness.real_server import RealServer


@pytest.fixture(scope="session")
def token(server: RealServer) -> str:
    """A token of the shared server, for device requests and the management API."""
    return server.create_token("test", "devices:read", "devices:write")
