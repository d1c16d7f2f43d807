"""A running server for the browser tests, and the devices that call it."""

import json
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote

from harness.real_server import RealServer
from tests.conftest import DEVICE, DEVICES, UPLOADS, as_device

ANN = "ann@example.org"
BOB = "bob@example.org"  # for tests that sign out, which ends all sessions of the account
PASSWORD = "correct horse battery"

LIST = "/settings/api-devices"
TOKENS = "/settings/api-tokens"
OVERVIEW = f"{LIST}/overview"
STORAGE = f"{LIST}/storage"
LOG = "/settings/audit-log"
ACCOUNT = "/settings/account"

SCOPES = ("devices:read", "devices:write")


@dataclass(frozen=True)
class Device:
    """A registered device."""

    id: int
    identifier: str

    @property
    def element(self) -> str:
        """The selector of its row in the list and of its page."""
        return f"#device-{self.id}"

    @property
    def path(self) -> str:
        return f"{LIST}/{self.id}"


class Site:
    """A server with two accounts, and an API token for devices and the management API."""

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
        """Call the API as a device and return the response status."""
        headers = as_device(token or self.token, identifier, **details)
        # http.client encodes headers as Latin-1. Decoding UTF-8 as Latin-1 sends UTF-8 bytes.
        sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        return self.server.call("GET", DEVICE, sent).status

    def upload(self, identifier: str) -> None:
        headers = as_device(self.token, identifier) | {"Content-Type": "application/json"}
        assert self.server.call("POST", UPLOADS, headers, b"{}").status == 201

    def device(self, identifier: str = "", *, name: str = "", **details: str) -> Device:
        """Register a device, by default with a unique identifier."""
        identifier = identifier or f"phone-{next(self._numbers)}"
        assert self.call(identifier, **details) == 200
        [found] = self.manage("GET", f"{DEVICES}?name={quote(identifier)}")["devices"]
        device = Device(int(found["id"]), identifier)
        if name:
            self.manage("PATCH", f"{DEVICES}/{device.id}", {"name": name})
        return device

    def devices(self) -> list[dict[str, Any]]:
        """Return the first page of the device list from the API."""
        listed: list[dict[str, Any]] = self.manage("GET", DEVICES)["devices"]
        return listed

    def state(self, device: Device) -> dict[str, Any]:
        """Return a device from the API."""
        stored: dict[str, Any] = self.manage("GET", f"{DEVICES}/{device.id}")
        return stored

    def block(self, device: Device, reason: str = "Lost") -> None:
        self.manage("POST", f"{DEVICES}/{device.id}/block", {"reason": reason})

    def manage(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        payload = None if body is None else json.dumps(body).encode()
        response = self.server.call(method, path, headers, payload)
        assert response.status == 200, response.body
        return response.json
