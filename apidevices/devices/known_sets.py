"""What a process remembers about devices that may be several, for up to a day.

Two devices with the same identifier take turns: each request would change what is stored. The
process remembers the sets of details that their mark knows, and writes each at most once a minute.
Of many sets, each is written less often, so that a device causes about two writes a minute.

A process remembers ``MAX_DEVICES``. While all of them take turns, it forgets none: if each pushed
out another one, each request would be written. For further devices, it reads the mark first, and
rarely writes it: see ``shared.is_recorded``.

Only hashes of the sets are kept: folded details may have thousands of characters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from apidevices.database import Database
from apidevices.devices import shared
from apidevices.devices.sets import SWING, Key, key_of
from apidevices.identity import DETAILS
from apidevices.lookup import FoundDevice

INTERVAL = timedelta(minutes=1)
"""Time between two writes about a set. It is multiplied for a device with more than
``SETS_PER_INTERVAL`` sets."""

REMEMBERED = SWING
"""For how long a device is remembered after it had another set than the stored one, if there is
room. Without that, a request with the stored set would not be reported: after ``SWING``, the set
would seem to be gone, and the next request with another one would change what is stored."""

SETS_PER_INTERVAL = 2
"""How many sets of a device are written in an interval, if all of them are seen."""

MAX_DEVICES = 1_000
"""Maximum number of devices to remember. With 2 sets, one takes 600 bytes; with 32, 2.7 KB."""

Sent = Mapping[str, str]
"""The details that a request has sent."""


@dataclass(slots=True)
class _Known:
    due: dict[int, datetime]
    interval: timedelta
    swung_at: datetime  # when a set other than the stored one was last reported
    last: int
    swings: int = 0

    def see(self, key: int) -> None:
        """Count a swing if the latest request had another set. Seeing a request twice is fine."""
        if key != self.last:
            self.last = key
            self.swings += 1

    def is_due(self, key: int, now: datetime) -> bool:
        """Return whether a request with this set must be reported."""
        due = self.due.get(key)
        # Too far ahead, and the clock was set back.
        return due is None or not now < due <= now + self.interval

    def has_swung(self, now: datetime, period: timedelta) -> bool:
        """Return whether the device has swung within a period, and not in the future."""
        return timedelta() <= now - self.swung_at < period


class KnownSets:
    """The sets of devices that may be several. All methods can be called from several threads.

    Each takes the device as it is stored, the details of a request and its time.

    Args:
        db: The database with the marks.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._devices: dict[int, _Known] = {}
        self._lock = Lock()

    def knows(self, device: FoundDevice, sent: Sent, now: datetime) -> bool:
        """Return whether a request has a known set, so that it changes nothing of the device."""
        known = self._find(device, now)
        return known is not None and _key(device, sent) in known.due

    def needs_report(self, device: FoundDevice, sent: Sent, now: datetime) -> bool:
        """Return whether a request must be reported: it has a new set, or its set is due."""
        known = self._find(device, now)
        if known is None:
            return device.differs_from(sent)
        key = _key(device, sent)
        known.see(key)
        return known.is_due(key, now)

    def claim(self, device: FoundDevice, sent: Sent, now: datetime) -> int | None:
        """Begin a report, so that no other thread writes the same set within the interval.

        Returns:
            How often the device has swung since the last report. None if there is nothing to
            report any more.
        """
        known = self._find(device, now)
        if known is None:
            if not device.differs_from(sent) or self._is_recorded(device, sent, now):
                return None
            return 0
        key = _key(device, sent)
        with self._lock:
            known.see(key)
            if not known.is_due(key, now):
                return None
            if key in known.due:
                known.due[key] = now + known.interval
            swings, known.swings = known.swings, 0
        return swings

    def remember(
        self, device: FoundDevice, sent: Sent, now: datetime, keys: frozenset[Key], *, is_new: bool
    ) -> None:
        """Remember the sets of a device after a report of one of them.

        With ``is_new``, the report has changed the device. The others are then due at once: a swing
        to a new set may bring back a dismissed mark.

        At the limit, a device is remembered only in place of one that has not been reported for an
        interval.
        """
        key = _key(device, sent)
        is_stored = key == hash(key_of(device.details))
        interval = INTERVAL * max(1, -(-len(keys) // SETS_PER_INTERVAL))
        with self._lock:
            previous = self._devices.pop(device.id, None)
            if len(self._devices) >= MAX_DEVICES and not self._forget_oldest(now):
                return
            due = {} if previous is None or is_new else previous.due
            # The stored set alone must not keep a device in memory: it would be reported forever.
            swung_at = previous.swung_at if previous and is_stored else now
            hashes = map(hash, keys)
            known = _Known({each: due.get(each, now) for each in hashes}, interval, swung_at, key)
            known.due[key] = now + interval
            known.swings = previous.swings if previous else 0
            self._devices[device.id] = known

    def _is_recorded(self, device: FoundDevice, sent: Sent, now: datetime) -> bool:
        """Return whether there is no room to remember a device, and its mark says enough."""
        if device.id in self._devices or len(self._devices) < MAX_DEVICES:
            return False
        with self._lock:
            if self._forget_oldest(now):
                return False
        stored = dict(zip(DETAILS, device.details, strict=True))
        return shared.is_recorded(self._db, device.id, stored, {**stored, **sent}, now)

    def _forget_oldest(self, now: datetime) -> bool:
        """Forget the device that was reported first, unless that was lately."""
        oldest = next(iter(self._devices))
        known = self._devices[oldest]
        if known.has_swung(now, known.interval):
            return False
        del self._devices[oldest]
        return True

    def _find(self, device: FoundDevice, now: datetime) -> _Known | None:
        known = self._devices.get(device.id)
        return known if known is not None and known.has_swung(now, REMEMBERED) else None


def _key(device: FoundDevice, sent: Sent) -> int:
    """Return the hash of the set that a request reports. Details that it lacks are as stored."""
    return hash(key_of(list(map(sent.get, DETAILS, device.details))))
