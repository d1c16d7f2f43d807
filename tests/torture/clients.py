"""The load: clients that simulate devices, and an administrator. Both keep the ledger.

Each client makes one request at a time and owns its devices. The stored state of a device is
therefore the last acknowledged state, or one that was requested later. Clients never reuse a value,
so that the late effect of a request without a response can't be mistaken for a later change.
"""

import http.client
import json
import random
import threading
import time
from abc import ABC, abstractmethod

from apidevices.identity import DETAILS
from harness.real_server import RealServer, Response
from tests.conftest import DEVICE, DEVICES, UPLOADS, VERIFY, as_device
from tests.torture.ledger import DeviceRecord, Expected, Ledger, Span

ACTIVE_DEVICES = 6
"""Devices per client that make requests at a time; older devices become inactive."""

PAUSE = 0.05
"""Seconds that a client waits after a failed request."""


class Client(ABC, threading.Thread):
    """Makes one request after another until it is stopped."""

    def __init__(self, server: RealServer, token: str, ledger: Ledger, seed: str) -> None:
        super().__init__(name=seed)
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._token = token
        self._ledger = ledger
        self._rng = random.Random(seed)  # noqa: S311 - not cryptographic
        self._stop_requested = threading.Event()
        self._created = 0

    def run(self) -> None:
        """Make requests until ``request_stop``; record any unexpected error in the ledger."""
        try:
            while not self._stop_requested.is_set():
                self._step()
        except Exception as error:
            self._ledger.record_wrong_response(f"{self.name} crashed: {error!r}")
        finally:
            self._connection.close()

    def request_stop(self) -> None:
        """Stop after the current request."""
        self._stop_requested.set()

    @abstractmethod
    def _step(self) -> None:
        """Make a request."""

    def _unique(self, kind: str) -> str:
        """Return a text that no client has used before."""
        self._created += 1
        return f"{kind}-{self.name}-{self._created:06}"

    def _request(
        self, method: str, path: str, headers: dict[str, str], body: object = None
    ) -> Response | None:
        """Make a request. Return its response, or None if the outcome is unknown."""
        if self._rng.random() < 0.2:
            self._connection.close()  # the next request reconnects
        content = None if body is None else json.dumps(body)
        if content is not None:
            headers = {**headers, "Content-Type": "application/json"}
        started = time.time()
        try:
            self._connection.request(method, path, content, headers)
            response = Response.read(self._connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._record_failure(type(error).__name__, started)
            return None
        if response.status == 503:
            if "Retry-After" not in response.headers:
                self._record_wrong("503 without Retry-After", response)
            self._record_failure("503", started)
            return None  # the connection may have failed after the commit
        self._ledger.record_response(str(response.status), started)
        return response

    def _record_failure(self, outcome: str, started: float) -> None:
        self._ledger.record_response(outcome, started)
        self._stop_requested.wait(PAUSE)

    def _record_wrong(self, description: str, response: Response) -> None:
        self._ledger.record_wrong_response(
            f"{self.name}: {description}: {response.status} {response.body[:300]!r}"
        )


class DeviceClient(Client):
    """Simulates devices: registers them, calls the API, changes their details and uploads."""

    def __init__(self, server: RealServer, token: str, ledger: Ledger, seed: str) -> None:
        super().__init__(server, token, ledger, seed)
        self._active: list[DeviceRecord] = []

    def _step(self) -> None:
        if len(self._active) < ACTIVE_DEVICES or self._rng.random() < 0.08:
            self._add_device()
        device = self._rng.choice(self._active)
        if self._rng.random() < 0.3:
            self._change_details(device)
        self._call(device, upload=self._rng.random() < 0.25)

    def _add_device(self) -> None:
        device = DeviceRecord(self._unique("device"), current_details={})
        self._change_details(device)
        self._ledger.devices.append(device)
        self._active = [*self._active, device][-ACTIVE_DEVICES:]

    def _change_details(self, device: DeviceRecord) -> None:
        for field in self._rng.sample(DETAILS, self._rng.randint(1, 3)):
            device.current_details = {**device.current_details, field: self._unique(field)}

    def _call(self, device: DeviceRecord, *, upload: bool) -> None:
        reported = device.current_details
        details_before, blocked_before = device.details, device.blocked
        if device.details.acknowledged != reported:
            device.details = device.details.request(reported)
        headers = as_device(self._token, device.identifier, **reported)
        body = {"text": self._unique("upload")}
        started = time.time()
        at_gate = not upload and device.id is not None and self._rng.random() < 0.5
        if upload:
            response = self._request("POST", UPLOADS, headers, body)
        else:
            response = self._request("GET", VERIFY if at_gate else DEVICE, headers)
        if response is None:
            return
        # True if the administrator did not block or unblock the device during the request.
        block_certain = blocked_before.certain and blocked_before is device.blocked
        if response.status == 403 and response.json["code"] == "device_blocked":
            device.details = details_before
            if block_certain and not blocked_before.acknowledged:
                self._record_wrong(f"{device.identifier} is not blocked", response)
        elif response.status == (201 if upload else 200):
            if block_certain and blocked_before.acknowledged:
                self._record_wrong(f"{device.identifier} is blocked", response)
            device.calls.append(Span(started, time.time()))
            self._acknowledge_details(device, reported)
            if upload:
                device.uploads[response.json["id"]] = json.dumps(body)
                self._ledger.record_acknowledged("uploads")
            elif not at_gate:
                device.id = response.json["id"]
                if any(response.json[field] != value for field, value in reported.items()):
                    self._record_wrong(f"{device.identifier} reported {reported}", response)
        else:
            self._record_wrong(f"{device.identifier}", response)

    def _acknowledge_details(self, device: DeviceRecord, reported: dict[str, str]) -> None:
        acknowledged = device.details.acknowledged
        if acknowledged is None:
            self._ledger.record_acknowledged("registrations")
        elif acknowledged != reported:
            self._ledger.record_acknowledged("changes")
        else:
            self._ledger.record_acknowledged("requests without changes", written=False)
        device.details = Expected(reported)
        device.acknowledged_values |= set(reported.items())


class AdministratorClient(Client):
    """Renames, blocks and unblocks devices, repeating each until it is done, and archives some."""

    def _step(self) -> None:
        devices = [device for device in self._ledger.devices[-60:] if device.id is not None]
        if not devices:
            self._stop_requested.wait(PAUSE)
            return
        device = self._rng.choice(devices)
        if self._rng.random() < 0.2:
            self._archive(devices[-20:])
        elif self._rng.random() < 0.4:
            self._rename(device)
        elif device.blocked.acknowledged:
            self._set_blocked(device, False)
        elif self._rng.random() < 0.5:
            self._set_blocked(device, True)

    def _rename(self, device: DeviceRecord) -> None:
        name = self._unique("name")
        device.name = device.name.request(name)
        if response := self._retry(device, "renames", "PATCH", "", {"name": name}):
            device.name = Expected(name)
            if response.json["name"] != name:
                self._record_wrong(f"{device.identifier} was renamed to {name}", response)

    def _set_blocked(self, device: DeviceRecord, blocked: bool) -> None:
        device.blocked = device.blocked.request(blocked)
        action = "block" if blocked else "unblock"
        if response := self._retry(device, f"{action}s", "POST", f"/{action}"):
            device.blocked = Expected(blocked)
            if (response.json["status"] == "blocked") != blocked:
                self._record_wrong(f"{action} of {device.identifier}", response)

    def _archive(self, devices: list[DeviceRecord]) -> None:
        """Archive devices, some of which bring themselves back in the meantime."""
        headers, body = as_device(self._token, None), {"ids": [each.id for each in devices]}
        response = self._request("POST", f"{DEVICES}/archive", headers, body)
        if response is not None and response.status != 200:
            self._record_wrong("archive", response)
        elif response is not None:
            self._ledger.record_acknowledged("archives")

    def _retry(
        self, device: DeviceRecord, operation: str, method: str, path: str, body: object = None
    ) -> Response | None:
        """Repeat a request until it gets a response. Return None if stopped or unsuccessful."""
        device.requested[operation] += 1
        while not self._stop_requested.is_set():
            headers = as_device(self._token, None)
            response = self._request(method, f"{DEVICES}/{device.id}{path}", headers, body)
            if response is None:
                continue
            if response.status != 200:
                self._record_wrong(f"{operation} of {device.identifier}", response)
                return None
            device.acknowledged[operation] += 1
            self._ledger.record_acknowledged(operation)
            return response
        return None
