"""Activity that is held in memory until the next write.

Times are text as the backend formats it: in UTC, so that it sorts chronologically. Each time is
needed in up to four rows, but formatted only once.

There is one dictionary per kind of activity rather than one object per device, because Python's
garbage collector ignores dictionaries of numbers and texts. Thousands of small objects would make
it run more often, at the expense of the requests.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

Origin = tuple[str, int | None]
"""Where a request came from: the address, or an empty text if unknown, and the id of the token."""

DeviceAndDay = tuple[int, str]
"""The id of a device, and a day such as ``2030-05-17``."""

Key = TypeVar("Key", int, tuple[int, int], DeviceAndDay)
Value = TypeVar("Value", int, str, Origin)


@dataclass(slots=True)
class Batch:
    """All activity since the last write."""

    # device id -> time
    active_at: dict[int, str] = field(default_factory=dict)
    upload_at: dict[int, str] = field(default_factory=dict)
    # (device id, day) -> number of denied requests, first and last time, and origin of the last
    denied: dict[DeviceAndDay, int] = field(default_factory=dict)
    first_denied_at: dict[DeviceAndDay, str] = field(default_factory=dict)
    last_denied_at: dict[DeviceAndDay, str] = field(default_factory=dict)
    denied_from: dict[DeviceAndDay, Origin] = field(default_factory=dict)
    # (device id, token id) -> when the device first and last used the token
    first_used_at: dict[tuple[int, int], str] = field(default_factory=dict)
    last_used_at: dict[tuple[int, int], str] = field(default_factory=dict)
    # token id -> when it was last used
    token_used_at: dict[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.active_at or self.denied or self.token_used_at)

    def __len__(self) -> int:
        """Return the number of rows to write."""
        return len(self.device_ids) + len(self.last_used_at) + len(self.token_used_at)

    @property
    def device_ids(self) -> Collection[int]:
        """The ids of all devices with activity."""
        return self.active_at.keys() | self.upload_at.keys() | {id_ for id_, _ in self.denied}

    def add_request(self, device_id: int, time: str, *, upload: bool) -> None:
        """Add an allowed request by a device."""
        _keep_latest(self.active_at, device_id, time)
        if upload:
            _keep_latest(self.upload_at, device_id, time)

    def add_denials(
        self, key: DeviceAndDay, count: int, first: str, last: str, origin: Origin
    ) -> None:
        """Add denied requests by a device on a day; ``origin`` is that of the last one."""
        self.denied[key] = self.denied.get(key, 0) + count
        known = self.first_denied_at.get(key)
        if known is None or first < known:
            self.first_denied_at[key] = first
        known = self.last_denied_at.get(key)
        if known is None or known <= last:
            self.last_denied_at[key] = last
            self.denied_from[key] = origin

    def add_token_use(self, token_id: int, time: str) -> None:
        """Add a request with a token."""
        _keep_latest(self.token_used_at, token_id, time)

    def add_device_token(self, pair: tuple[int, int], first: str, last: str) -> None:
        """Add the use of a token by a device."""
        known = self.first_used_at.get(pair)
        if known is None or first < known:
            self.first_used_at[pair] = first
        _keep_latest(self.last_used_at, pair, last)

    def moved(self, into: Mapping[int, int]) -> "Batch":
        """Return the activity of devices that were merged into others, as activity of those.

        Args:
            into: Id of a merged device -> id of the other one.
        """
        batch = Batch()
        for known, moved in ((self.active_at, batch.active_at), (self.upload_at, batch.upload_at)):
            for device_id in known.keys() & into.keys():
                _keep_latest(moved, into[device_id], known[device_id])
        for key, count in self.denied.items():
            device_id, day = key
            if device_id in into:
                times = self.first_denied_at[key], self.last_denied_at[key]
                batch.add_denials((into[device_id], day), count, *times, self.denied_from[key])
        for pair in self.last_used_at:
            device_id, token_id = pair
            if device_id in into:
                first, last = self.first_used_at[pair], self.last_used_at[pair]
                batch.add_device_token((into[device_id], token_id), first, last)
        return batch

    def extend(self, newer: "Batch", limit: int) -> None:
        """Merge a newer batch into this one; drop the oldest entries beyond the limit."""
        for device_id, time in newer.active_at.items():
            _keep_latest(self.active_at, device_id, time)
        for device_id, time in newer.upload_at.items():
            _keep_latest(self.upload_at, device_id, time)
        for key, count in newer.denied.items():
            times = newer.first_denied_at[key], newer.last_denied_at[key]
            self.add_denials(key, count, *times, newer.denied_from[key])
        for pair, first in newer.first_used_at.items():
            self.add_device_token(pair, first, newer.last_used_at[pair])
        for token_id, time in newer.token_used_at.items():
            self.add_token_use(token_id, time)
        for active_at in (self.active_at, self.upload_at):
            _drop_oldest(active_at, limit)
        _drop_oldest(self.denied, limit)
        for denied_at in (self.first_denied_at, self.last_denied_at):
            _drop_oldest(denied_at, limit)
        _drop_oldest(self.denied_from, limit)
        for used_at in (self.first_used_at, self.last_used_at):
            _drop_oldest(used_at, limit)


def _keep_latest(times: dict[Key, str], key: Key, time: str) -> None:
    known = times.get(key)
    if known is None or known < time:
        times[key] = time


def _drop_oldest(entries: dict[Key, Value], limit: int) -> None:
    for key in list(entries)[: max(0, len(entries) - limit)]:
        del entries[key]
