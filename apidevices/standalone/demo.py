"""``apidevices demo``: the real server with simulated devices, in a temporary folder."""

import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import urllib3
from flask import Flask

from apidevices.standalone import accounts
from apidevices.standalone.demo_data import STATIONS, seed
from apidevices.standalone.migrations import upgrade
from apidevices.standalone.settings import ServerSettings
from apidevices.standalone.simulation import APPLICATIONS, UPLOADS
from apidevices.toolkit import SETTING_PREFIX, audit, clock, current_state, database

EMAIL = "ann@example.com"

WELCOME = """
API Devices is running, and simulated devices are calling it:

    {url}

    Email     {email}
    Password  {password}

Press Ctrl+C to stop it and delete everything it has stored.
"""

PORT = 8000

START_SECONDS = 60
STOP_SECONDS = 30

UPDATES = 0.3
"""Probability that a device updates its application before its next call."""


def run(create_app: Callable[[], Flask]) -> None:
    """Run the demo until Ctrl+C, SIGTERM or SIGHUP.

    Exits with status 1 and the server's log if the server does not start or stops by itself.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    with suppress(KeyboardInterrupt), TemporaryDirectory(prefix="apidevices-demo-") as name:
        folder = Path(name)
        configure(folder)
        url = ServerSettings.from_environ().address
        password = secrets.token_hex(8)
        with create_app().app_context():
            create_account(password)
            with _server(folder / "log") as server:
                tokens = seed_past()  # while the server starts
                event = "did not start"
                if _is_ready(server, url):
                    event = "stopped by itself"
                    print(WELCOME.format(url=url, email=EMAIL, password=password), flush=True)
                    _call(server, url, tokens)
        sys.exit(f"The server {event}. Its log:\n\n{(folder / 'log').read_text()}")
    print("The demo has stopped. All its data has been deleted.")


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    # A second Ctrl+C must not interrupt the cleanup.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def configure(folder: Path) -> None:
    """Make this process and its children use ``folder`` instead of any real database."""
    for name in list(os.environ):
        if name in ("DATABASE_URL", "SECRET_KEY") or name.startswith(SETTING_PREFIX):
            del os.environ[name]
    os.environ["APIDEVICES_INSTANCE"] = str(folder)
    if not os.environ.get("PORT"):
        os.environ["PORT"] = str(_free_port())


def _free_port() -> int:
    """Return the default port, or any free port if it is in use."""
    for port in (PORT, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((ServerSettings.from_environ().host, port))
            return int(probe.getsockname()[1])
    return PORT  # the server reports the problem


def create_account(password: str) -> None:
    """Create the tables and an administrator account."""
    upgrade()
    accounts.create(database(), EMAIL, password, actor=audit.COMMAND_LINE, now=clock.now())


def seed_past() -> Mapping[str, str]:
    """Store the history of the simulated devices and return the token of each application."""
    current = current_state()
    try:
        return seed(current.db, current.activity, clock.now())
    finally:
        current.close()


@contextmanager
def _server(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server in its own session, so that Ctrl+C reaches only this process."""
    command = [sys.executable, "-m", "apidevices", "serve"]
    with log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603 - this program itself
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield server
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # workers that outlived their master
        server.wait()


def _is_ready(server: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server is ready and return whether it is."""
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(urllib3.exceptions.HTTPError):
            if urllib3.request("GET", f"{url}/readyz", retries=False, timeout=5).status == 200:
                return True
        time.sleep(0.05)
    return False


def _call(server: subprocess.Popen[bytes], url: str, tokens: Mapping[str, str]) -> None:
    """Call the API as the devices would, each at its own rate, until the server stops."""
    rates = {station: 1 / station.interval for station in STATIONS if station.interval}
    fleet = {station: station.device() for station in rates}
    rng = random.Random()  # noqa: S311 - nothing here is a secret
    with urllib3.PoolManager(timeout=10, retries=False) as http:
        while server.poll() is None:
            [station] = rng.choices(list(rates), list(rates.values()))
            device = fleet[station]
            if rng.random() < UPDATES:
                device.application_version = APPLICATIONS[device.application][-1]
            headers = device.headers() | {"Authorization": f"Bearer {tokens[device.application]}"}
            with suppress(urllib3.exceptions.HTTPError):
                if rng.random() < UPLOADS:
                    scans = {"kind": "scan", "count": rng.randint(1, 40), "ok": True}
                    http.request("POST", f"{url}/api/v1/uploads", headers=headers, json=scans)
                else:
                    http.request("GET", f"{url}/api/v1/device", headers=headers)
            time.sleep(min(5, rng.expovariate(sum(rates.values()))))
