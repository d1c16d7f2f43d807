"""The devices of the benchmarks: number N is the same in each run, however many there are."""

import random
from collections.abc import Iterator
from itertools import count, filterfalse, islice
from typing import Any

from werkzeug.test import create_environ

from apidevices.standalone.simulation import APPLICATIONS, MODELS, SimulatedDevice

BLOCKED_EVERY = 50
"""One device of so many is blocked: 2%."""

KNOWN = 10_000
"""Devices that are known and not blocked, where that many call."""

KNOWN_IN_ALL = KNOWN + (KNOWN - 1) // (BLOCKED_EVERY - 1)
"""So many are known with the blocked ones among them."""

RARE = {7: "Żaneta", 77: "Żaneta 2", 777: "Żaneta 3"}
"""Names that are seldom, and hold a letter that no other name holds; number -> name."""

_ENVIRON = create_environ("/api/v1/ping")
_NAMES = ("Entrance {}", "Kasse {}", "Zoë {}", "入口 {}", "Касса {}", "Ωδείο {}", "مدخل {}")


def device(number: int) -> SimulatedDevice:
    """Return a device as it calls."""
    chance = random.Random(number)
    hardware = chance.choice(MODELS)
    application = chance.choice(list(APPLICATIONS))
    return SimulatedDevice(
        identifier=f"{hardware.prefix}-{chance.getrandbits(48):012x}",
        application=application,
        application_version=chance.choice(APPLICATIONS[application]),
        hardware=hardware,
        os_version=chance.choice(hardware.os_versions),
    )


def environ(device: SimulatedDevice, token: str) -> dict[str, Any]:
    """Return the WSGI environment of a request."""
    headers = {"Authorization": f"Bearer {token}", **device.headers()}
    named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return _ENVIRON | named


def details(found: SimulatedDevice) -> dict[str, str]:
    """Return what a device says of itself beside its identifier."""
    return {
        "application": found.application,
        "application_version": found.application_version,
        "os": found.hardware.os,
        "os_version": found.os_version,
        "manufacturer": found.hardware.manufacturer,
        "model": found.hardware.model,
    }


def name(number: int) -> str | None:
    """Return the name that an administrator gave a device: 15% have one."""
    if number in RARE or number % 20 >= 3:
        return RARE.get(number)
    return _NAMES[number % len(_NAMES)].format(number)


def is_blocked(number: int) -> bool:
    """Tell whether a device is blocked."""
    return number % BLOCKED_EVERY == BLOCKED_EVERY - 1


def callers() -> Iterator[SimulatedDevice]:
    """Return the first ``KNOWN`` devices that aren't blocked."""
    return map(device, islice(filterfalse(is_blocked, count()), KNOWN))
