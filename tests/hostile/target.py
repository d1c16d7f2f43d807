"""The server under attack, and its administrator."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

from apidevices import clock
from apidevices.config import Settings
from apidevices.database import Database, engine_for
from apidevices.models import DeviceDay, DeviceDenials
from apidevices.standalone.settings import ServerSettings
from harness.real_server import RealServer
from tests.conftest import DEVICES, as_device
from tests.hostile.tally import Tally
from tests.hostile.wire import Answer, Wire

EMAIL = "ann@example.org"
PASSWORD = "violet-anvil-93-mosquito"

THREADS = 8
"""Clients that attack at the same time."""

T = TypeVar("T")

_SETTINGS = {f"APIDEVICES_{name.upper()}" for name in Settings.model_fields}
_SETTINGS |= {name.upper() for name in ServerSettings.model_fields}

_SECRET = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


@dataclass(frozen=True)
class Target:
    """A running server.

    ``token`` has no scopes, like the tokens of devices; ``manager`` has those of the management
    API. ``database`` is the URL of the server's database.
    """

    server: RealServer
    tally: Tally
    token: str
    manager: str
    database: str

    @property
    def port(self) -> int:
        return self.server.port

    def wire(self) -> Wire:
        """Return a connection, which counts nothing."""
        return Wire(self.port)

    def as_device(self, identifier: str, **details: str) -> list[tuple[str, str]]:
        """Return the headers of a device's request."""
        return list(as_device(self.token, identifier, **details).items())

    def as_manager(self) -> list[tuple[str, str]]:
        """Return the headers of a request to the management API."""
        return [("Authorization", f"Bearer {self.manager}"), ("Content-Type", "application/json")]

    def manage(self, wire: Wire, method: str, path: str, body: object = None) -> Answer | None:
        """Make a request to the management API, and count it."""
        payload = "" if body is None else json.dumps(body)
        answer = wire.ask(method, path, self.as_manager(), payload)
        self.tally.record(answer, (method, path, payload[:200]))
        return answer

    def register(self, identifier: str, **details: str) -> dict[str, Any]:
        """Register a device and return it as JSON."""
        with self.wire() as wire:
            answer = wire.ask("GET", "/api/v1/device", self.as_device(identifier, **details))
        assert answer is not None
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found

    def add_counts(self, device_id: int) -> None:
        """Store daily counts of a device. The server would write them within a minute."""
        db, now = Database(engine_for(self.database)), clock.now()
        key = {"device_id": device_id, "day": now.date()}
        days = db.insert(DeviceDay).values(**key, requests=2, uploads=1)
        denials = db.insert(DeviceDenials).values(**key, denied=1, first_at=now, last_at=now)
        with db.write() as session:
            session.execute(days.on_conflict_do_nothing())
            session.execute(denials.on_conflict_do_nothing())
        db.engine.dispose()

    def device(self, device_id: int) -> dict[str, Any]:
        """Return a device as the management API shows it."""
        with self.wire() as wire:
            answer = wire.ask("GET", f"{DEVICES}/{device_id}", self.as_manager())
        assert answer is not None
        found: dict[str, Any] = answer.json
        return found

    def set_blocked(self, device_id: int, *, blocked: bool) -> int:
        """Block or unblock a device and return the status of the response."""
        with self.wire() as wire:
            path = f"{DEVICES}/{device_id}/{'block' if blocked else 'unblock'}"
            answer = self.manage(wire, "POST", path, {} if blocked else None)
        return 0 if answer is None else answer.status

    def check(self) -> None:
        """Check that the server is healthy and has logged no traceback."""
        self.tally.require(self.server.is_ready(), "the server is not ready")
        log = self.server.log
        if "Traceback" in log:
            self.tally.fail(f"traceback in the log: {log[log.index('Traceback') :][:800]}")


@contextmanager
def serving(tally: Tally, folder: Path, **variables: str) -> Iterator[Target]:
    """Run a server in an empty folder. Settings that this version doesn't have are left out."""
    known = {name: value for name, value in variables.items() if name in _SETTINGS}
    with RealServer(folder / "instance", variables=known) as server:
        create_account(server)
        token = server.create_token("device")
        manager = server.create_token("manager", "devices:read", "devices:write")
        target = Target(server, tally, token, manager, server.database_url)
        yield target
        target.check()


def create_account(server: RealServer) -> None:
    """Create the administrator's account."""
    command = ("apidevices", "create-user", EMAIL, "--password-stdin")
    created = server.flask(*command, stdin=f"{PASSWORD}\n")
    assert created.returncode == 0, created.stderr


def in_parallel(
    function: Callable[[T], object], items: Iterable[T], threads: int = THREADS
) -> None:
    """Call a function for each item, in threads. Raise the first exception."""
    with ThreadPoolExecutor(threads) as executor:
        for _ in executor.map(function, items):
            pass


def on_connections(
    target: Target, function: Callable[[Wire, T], object], items: Iterable[T]
) -> None:
    """Call a function with a connection for each item, in threads."""
    idle = [target.wire() for _ in range(THREADS)]

    def run(item: T) -> None:
        wire = idle.pop()
        try:
            function(wire, item)
        finally:
            idle.append(wire)

    in_parallel(run, items)
    for wire in idle:
        wire.close()


class Visitor:
    """Uses the admin pages with a cookie and CSRF tokens, but without a browser."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._wire = target.wire()
        self.cookies: dict[str, str] = {}
        self._csrf_token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    @property
    def cookie(self) -> str:
        """The value of the ``Cookie`` header."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def sign_in(self, email: str = EMAIL, password: str = PASSWORD) -> Answer | None:
        """Sign in. Return the response to the form."""
        self.get("/login")
        answer = self.post("/login", {"email": email, "password": password})
        self.get("/settings/api-devices")  # with the CSRF token of the session
        return answer

    def get(self, path: str | bytes) -> Answer | None:
        """Open a page."""
        answer = self._ask("GET", path)
        found = _SECRET.search(answer.body.decode(errors="replace")) if answer else None
        if found:
            self._csrf_token = found[1]
        return answer

    def post(self, path: str | bytes, fields: dict[str, str]) -> Answer | None:
        """Submit a form."""
        fields = {"csrf_token": self._csrf_token, **fields}
        return self._ask("POST", path, urlencode(fields, errors="surrogatepass"))

    def _ask(self, method: str, path: str | bytes, body: str = "") -> Answer | None:
        headers = [("Cookie", self.cookie), ("Content-Type", "application/x-www-form-urlencoded")]
        answer = self._wire.ask(method, path, headers, body)
        self._target.tally.record(answer, (method, path, body[:200]))
        for cookie in answer.headers["set-cookie"].splitlines() if answer else ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer
