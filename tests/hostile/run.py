"""Run the parts of the attack, in order. Each has its own server and database."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.real_server import UNLIMITED
from tests.hostile import blocked, disk, floods, markup, naughty, shapes, spellings, tools
from tests.hostile.tally import Tally
from tests.hostile.target import Target, serving

TWO_NAMES = {
    "APIDEVICES_HEADER_IDENTIFIER": f"{spellings.NAME.decode()}, {spellings.OTHER_NAME.decode()}"
}
"""Settings that accept a second name for the header of the identifier."""


@dataclass(frozen=True)
class Plan:
    """The size of an attack.

    Args:
        strings: The naughty strings to send.
        pages: Number of devices whose pages to open in the browser.
        step: Send each ``step``-th malformed request, and each ``step``-th to get past a block.
        rounds: How often to block a device while it makes requests.
        load: The size of the floods.
        devices: Number of devices to block on a full disk.
        seconds: Duration of each scan.
    """

    strings: naughty.Plan = field(default_factory=naughty.Plan)
    pages: int = 60
    step: int = 1
    rounds: int = 100
    load: floods.Plan = field(default_factory=floods.Plan)
    devices: int = 100
    seconds: int = 60

    def _naughty(self, tally: Tally, folder: Path) -> None:
        with serving(tally, folder, APIDEVICES_PROXIES="1", **UNLIMITED) as target:
            self.attack_fields(target)

    def attack_fields(self, target: Target) -> None:
        """Store naughty strings and look at the pages that show them."""
        markup.attack(target, naughty.attack(target, self.strings), self.pages)

    def _shapes(self, tally: Tally, folder: Path) -> None:
        """Send malformed requests."""
        with serving(tally, folder, APIDEVICES_PROXIES="1") as target:
            shapes.attack(target, self.step)

    def _blocked(self, tally: Tally, folder: Path) -> None:
        """Try to get past a block."""
        variables = {"WEB_CONCURRENCY": "3", **TWO_NAMES, **UNLIMITED}
        with serving(tally, folder, **variables) as target:
            blocked.attack(target, self.step, self.rounds)

    def _flooded(self, tally: Tally, folder: Path) -> None:
        """Flood the server."""
        with serving(tally, folder, **floods.SETTINGS) as target:
            floods.attack(target, self.load)

    def _full_disk(self, tally: Tally, folder: Path) -> None:
        """Fill the disk of a SQLite database."""
        disk.attack(tally, folder, "sqlite", self.devices, UNLIMITED)

    def _full_disk_postgresql(self, tally: Tally, folder: Path) -> None:
        """Fill the disk of PostgreSQL."""
        disk.attack(tally, folder, "postgresql", self.devices, UNLIMITED)

    def _wapiti(self, tally: Tally, folder: Path) -> None:
        """Scan the pages."""
        with serving(tally, folder, **tools.SETTINGS, **UNLIMITED) as target:
            tools.attack_with_wapiti(target, folder, self.seconds)

    def _sqlmap(self, tally: Tally, folder: Path) -> None:
        """Look for SQL injection."""
        with serving(tally, folder, **tools.SETTINGS, **UNLIMITED) as target:
            tools.attack_with_sqlmap(target, folder, self.seconds // 3)

    @property
    def parts(self) -> dict[str, Callable[[Tally, Path], None]]:
        """Name -> part."""
        return {
            "naughty": self._naughty,
            "shapes": self._shapes,
            "blocked": self._blocked,
            "floods": self._flooded,
            "disk": self._full_disk,
            "disk-postgresql": self._full_disk_postgresql,
            "wapiti": self._wapiti,
            "sqlmap": self._sqlmap,
        }


SHORT = Plan(
    strings=naughty.Plan(step=40, emoji_step=150, address_step=10, form_step=12, commands=1),
    pages=3,
    step=37,
    rounds=4,
    load=floods.Plan(
        devices=80,
        uploads=10,
        upload_size=100_000,
        changes=80,
        sign_ins=8,
        slow_connections=20,
        silent_connections=500,
    ),
)
"""The size of the short version in the test suite."""


def run_short(folder: Path) -> list[Tally]:
    """Run a short version of the parts that need no scanner, against one server."""
    plan, tallies = SHORT, []
    parts: dict[str, Callable[[Target], None]] = {
        "naughty": plan.attack_fields,
        "shapes": lambda target: shapes.attack(target, plan.step),
        "blocked": lambda target: blocked.attack(target, plan.step, plan.rounds),
        "floods": lambda target: floods.attack(target, plan.load),
    }
    variables = {"APIDEVICES_PROXIES": "1", **TWO_NAMES, **floods.SETTINGS, **UNLIMITED}
    with serving(Tally("server"), folder, **variables) as target:
        for name, attack in parts.items():
            tallies.append(Tally(name))
            attack(replace(target, tally=tallies[-1]))
            replace(target, tally=tallies[-1]).check()
    return tallies


def run_part(name: str, plan: Plan, folder: Path) -> Tally:
    """Run a part in an empty folder. A part that crashes has failed."""
    tally = Tally(name)
    started = time.monotonic()
    try:
        plan.parts[name](tally, folder)
    except Exception:
        tally.fail(f"crashed: {traceback.format_exc()[-2_000:]}")
    tally.seconds = time.monotonic() - started
    return tally
