"""Precision and recall of the marks of devices, on made-up fleets with known truth."""

import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import insert, select

from apidevices import devices, tokens
from apidevices.identity import DeviceIdentity
from apidevices.listing.search import search_key
from apidevices.models import Device, DeviceActivity, DeviceHistory, DeviceMark, DeviceToken
from apidevices.state import State
from apidevices.upkeep import replacements, single_swings, twins
from benchmarks import goals
from benchmarks.context import Run, show_progress
from benchmarks.databases import application, state_of
from benchmarks.fleet_kinds import KINDS, FleetKind
from benchmarks.report import Table
from benchmarks.stories import DAY, DAYS, MINUTE, Blocking, Report, Story, Teller, Unit

CHUNK = 5_000
"""Devices to insert, or activity to write, at a time."""


MARKS = ("shared", "twin", "blocked_again")

UPKEEP = 10
"""The day of the first upkeep. It runs every 8 days: as seldom as it may."""


class Score(NamedTuple):
    """What was found, and what is true."""

    found: set[object]
    true: set[object]

    @property
    def precision(self) -> float:
        """The part of what was found that is true."""
        return len(self.found & self.true) / len(self.found) if self.found else 1.0

    @property
    def recall(self) -> float:
        """The part of what is true that was found."""
        return len(self.found & self.true) / len(self.true) if self.true else 1.0


def measure(run: Run) -> Table:
    """Let three fleets live for four weeks, and compare the marks with the truth."""
    size = run.pick(100_000, 3_000)
    table = Table(
        f"fleets: marks of {size:,} devices each, after {DAYS} days",
        notes=[
            "What happens in the fleets, and how often: see stories.py. The first devices"
            " are inserted. All that follows goes through the functions that requests, upkeep and"
            " administrators use, with the times of the story. Upkeep runs every 8 days.",
            "“ever”: also marks that upkeep has withdrawn, because the old device called again,"
            " because the system of a device had only been set back, or because the blocked device"
            " called along with the new one.",
        ],
    )
    backend = run.backends[0]
    for number, kind in enumerate(KINDS):
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        story = Teller(kind, size, start - (DAYS + 8) * DAY, seed=number).tell()
        with (
            backend.database(f"fleet_{number}") as url,
            application(url, run.folder) as app,
            app.app_context(),
        ):
            scores = _Life(state_of(app), kind, story).run()
        for mark, score in scores.items():
            table.rows.append(
                {
                    "fleet": kind.name,
                    "mark": mark,
                    "true": len(score.true),
                    "found": len(score.found),
                    "precision": score.precision,
                    "recall": score.recall,
                }
            )
            subject = f"{kind.name}, {mark}"
            show_progress(f"{subject}: {score.precision:.3f}, {score.recall:.3f}")
            if mark in ("shared", "twin"):
                table.goal_results.append(goals.PRECISION.evaluate(subject, score.precision))
    return table


