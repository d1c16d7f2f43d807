"""The values that filters can have: what the devices report, and their tags."""

import logging
import threading
import time
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import Row, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.listing import limits
from apidevices.listing.filters import ANY_CASE
from apidevices.listing.search import fold
from apidevices.models import Details, DeviceKeys, DeviceTag

logger = logging.getLogger(__name__)

JOIN_TIMEOUT = 5.0
"""Seconds to wait for the thread when the application is closed."""

_DETAILS = ("application", "application_version", "os", "os_version", "manufacturer", "model")


class Choice(NamedTuple):
    """A value of a filter, and how many devices it matches without other filters."""

    value: str
    devices: int


@dataclass(frozen=True, slots=True)
class Choices:
    """The values that each filter can have, in alphabetical order.

    Where a filter ignores case, each value is in the spelling that most devices have.
    ``application_version`` has the versions of each application, by the application's value.
    """

    application: Sequence[Choice] = ()
    application_version: Mapping[str, Sequence[Choice]] = field(default_factory=dict)
    os: Sequence[Choice] = ()
    os_version: Sequence[Choice] = ()
    manufacturer: Sequence[Choice] = ()
    model: Sequence[Choice] = ()
    tag: Sequence[Choice] = ()


ByArchived = Mapping[bool, Choices]
"""The choices of archived devices (True), and those of all others (False)."""


def choices(db: Database, *, archived: bool = False) -> Choices:
    """Return the values that filters can have, of archived devices or of all others.

    They may be out of date, by a few seconds with a million devices, because a thread collects
    them. If the first ones take longer than ``CHOICES_PATIENCE``, they are empty.
    """
    with _lock:
        collector = _collectors.setdefault(db, _Collector(db))
    return collector.latest()[archived]


def finish_collecting(db: Database) -> None:
    """Wait a moment for the thread that collects choices, because it has a connection."""
    with _lock:
        collector = _collectors.get(db)
    if collector is not None:
        collector.finish()


class _Collector:
    """Collects the choices of a database in a thread, and keeps them."""

    def __init__(self, db: Database) -> None:
        # The collector must not keep the database alive.
        self._database = weakref.ref(db)
        self._lock = threading.Lock()
        self._choices: ByArchived = {False: Choices(), True: Choices()}
        self._expires = 0.0
        self._thread: threading.Thread | None = None

    def latest(self) -> ByArchived:
        """Return the choices, new ones if there is enough time to collect them."""
        with self._lock:
            if time.monotonic() < self._expires:
                return self._choices
            # In a forked process, a thread of the parent process is not alive.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._collect, daemon=True)
                self._thread.start()
            thread = self._thread
        thread.join(limits.CHOICES_PATIENCE)
        return self._choices

    def finish(self) -> None:
        """Wait a moment for the thread, if it runs."""
        if (thread := self._thread) is not None:
            thread.join(JOIN_TIMEOUT)

    def _collect(self) -> None:
        db = self._database()
        if db is None:
            return
        started = time.monotonic()
        try:
            with db.read() as session:
                self._choices = collect(session)
        except SQLAlchemyError as error:  # pages work without choices
            logger.warning("Could not collect the values of the filters: %s", error)
        now = time.monotonic()
        self._expires = now + limits.CHOICES_REST * (now - started)


_lock = threading.Lock()
_collectors: WeakKeyDictionary[Database, _Collector] = WeakKeyDictionary()


def collect(session: Session) -> ByArchived:
    """Collect the values from the database."""
    keys = DeviceKeys
    counts = select(keys.details_id, keys.archived, func.count().label("devices"))
    counted = counts.group_by(keys.details_id, keys.archived).subquery()
    columns = [getattr(Details, name) for name in _DETAILS]
    details = select(counted.c.archived, counted.c.devices, *columns).join(
        Details, counted.c.details_id == Details.id
    )
    tags = select(keys.archived, func.min(DeviceTag.tag), func.count())
    tags = tags.join(DeviceTag, keys.device_id == DeviceTag.device_id)
    tags = tags.group_by(DeviceTag.key, keys.archived)
    details_of: Mapping[bool, list[Row[Any]]] = {False: [], True: []}
    for row in session.execute(details):
        details_of[row.archived].append(row)
    tags_of: Mapping[bool, list[tuple[str, int]]] = {False: [], True: []}
    for archived, tag, devices in session.execute(tags):
        tags_of[archived].append((tag, devices))
    return {archived: _choices(details_of[archived], tags_of[archived]) for archived in tags_of}


def _choices(details: Iterable[Row[Any]], tags: Iterable[tuple[str, int]]) -> Choices:
    totals: dict[str, Counter[str]] = {name: Counter() for name in _DETAILS}
    versions: dict[str, Counter[str]] = defaultdict(Counter)
    for row in details:
        for name in _DETAILS:
            if (value := getattr(row, name)) is not None:
                totals[name][value] += row.devices
        if row.application is not None and row.application_version is not None:
            versions[fold(row.application)][row.application_version] += row.devices
    found = {
        name: _merged(totals[name].items()) if name in ANY_CASE else _sorted(totals[name].items())
        for name in _DETAILS
    }
    return Choices(
        **{name: value for name, value in found.items() if name != "application_version"},
        application_version={
            choice.value: _sorted(versions[fold(choice.value)].items())
            for choice in found["application"]
        },
        tag=_sorted(tags),
    )


def _merged(counts: Iterable[tuple[str, int]]) -> Sequence[Choice]:
    """Return choices that don't differ in case only, each in its most common spelling."""
    spellings: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for value, devices in counts:
        spellings[fold(value)].append((value, devices))
    return _sorted(
        (max(same, key=lambda pair: pair[1])[0], sum(devices for _, devices in same))
        for same in spellings.values()
    )


def _sorted(counts: Iterable[tuple[str, int]]) -> Sequence[Choice]:
    most = sorted(counts, key=lambda pair: -pair[1])[: limits.MAX_CHOICES]
    return sorted((Choice(*pair) for pair in most), key=lambda choice: fold(choice.value))
