"""Simulated devices of the benchmarks. Device number N is the same in every run."""

import random
from collections.abc import Iterator
from itertools import count, filterfalse, islice
from typing import Any

from werkzeug.test import create_environ

from apidevices.standalone.simulation import APPLICATIONS, MODELS, SimulatedDevice

BLOCKED_EVERY = 50
"""Every 50th device (2%) is blocked."""

CALLERS = 10_000
"""Number of registered, unblocked devices that send requests."""

REGISTERED = CALLERS + (CALLERS - 1) // (BLOCKED_EVERY - 1)
"""Number of registered devices, including the blocked ones."""

RARE_NAMES = {7: "Żaneta", 77: "Żaneta 2", 777: "Żaneta 3"}
"""Device number -> name. These names contain a letter that no other name contains."""

_ENVIRON = create_environ("/api/v1/ping")
_NAMES = ("Entrance {}", "Kasse {}", "Zoë {}", "入口 {}", "Касса {}", "Ωδείο {}", "مدخل {}")


def device(number: int) -> SimulatedDevice:
    """Return the simulated device with this number."""
    rng = random.Random(number)
    hardware = rng.choice(MODELS)
    application = rng.choice(list(APPLICATIONS))
    return SimulatedDevice(
        identifier=f"{hardware.prefix}-{rng.getrandbits(48):012x}",
        application=application,
        application_version=rng.choice(APPLICATIONS[application]),
        hardware=hardware,
        os_version=rng.choice(hardware.os_versions),
    )


def environ(device: SimulatedDevice, token: str) -> dict[str, Any]:
    """Return the WSGI environment of a request from a device."""
    headers = {"Authorization": f"Bearer {token}", **device.headers()}
    variables = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return _ENVIRON | variables


def details(device: SimulatedDevice) -> dict[str, str]:
    """Return the six details that a device reports."""
    return {
        "application": device.application,
        "application_version": device.application_version,
        "os": device.hardware.os,
        "os_version": device.os_version,
        "manufacturer": device.hardware.manufacturer,
        "model": device.hardware.model,
    }


def name(number: int) -> str | None:
    """Return the name of a device. 15% of the devices have one."""
    if number in RARE_NAMES or number % 20 >= 3:
        return RARE_NAMES.get(number)
    return _NAMES[number % len(_NAMES)].format(number)


def is_blocked(number: int) -> bool:
    """Return whether a device is blocked."""
    return number % BLOCKED_EVERY == BLOCKED_EVERY - 1


def uploads(number: int) -> bool:
    """Return whether a device has ever uploaded anything. 60% of the devices have."""
    return number % 5 < 3


def tags(number: int) -> list[str]:
    """Return the tags of a device: 20% have a common one, 1% a second, one in 10,000 a rare one."""
    chances = {"Main entrance": 5, "Foyer": 100, "Spare": 10_000}
    return [tag for tag, every in chances.items() if number % every == 0]


def callers() -> Iterator[SimulatedDevice]:
    """Return the first ``CALLERS`` devices that are not blocked."""
    return map(device, islice(filterfalse(is_blocked, count()), CALLERS))
