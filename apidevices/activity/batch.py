"""Activity that is held in memory until the next write.

Times are text as the backend formats it: in UTC, so that it sorts chronologically. Each time is
needed in up to four rows, but formatted only once.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Self


class DeviceUpdate(NamedTuple):
    """Pending changes to the activity of one device."""

    active_at: str | None = None
    upload_at: str | None = None
    denied: int = 0
    denied_at: str | None = None

    def combine(self, other: Self) -> Self:
        """Return both updates as one: the later times, and the sum of denied requests."""
        return type(self)(
            _later(self.active_at, other.active_at),
            _later(self.upload_at, other.upload_at),
            self.denied + other.denied,
            _later(self.denied_at, other.denied_at),
        )


@dataclass(slots=True)
class Batch:
    """All updates since the last write."""

    devices: dict[int, DeviceUpdate] = field(default_factory=dict)
    # (device id, token id) -> when the device first and last used the token
    device_tokens: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    # token id -> when it was last used
    tokens: dict[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.devices or self.device_tokens or self.tokens)

    def add_device(self, device_id: int, update: DeviceUpdate) -> None:
        """Merge an update of a device into the batch."""
        known = self.devices.get(device_id)
        self.devices[device_id] = update if known is None else known.combine(update)

    def add_device_token(self, pair: tuple[int, int], first: str, last: str) -> None:
        """Record that a device has used a token."""
        if known := self.device_tokens.get(pair):
            first, last = min(known[0], first), max(known[1], last)
        self.device_tokens[pair] = (first, last)

    def add_token(self, token_id: int, used_at: str) -> None:
        """Record that a token was used."""
        known = self.tokens.get(token_id)
        if known is None or known < used_at:
            self.tokens[token_id] = used_at

    def extend(self, newer: "Batch", limit: int) -> None:
        """Merge a newer batch into this one; drop the oldest entries beyond the limit."""
        for device_id, update in newer.devices.items():
            self.add_device(device_id, update)
        for pair, (first, last) in newer.device_tokens.items():
            self.add_device_token(pair, first, last)
        for token_id, used_at in newer.tokens.items():
            self.add_token(token_id, used_at)
        self.devices = dict(list(self.devices.items())[-limit:])
        self.device_tokens = dict(list(self.device_tokens.items())[-limit:])


def _later(known: str | None, new: str | None) -> str | None:
    if known is None or new is None:
        return known or new
    return max(known, new)
