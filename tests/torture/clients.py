"""The load: clients that speak for devices, and an administrator; both keep the ledger.

A client is sequential and owns its devices, so what is stored of them is what was acknowledged
last, or what was asked for since. Each value is sent as new only once: whatever was cut off and
done late can't pass for a later change.
"""

import http.client
import json
import random
import threading
import time
from abc import ABC, abstractmethod

from apidevices.identity import DETAILS
from harness.real_server import Answer, RealServer
from tests.conftest import DEVICE, DEVICES, UPLOADS, as_device
from tests.torture.ledger import DeviceRecord, Ledger, Promise, Span

LIVE_DEVICES = 6
"""Devices that a client speaks for at a time; older ones have fallen silent."""

PAUSE = 0.05
"""Seconds that a client waits after a failure."""


class Client(ABC, threading.Thread):
    """Makes one request after the other until it is told that it is enough."""

    def __init__(self, server: RealServer, token: str, ledger: Ledger, seed: str) -> None:
        super().__init__(name=seed)
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._token = token
        self._ledger = ledger
        self._random = random.Random(seed)  # noqa: S311 - load, no secret
        self._enough = threading.Event()
        self._made = 0

    def run(self) -> None:
        """Go on until ``finish``; whatever goes wrong here ends up in the ledger."""
        try:
            while not self._enough.is_set():
                self._step()
        except Exception as error:
            self._ledger.complain(f"{self.name} gave up: {error!r}")
        finally:
            self._connection.close()

    def finish(self) -> None:
        """Tell it that the request that it is making is its last."""
        self._enough.set()

    @abstractmethod
    def _step(self) -> None:
        """Make a request."""

    def _new(self, kind: str) -> str:
        """Return a text that nobody has said before."""
        self._made += 1
        return f"{kind}-{self.name}-{self._made:06}"

    def _request(
        self, method: str, path: str, headers: dict[str, str], body: object = None
    ) -> Answer | None:
        """Make a request; return None where nothing can be known from what came back."""
        if self._random.random() < 0.2:
            self._connection.close()  # the next request opens it anew
        content = None if body is None else json.dumps(body)
        if content is not None:
            headers = {**headers, "Content-Type": "application/json"}
        started = time.time()
        try:
            self._connection.request(method, path, content, headers)
            answer = Answer.read(self._connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._failed(type(error).__name__, started)
            return None
        if answer.status == 503:
            if "Retry-After" not in answer.headers:
                self._wrong("503 without Retry-After", answer)
            self._failed("503", started)
            return None  # the commit may be what failed, after it was done
        self._ledger.answered(str(answer.status), started)
        return answer

    def _failed(self, how: str, started: float) -> None:
        self._ledger.answered(how, started)
        self._enough.wait(PAUSE)

    def _wrong(self, what: str, answer: Answer) -> None:
        self._ledger.complain(f"{self.name}: {what}: {answer.status} {answer.body[:300]!r}")


class Fleet(Client):
    """Speaks for devices: registers them, and lets them call, change and upload."""

    def __init__(self, server: RealServer, token: str, ledger: Ledger, seed: str) -> None:
        super().__init__(server, token, ledger, seed)
        self._live: list[DeviceRecord] = []

    def _step(self) -> None:
        if len(self._live) < LIVE_DEVICES or self._random.random() < 0.08:
            self._register()
        device = self._random.choice(self._live)
        if self._random.random() < 0.3:
            self._change(device)
        self._call(device, upload=self._random.random() < 0.25)

    def _register(self) -> None:
        device = DeviceRecord(self._new("device"), says={})
        self._change(device)
        self._ledger.devices.append(device)
        self._live = [*self._live, device][-LIVE_DEVICES:]

    def _change(self, device: DeviceRecord) -> None:
        for field in self._random.sample(DETAILS, self._random.randint(1, 3)):
            device.says = {**device.says, field: self._new(field)}

    def _call(self, device: DeviceRecord, *, upload: bool) -> None:
        said, details_before, gate = device.says, device.details, device.blocked
        if device.details.kept != said:
            device.details = device.details.asked(said)
        headers = as_device(self._token, device.identifier, **said)
        body = {"text": self._new("upload")}
        started = time.time()
        if upload:
            answer = self._request("POST", UPLOADS, headers, body)
        else:
            answer = self._request("GET", DEVICE, headers)
        if answer is None:
            return
        stood = gate.certain and gate is device.blocked
        if answer.status == 403 and answer.json["code"] == "device_blocked":
            device.details = details_before
            if stood and not gate.kept:
                self._wrong(f"{device.identifier} is not blocked", answer)
        elif answer.status == (201 if upload else 200):
            if stood and gate.kept:
                self._wrong(f"{device.identifier} was blocked", answer)
            device.calls.append(Span(started, time.time()))
            self._acknowledge(device, said)
            if upload:
                device.uploads[answer.json["id"]] = json.dumps(body)
                self._ledger.acknowledge("uploads")
            else:
                device.id = answer.json["id"]
                if any(answer.json[field] != value for field, value in said.items()):
                    self._wrong(f"{device.identifier} said {said}", answer)
        else:
            self._wrong(f"{device.identifier}", answer)

    def _acknowledge(self, device: DeviceRecord, said: dict[str, str]) -> None:
        known = device.details.kept
        if known != said:
            self._ledger.acknowledge("registrations" if known is None else "changes")
        else:
            self._ledger.acknowledge("calls with nothing new", written=False)
        device.details = Promise(said)
        device.reported |= set(said.items())


class Administrator(Client):
    """Renames, blocks and unblocks through the management API; asks again until it is answered."""

    def _step(self) -> None:
        known = [device for device in self._ledger.devices[-60:] if device.id is not None]
        if not known:
            self._enough.wait(PAUSE)
            return
        device = self._random.choice(known)
        if self._random.random() < 0.4:
            self._rename(device)
        elif device.blocked.kept:
            self._block(device, False)
        elif self._random.random() < 0.5:
            self._block(device, True)

    def _rename(self, device: DeviceRecord) -> None:
        name = self._new("name")
        device.name = device.name.asked(name)
        if answer := self._insist(device, "renames", "PATCH", "", {"name": name}):
            device.name = Promise(name)
            if answer.json["name"] != name:
                self._wrong(f"{device.identifier} was named {name}", answer)

    def _block(self, device: DeviceRecord, blocked: bool) -> None:
        device.blocked = device.blocked.asked(blocked)
        action = "block" if blocked else "unblock"
        if answer := self._insist(device, f"{action}s", "POST", f"/{action}"):
            device.blocked = Promise(blocked)
            if (answer.json["status"] == "blocked") != blocked:
                self._wrong(f"{device.identifier} after {action}", answer)

    def _insist(
        self, device: DeviceRecord, operation: str, method: str, path: str, body: object = None
    ) -> Answer | None:
        device.asked[operation] += 1
        while not self._enough.is_set():
            headers = as_device(self._token, None)
            answer = self._request(method, f"{DEVICES}/{device.id}{path}", headers, body)
            if answer is None:
                continue
            if answer.status != 200:
                self._wrong(f"{operation} of {device.identifier}", answer)
                return None
            device.done[operation] += 1
            self._ledger.acknowledge(operation)
            return answer
        return None
