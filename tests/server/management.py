"""Reads devices and history from a real server through the management API."""

from typing import Any

from harness.real_server import RealServer
from tests.conftest import DEVICES, as_device


def devices(server: RealServer, token: str, name: str) -> list[dict[str, Any]]:
    """Return all devices whose name or identifier contains ``name``."""
    found: list[dict[str, Any]] = []
    next_path = f"{DEVICES}?name={name}"
    while next_path:
        page = server.call("GET", next_path, as_device(token, None)).json
        found += page["devices"]
        next_path = (page["next"] or "").removeprefix(server.url)
    return found


def history(server: RealServer, token: str, identifier: str) -> list[dict[str, Any]]:
    [device] = devices(server, token, identifier)
    path = f"{DEVICES}/{device['id']}/history"
    entries: list[dict[str, Any]] = server.call("GET", path, as_device(token, None)).json["history"]
    return entries
