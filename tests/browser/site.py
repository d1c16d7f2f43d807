"""A running server that a browser visits, and the devices that call it meanwhile."""

import json
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote

from harness.real_server import RealServer
from tests.conftest import DEVICE, DEVICES, UPLOADS, as_device

ANN = "ann@example.org"
BOB = "bob@example.org"  # who signs out: that ends all sessions of an account
PASSWORD = "correct horse battery"

LIST = "/settings/api-devices"
TOKENS = "/settings/api-tokens"
ACCOUNT = "/settings/account"

SCOPES = ("devices:read", "devices:write")


@dataclass(frozen=True)
class Device:
    """A device that has called, as the list knows it."""

    id: int
    identifier: str

    @property
    def element(self) -> str:
        """The selector of its row in the list, or of its details."""
        return f"#device-{self.id}"

    @property
    def path(self) -> str:
        return f"{LIST}/{self.id}"


class Site:
    """A server with an account, and with a token that devices and administrators call with."""

    def __init__(self, server: RealServer) -> None:
        self.server = server
        self.create_account(ANN)
        self.create_account(BOB)
        self.token = server.create_token("box office", *SCOPES)
        self._numbers = count(1)

    def create_account(self, email: str) -> None:
        created = self.server.flask(
            "apidevices", "create-user", email, "--password-stdin", stdin=f"{PASSWORD}\n"
        )
        assert created.returncode == 0, created.stderr

    def call(self, identifier: str, *, token: str | None = None, **details: str) -> int:
        """Call the API as a device and return the status."""
        headers = as_device(token or self.token, identifier, **details)
        # HTTP libraries refuse more than Latin-1 in a header: text goes percent-encoded.
        named = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        return self.server.call("GET", DEVICE, named).status

    def upload(self, identifier: str) -> None:
        headers = as_device(self.token, identifier) | {"Content-Type": "application/json"}
        assert self.server.call("POST", UPLOADS, headers, b"{}").status == 201

    def device(self, identifier: str = "", *, name: str = "", **details: str) -> Device:
        """Register a device of its own for a test."""
        identifier = identifier or f"phone-{next(self._numbers)}"
        assert self.call(identifier, **details) == 200
        [found] = self.manage("GET", f"{DEVICES}?name={quote(identifier)}")["devices"]
        device = Device(int(found["id"]), identifier)
        if name:
            self.manage("PATCH", f"{DEVICES}/{device.id}", {"name": name})
        return device

    def devices(self) -> list[dict[str, Any]]:
        """Return the first page of the list, through the API."""
        listed: list[dict[str, Any]] = self.manage("GET", DEVICES)["devices"]
        return listed

    def state(self, device: Device) -> dict[str, Any]:
        """Return what the server has stored of a device."""
        stored: dict[str, Any] = self.manage("GET", f"{DEVICES}/{device.id}")
        return stored

    def block(self, device: Device, reason: str = "Lost") -> None:
        self.manage("POST", f"{DEVICES}/{device.id}/block", {"reason": reason})

    def manage(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        answer = self.server.call(method, path, headers, sent)
        assert answer.status == 200, answer.body
        return answer.json
