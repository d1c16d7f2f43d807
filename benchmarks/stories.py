"""Made-up fleets with known truth, to evaluate the marks of devices.

Nothing here refers to the detection. What happens and how often are assumptions about real fleets:

- Each device calls at its own interval: phones every 20 minutes to a day, tablets in stores every
  10 minutes from 8 to 20 o'clock, scanners at events every 5 minutes.
- Within four weeks, a quarter of the devices updates its system, and two thirds their application.
  One in 200 goes back to the former version of the application. One in 5,000 goes back to the
  former version of the system within hours, one in 2,000 after days.
- One in 2,000 devices has two applications that share the identifier, but spell the model
  differently. One in 200 is replaced by another model that keeps the identifier, from a backup.
- One in 300 identifiers is used by two or three devices, for example because one was cloned.
- One in 100 devices gets a new identifier from a reinstall: some minutes pass between the removal
  and the first request. One in 300 is replaced by the same model, mostly after a day.
- One in 30 falls silent for good, and as many new ones begin. After an event, 30 of 100 scanners
  fall silent within an evening.
- Models are unevenly popular. Phones are in networks of their own and on the road; devices of a
  store share an address and are of one model.
- Devices are blocked; a part of their users reinstall within hours. Some stores replace a blocked
  device by the same model on the same day. Of the blocked devices that are not reinstalled, half
  are switched off, and half go on calling: for five days in the median.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from benchmarks.fleet_kinds import FleetKind

DAYS = 28
"""How long the story lasts, in days."""

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(slots=True)
class Unit:
    """A device of the story, and what it sends. It calls from ``start`` to ``end``."""

    identifier: str
    details: dict[str, str]
    token: int
    address: str
    start: datetime
    interval: timedelta
    name: str | None = None
    end: datetime | None = None


class Report(NamedTuple):
    """A request with these details."""

    at: datetime
    identifier: str
    details: Mapping[str, str]
    token: int
    address: str


class Blocking(NamedTuple):
    """An administrator blocks a device, whose next request is denied."""

    at: datetime
    identifier: str
    denied_at: datetime
    address: str
    token: int


@dataclass(slots=True)
class Story:
    """What happens in a fleet, and what is true.

    ``initial`` are the devices that are there at the beginning, ``later`` those that begin in the
    story. ``denied`` are blocked devices that go on calling, from their first denied request.
    ``shared`` has the identifiers that several devices use, ``twins`` and ``again`` the pairs of
    the new and the old identifier of one device.
    """

    start: datetime
    initial: list[Unit] = field(default_factory=list)
    later: list[Unit] = field(default_factory=list)
    denied: list[Unit] = field(default_factory=list)
    events: list[Report | Blocking] = field(default_factory=list)
    shared: set[str] = field(default_factory=set)
    twins: set[tuple[str, str]] = field(default_factory=set)
    again: set[tuple[str, str]] = field(default_factory=set)


class Teller:
    """Makes up the story of one fleet."""

    def __init__(self, kind: FleetKind, devices: int, start: datetime, seed: int) -> None:
        self._kind = kind
        self._random = random.Random(seed)
        self._random_denied = random.Random(seed)  # of its own: changes nothing else
        self._devices = devices
        self.story = Story(start)
        self._numbers = 0
        weights = [1 / (rank + 1) ** kind.skew for rank in range(kind.models)]
        self._weights = weights
        self._site_models = self._random.choices(
            range(kind.models), weights, k=devices // kind.site + 1
        )

    def tell(self) -> Story:
        """Return the story."""
        story, chance = self.story, self._random.random
        for number in range(self._devices):
            since = story.start - self._random.uniform(1, 180) * DAY
            story.initial.append(self._unit(number // self._kind.site, since))
        for unit in story.initial:
            roll = chance()
            for share, event in (
                (self._kind.season, self._end_of_season),
                (1 / 300, self._clone),
                (1 / 100, self._reinstall),
                (1 / 300, self._replace),
                (1 / 30, self._retire),
                (1 / 500, self._block),
                (1 / 200, self._new_model),
                (1 / 2000, self._two_applications),
                (1.0, self._update),
            ):
                roll -= share
                if roll < 0:
                    event(unit)
                    break
        for _ in range(self._devices // 30):
            site = self._random.randrange(self._devices // self._kind.site)
            story.later.append(self._unit(site, self._moment()))
        story.events.sort(key=lambda event: event.at)
        return story

    def _unit(self, site: int, start: datetime) -> Unit:
        kind, self._numbers = self._kind, self._numbers + 1
        if kind.site == 1:
            [model] = self._random.choices(range(kind.models), self._weights)
        else:
            model = self._site_models[site]
        low, high = kind.interval
        named = kind.site > 1 and self._random.random() < 0.5
        return Unit(
            identifier=f"{self._numbers:08d}",
            details={
                "application": "Box Office",
                "application_version": self._random.choice(("3.1", "3.2", "3.3")),
                "os": "Android" if model % 3 else "iOS",
                "os_version": str(self._random.choice((14, 15, 16))),
                "manufacturer": f"Maker {model % 7}",
                "model": f"Model {model}",
            },
            token=site % kind.tokens,
            address=self._address(site),
            start=start,
            interval=(low * (high / low) ** self._random.random()) * MINUTE,
            name=f"Counter {self._numbers}" if named else None,
        )

    def _address(self, site: int) -> str:
        return f"10.{site >> 16 & 255}.{site >> 8 & 255}.{site & 255}"

    def _moment(self) -> datetime:
        """Return a time in the story when devices are on."""
        first, last = self._kind.hours
        hours = self._random.uniform(first, last) * HOUR
        return self.story.start + self._random.randrange(DAYS) * DAY + hours

    def _later(self, minutes: float, spread: float) -> timedelta:
        """Return a duration, with a median in minutes and the spread of its logarithm."""
        return self._random.lognormvariate(0, spread) * minutes * MINUTE

    def _send(self, unit: Unit, at: datetime, details: Mapping[str, str], address: str) -> None:
        self.story.events.append(Report(at, unit.identifier, details, unit.token, address))

    def last_call(self, unit: Unit, at: datetime) -> datetime:
        """Return when a device called last, at a time."""
        at = min(at, unit.end) if unit.end else at
        first, last = self._kind.hours
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if at > day + last * HOUR:
            at = day + last * HOUR
        elif at < day + first * HOUR:
            at = day - (24 - last) * HOUR
        return max(unit.start, at - (at - unit.start) % unit.interval)

    def _road(self, unit: Unit, share: float) -> str:
        """Return the address of a device that is elsewhere with some probability."""
        if self._random.random() >= share:
            return unit.address
        return f"100.64.{self._random.randrange(256)}.{self._random.randrange(256)}"

    # --- events ----------------------------------------------------------------------------------

    def _update(self, unit: Unit) -> None:
        changes: list[tuple[datetime, str, str]] = []
        details, chance = unit.details, self._random.random
        if chance() < 2 / 3:
            at, version = self._moment(), details["application_version"]
            changes.append((at, "application_version", "3.4"))
            if chance() < 1 / 130:
                changes.append((at + self._later(180, 1), "application_version", version))
        if chance() < 1 / 4:
            at, version = self._moment(), details["os_version"]
            changes.append((at, "os_version", str(int(version) + 1)))
            if (roll := chance()) < 1 / 1250:
                back = self._random.uniform(1, 20) * HOUR
                changes.append((at + back, "os_version", version))
            elif roll < 1 / 1250 + 1 / 500:
                back = self._random.uniform(2, 9) * DAY
                changes.append((at + back, "os_version", version))
        present = dict(details)
        for at, field_name, value in sorted(changes):
            present[field_name] = value
            self._send(unit, at, dict(present), self._road(unit, 0.3))

    def _clone(self, unit: Unit) -> None:
        self.story.shared.add(unit.identifier)
        owners = [(unit.details, unit.address)]
        for _ in range(self._random.choice((1, 1, 1, 2))):
            other = self._unit(self._random.randrange(self._devices // self._kind.site), unit.start)
            if self._kind.site > 1 and self._random.random() < 0.5:
                # An image that was installed on devices of one model: only their systems differ.
                other.details = unit.details | {"os_version": other.details["os_version"]}
            owners.append((other.details, other.address))
        at = self._moment()
        for _ in range(20):
            at += self._random.expovariate(1) * unit.interval
            details, address = self._random.choice(owners)
            self._send(unit, at, details, address)

    def _two_applications(self, unit: Unit) -> None:
        at, other = self._moment(), unit.details["model"].replace("Model ", "SM-")
        for number in range(12):
            at += self._random.expovariate(1) * unit.interval
            details = unit.details | (
                {"model": other, "application": "Guide"} if number % 2 else {}
            )
            self._send(unit, at, details, unit.address)

    def _new_model(self, unit: Unit) -> None:
        other = self._unit(self._random.randrange(self._devices // self._kind.site), unit.start)
        self._send(unit, self._moment(), other.details, unit.address)

    def _reinstall(self, unit: Unit) -> None:
        removed = self._moment()
        unit.end = self.last_call(unit, removed)
        new = self._again(unit, removed + self._later(8, 1.2))
        self.story.twins.add((new.identifier, unit.identifier))

    def _replace(self, unit: Unit) -> None:
        unit.end = self.last_call(unit, self._moment())
        self._again(unit, unit.end + self._later(1440, 1))

    def _again(self, unit: Unit, at: datetime) -> Unit:
        """Add a device with other identifier that is the same otherwise, or of the same model."""
        new = self._unit(0, at)
        new.details = dict(unit.details)
        if self._random.random() < 0.3:
            new.details["application_version"] = "3.4"
        new.token, new.interval, new.name = unit.token, unit.interval, None
        new.address = self._road(unit, 0.3 if self._kind.site == 1 else 0)
        self.story.later.append(new)
        return new

    def _end_of_season(self, unit: Unit) -> None:
        evening = self.story.start + 14 * DAY + 20 * HOUR
        unit.end = evening + self._random.random() * 4 * HOUR

    def _retire(self, unit: Unit) -> None:
        unit.end = self.last_call(unit, self._moment())

    def _block(self, unit: Unit) -> None:
        at, address = self._moment(), self._road(unit, 0.3)
        denied_at = at + self._random.random() * unit.interval
        unit.end = at
        self.story.events.append(Blocking(at, unit.identifier, denied_at, address, unit.token))
        roll = self._random.random()
        if roll < 0.3:
            new = self._again(unit, denied_at + self._later(60, 1))
            new.address = address if self._random.random() < 0.8 else new.address
            self.story.again.add((new.identifier, unit.identifier))
            return
        if roll < 0.33 and self._kind.site > 1:
            self._again(unit, at + self._later(600, 1))
        if self._random_denied.random() < 0.5:
            until = denied_at + self._random_denied.lognormvariate(0, 1) * 5 * DAY
            self.story.denied.append(replace(unit, start=denied_at, end=until))
