"""The real server, in processes of its own."""

import pytest

from harness.real_server import RealServer


@pytest.fixture(scope="session")
def token(server: RealServer) -> str:
    """A token of the server that is shared, for devices and for looking at them."""
    return server.create_token("test", "devices:read", "devices:write")