class _Life:
    """Lets a story happen."""

    def __init__(self, state: State, kind: FleetKind, story: Story) -> None:
        self._state, self._db, self._story = state, state.db, story
        self._teller = Teller(kind, 0, story.start, seed=0)
        self._tokens = [
            tokens.issue(self._db, f"fleet {number}", actor="fleets", now=story.start)[0].id
            for number in range(kind.tokens)
        ]
        self._called_until = story.start
        self._ids: dict[str, int] = {}
        self._ever: dict[str, set[object]] = {mark: set() for mark in MARKS}

    def run(self) -> dict[str, Score]:
        """Return the scores of all kinds of marks."""
        story = self._story
        self._insert(story.initial)
        coming = sorted([*story.later, *story.events], key=_time_of)
        units = [*story.initial, *story.later]
        done = 0
        for day in range(UPKEEP, DAYS + 7, 8):
            now = story.start + day * DAY
            while done < len(coming) and _time_of(coming[done]) <= now:
                self._happen(coming[done])
                done += 1
            self._be_active([unit for unit in units if unit.start <= now], now)
            self._call_daily(now)
            self._remember()
            for work in (single_swings.withdraw, replacements.withdraw, twins.suggest):
                work(self._db, now, threading.Event())
            self._remember()
            show_progress(f"day {day}: {len(self._ids):,} devices")
        true: dict[str, set[object]] = {
            "shared": {(each, None) for each in story.shared},
            "twin": set(story.twins),
            "blocked_again": set(story.again),
        }
        scores: dict[str, Score] = {}
        for mark in MARKS:
            scores[mark] = Score(self._pairs(mark), true[mark])
            scores[f"{mark}, ever"] = Score(self._ever[mark], true[mark])
        return scores

    def _remember(self) -> None:
        for mark in MARKS:
            self._ever[mark] |= self._pairs(mark)

    def _insert(self, units: Sequence[Unit]) -> None:
        for start in range(0, len(units), CHUNK):
            some = units[start : start + CHUNK]
            with self._db.write() as session:
                connection = session.connection()
                rows = [
                    {
                        "identifier": unit.identifier,
                        "name": unit.name,
                        "first_seen_at": unit.start,
                        "search_key": search_key(unit.identifier, unit.name),
                        **unit.details,
                    }
                    for unit in some
                ]
                returning = insert(Device).returning(Device.id, sort_by_parameter_order=True)
                ids = connection.scalars(returning, rows).all()
                for unit, device_id in zip(some, ids, strict=True):
                    self._ids[unit.identifier] = device_id
                of_units = list(zip(some, ids, strict=True))
                connection.execute(
                    insert(DeviceActivity),
                    [
                        {
                            "device_id": device_id,
                            "last_active_at": unit.start,
                            "last_activity_at": unit.start,
                        }
                        for unit, device_id in of_units
                    ],
                )
                connection.execute(
                    insert(DeviceToken),
                    [
                        {
                            "device_id": device_id,
                            "token_id": self._tokens[unit.token],
                            "first_used_at": unit.start,
                            "last_used_at": unit.start,
                        }
                        for unit, device_id in of_units
                    ],
                )
                connection.execute(
                    insert(DeviceHistory),
                    [
                        {
                            "device_id": device_id,
                            "kind": "registered",
                            "at": unit.start,
                            "changes": {key: [None, value] for key, value in unit.details.items()},
                            "token_id": self._tokens[unit.token],
                            "address": unit.address,
                        }
                        for unit, device_id in of_units
                    ],
                )

    def _happen(self, event: Unit | Report | Blocking) -> None:
        if isinstance(event, Blocking):
            device_id = self._ids[event.identifier]
            devices.block(self._db, device_id, actor="fleets", now=event.at)
            token_id = self._tokens[event.token]
            self._state.activity.record_denial(device_id, event.denied_at, token_id, event.address)
            self._state.activity.flush()
            return
        reported = devices.report(
            self._db,
            DeviceIdentity(event.identifier, dict(event.details)),
            token_id=self._tokens[event.token],
            address=event.address,
            now=_time_of(event),
        )
        self._ids[event.identifier] = reported.device_id
        if isinstance(event, Unit) and event.name:
            devices.rename(
                self._db, reported.device_id, event.name, actor="fleets", now=event.start
            )

    def _be_active(self, units: Iterable[Unit], now: datetime) -> None:
        for number, unit in enumerate(units):
            last = self._teller.last_call(unit, now)
            token_id = self._tokens[unit.token]
            device_id = self._ids[unit.identifier]
            self._state.activity.record_request(device_id, token_id, last, upload=False)
            if number % CHUNK == 0:
                self._state.activity.flush()
        self._state.activity.flush()

    def _call_daily(self, now: datetime) -> None:
        """Let new devices, and blocked ones that go on calling, call on each day until now.

        This matters only for new devices that seem to be blocked ones.
        """
        activity = self._state.activity
        for units, is_denied in ((self._story.later, False), (self._story.denied, True)):
            for unit in units:
                if unit.start > now:
                    continue
                device, token_id = self._ids[unit.identifier], self._tokens[unit.token]
                day = max(self._called_until, _midnight(unit.start))
                while day < min(now, unit.end or now):
                    last = self._teller.last_call(unit, day + DAY - MINUTE)
                    if last >= day and is_denied:
                        activity.record_denial(device, last, token_id, unit.address)
                    elif last >= day:
                        activity.record_request(device, token_id, last, upload=False)
                    day += DAY
        activity.flush(counts=True)
        self._called_until = now

    def _pairs(self, kind: str) -> set[object]:
        """Return the identifiers of the devices with a mark, and of the others of their pairs."""
        identifiers = {device_id: identifier for identifier, device_id in self._ids.items()}
        marks = select(DeviceMark.device_id, DeviceMark.other_id).where(DeviceMark.kind == kind)
        with self._db.read() as session:
            return {
                (identifiers[row.device_id], identifiers.get(row.other_id))
                for row in session.execute(marks)
            }


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _time_of(event: Unit | Report | Blocking) -> datetime:
    return event.start if isinstance(event, Unit) else event.at
