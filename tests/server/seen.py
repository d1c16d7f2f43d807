"""What an administrator's program sees of a real server."""

from typing import Any

from harness.real_server import RealServer
from tests.conftest import DEVICES, as_device


def devices(server: RealServer, token: str, name: str) -> list[dict[str, Any]]:
    """Return all devices that have this in their name or identifier."""
    found: list[dict[str, Any]] = []
    following = f"{DEVICES}?name={name}"
    while following:
        page = server.call("GET", following, as_device(token, None)).json
        found += page["devices"]
        following = (page["next"] or "").removeprefix(server.url)
    return found


def history(server: RealServer, token: str, identifier: str) -> list[dict[str, Any]]:
    [device] = devices(server, token, identifier)
    path = f"{DEVICES}/{device['id']}/history"
    entries: list[dict[str, Any]] = server.call("GET", path, as_device(token, None)).json["history"]
    return entries
