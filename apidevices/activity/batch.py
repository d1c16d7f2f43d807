"""Activity that is held in memory until the next write.

Times are text as the backend formats it: in UTC, so that it sorts chronologically. Each time is
needed in up to four rows, but formatted only once.

There is one dictionary per kind of activity rather than one object per device, because Python's
garbage collector ignores dictionaries of numbers and texts. Thousands of small objects would make
it run more often, at the expense of the requests.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeVar

Origin = tuple[str, int | None]
"""Where a request came from: the address, or an empty text if unknown, and the id of the token."""

Key = TypeVar("Key", int, tuple[int, int])
Value = TypeVar("Value", int, str, Origin)


@dataclass(slots=True)
class Batch:
    """All activity since the last write."""

    # device id -> time
    active_at: dict[int, str] = field(default_factory=dict)
    upload_at: dict[int, str] = field(default_factory=dict)
    denied_at: dict[int, str] = field(default_factory=dict)
    # device id -> number of denied requests
    denied: dict[int, int] = field(default_factory=dict)
    # device id -> address and token id of the last denied request
    denied_from: dict[int, Origin] = field(default_factory=dict)
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
        return self.active_at.keys() | self.upload_at.keys() | self.denied.keys()

    def add_request(self, device_id: int, time: str, *, upload: bool) -> None:
        """Add an allowed request by a device."""
        _keep_latest(self.active_at, device_id, time)
        if upload:
            _keep_latest(self.upload_at, device_id, time)

    def add_denials(self, device_id: int, count: int, last: str, origin: Origin) -> None:
        """Add denied requests by a device; ``origin`` is that of the last one."""
        self.denied[device_id] = self.denied.get(device_id, 0) + count
        known = self.denied_at.get(device_id)
        if known is None or known <= last:
            self.denied_at[device_id] = last
            self.denied_from[device_id] = origin

    def add_token_use(self, token_id: int, time: str) -> None:
        """Add a request with a token."""
        _keep_latest(self.token_used_at, token_id, time)

    def add_device_token(self, pair: tuple[int, int], first: str, last: str) -> None:
        """Add the use of a token by a device."""
        known = self.first_used_at.get(pair)
        if known is None or first < known:
            self.first_used_at[pair] = first
        _keep_latest(self.last_used_at, pair, last)

    def extend(self, newer: "Batch", limit: int) -> None:
        """Merge a newer batch into this one; drop the oldest entries beyond the limit."""
        for device_id, time in newer.active_at.items():
            _keep_latest(self.active_at, device_id, time)
        for device_id, time in newer.upload_at.items():
            _keep_latest(self.upload_at, device_id, time)
        for device_id, count in newer.denied.items():
            last = newer.denied_at[device_id]
            self.add_denials(device_id, count, last, newer.denied_from[device_id])
        for pair, first in newer.first_used_at.items():
            self.add_device_token(pair, first, newer.last_used_at[pair])
        for token_id, time in newer.token_used_at.items():
            self.add_token_use(token_id, time)
        for times in (self.active_at, self.upload_at, self.denied_at):
            _drop_oldest(times, limit)
        _drop_oldest(self.denied, limit)
        _drop_oldest(self.denied_from, limit)
        for uses in (self.first_used_at, self.last_used_at):
            _drop_oldest(uses, limit)


def _keep_latest(times: dict[Key, str], key: Key, time: str) -> None:
    known = times.get(key)
    if known is None or known < time:
        times[key] = time


def _drop_oldest(entries: dict[Key, Value], limit: int) -> None:
    for key in list(entries)[: max(0, len(entries) - limit)]:
        del entries[key]
