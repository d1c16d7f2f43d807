"""Simulated devices that call the API over HTTP, for testing and demos."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import quote

import urllib3

from apidevices.toolkit import DEFAULT_HEADERS


@dataclass(frozen=True, slots=True)
class Model:
    """A hardware model and the versions of its operating system, oldest first."""

    manufacturer: str
    model: str
    os: str
    os_versions: tuple[str, ...]
    prefix: str


MODELS = (
    Model("Apple", "iPhone 14", "iOS", ("17.6.1", "18.5", "26.1"), "iphone"),
    Model("Apple", "iPhone 16 Pro", "iOS", ("18.5", "26.0.1", "26.1"), "iphone"),
    Model("Apple", "iPad (10th generation)", "iPadOS", ("17.7", "18.6", "26.1"), "ipad"),
    Model("Apple", "iPad mini (A17 Pro)", "iPadOS", ("18.6", "26.1"), "ipad"),
    Model("Samsung", "Galaxy S24", "Android", ("14", "15", "16"), "sm-s921b"),
    Model("Samsung", "Galaxy Tab Active5", "Android", ("14", "15"), "sm-x306b"),
    Model("Google", "Pixel 9a", "Android", ("15", "16"), "pixel"),
    Model("Xiaomi", "红米 Note 13", "Android", ("13", "14", "15"), "redmi"),
    Model("Zebra", "TC58", "Android", ("11", "13", "14"), "zebra-tc58"),
    Model("Zebra", "ET45", "Android", ("11", "13"), "zebra-et45"),
    Model("Honeywell", "Dolphin CT47", "Android", ("12", "13"), "ct47"),
    Model("Panasonic", "TOUGHBOOK G2", "Windows", ("10 22H2", "11 24H2"), "fz-g2"),
    Model("Elo", "Backpack 4 kiosk", "Android", ("10", "12"), "elo"),
    Model("Raspberry Pi", "Compute Module 4", "Debian", ("12", "13"), "pi"),
)

APPLICATIONS: Mapping[str, tuple[str, ...]] = {
    "Box Office": ("5.9.2", "6.0.0", "6.0.1", "6.1.0"),
    "Ticket Scanner": ("3.4.0", "3.4.1", "3.5.0"),
    "Self-Service Kiosk": ("2.11.0", "2.12.0"),
    "Inventaire": ("1.8.4", "1.9.0"),
}

UPDATES = 0.01
"""Probability that the application or operating system was updated before a call."""

REPLACEMENTS = 0.001
"""Probability that the hardware was replaced before a call, with the same identifier."""

UPLOADS = 0.25
"""Probability that a call is a data upload."""


@dataclass(slots=True)
class SimulatedDevice:
    """The current state of a simulated device."""

    identifier: str
    application: str
    application_version: str
    hardware: Model
    os_version: str

    def headers(self) -> dict[str, str]:
        """Return the device headers, percent-encoded because many HTTP libraries require ASCII."""
        values = {
            "identifier": self.identifier,
            "application": self.application,
            "application_version": self.application_version,
            "os": self.hardware.os,
            "os_version": self.os_version,
            "manufacturer": self.hardware.manufacturer,
            "model": self.hardware.model,
        }
        return {
            DEFAULT_HEADERS[name][0]: quote(value, safe=" ()./-") for name, value in values.items()
        }


@dataclass
class Fleet:
    """Devices of various models and versions. Some are updated or replaced over time.

    Args:
        size: The number of devices.
        seed: The same seed gives the same fleet and calls.
    """

    size: int
    seed: int | None = None
    _random: random.Random = field(init=False)
    _devices: list[SimulatedDevice] = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - nothing here is a secret
        self._devices = [self._new_device() for _ in range(self.size)]
        # In the first round each device calls once, so that all of them get registered.
        self._upcoming = list(self._devices)
        self._random.shuffle(self._upcoming)

    def next_call(self) -> tuple[str, dict[str, str], dict[str, object] | None]:
        """Return the method, the headers and, for an upload, the body of the next call."""
        if self._upcoming:
            device = self._upcoming.pop()
        else:
            # Some devices call often, others rarely.
            device = self._devices[int(self.size * self._random.random() ** 2)]
            self._maybe_update(device)
        if self._random.random() >= UPLOADS:
            return "GET", device.headers(), None
        upload = {"kind": "scan", "count": self._random.randint(1, 40), "ok": True}
        return "POST", device.headers(), upload

    def _maybe_update(self, device: SimulatedDevice) -> None:
        """Update or replace a device at random."""
        chance = self._random.random()
        if chance < REPLACEMENTS:
            device.hardware = self._random.choice(MODELS)
            device.os_version = device.hardware.os_versions[-1]
        elif chance < UPDATES / 2:
            device.application_version = APPLICATIONS[device.application][-1]
        elif chance < UPDATES:
            device.os_version = device.hardware.os_versions[-1]

    def _new_device(self) -> SimulatedDevice:
        hardware = self._random.choice(MODELS)
        application = self._random.choice(list(APPLICATIONS))
        number = uuid.UUID(int=self._random.getrandbits(128), version=4)
        return SimulatedDevice(
            identifier=f"{hardware.prefix}-{number.hex[:12]}",
            application=application,
            application_version=self._random.choice(APPLICATIONS[application]),
            hardware=hardware,
            os_version=self._random.choice(hardware.os_versions),
        )


def run(
    fleet: Fleet,
    *,
    url: str,
    token: str,
    rate: float,
    total: int,
    on_response: Callable[[int], object],
) -> Counter[str]:
    """Make ``total`` calls at ``rate`` calls per second and count the responses.

    Responses are counted by status and, for problem details, code, such as
    ``"403 device_blocked"``. A call without a response counts as ``"no response"``. After each
    call ``on_response(1)`` is called, from one thread at a time.
    """
    responses: Counter[str] = Counter()
    lock = threading.Lock()
    stopped = threading.Event()
    workers = max(2, min(64, round(rate / 10)))
    base = url.rstrip("/")
    with (
        urllib3.PoolManager(maxsize=workers, timeout=10, retries=False) as http,
        ThreadPoolExecutor(workers) as pool,
    ):

        def call(method: str, headers: dict[str, str], body: dict[str, object] | None) -> None:
            if stopped.is_set():
                return
            path = "/api/v1/device" if body is None else "/api/v1/uploads"
            headers = {**headers, "Authorization": f"Bearer {token}"}
            try:
                response = http.request(method, base + path, headers=headers, json=body)
                outcome = str(response.status)
                if response.headers.get("Content-Type", "") == "application/problem+json":
                    outcome += f" {response.json()['code']}"
            except (urllib3.exceptions.HTTPError, ValueError):
                outcome = "no response"
            with lock:
                responses[outcome] += 1
                on_response(1)

        start = time.monotonic()
        try:
            for number in range(total):
                wait = start + number / rate - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                pool.submit(call, *fleet.next_call())
        except KeyboardInterrupt:
            stopped.set()
            raise
    return responses
