"""The limits on what devices report: registrations and changes of their details."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from apidevices.limiter import Limiter, Rule
from apidevices.limits import HOUR, Limit
from apidevices.lookup import FoundToken
from apidevices.networks import network_of

UNUSUAL_INTERVAL = timedelta(days=1)
"""A device that changes its details again within this time counts against its token's limit. The
first change does not: after an update, all devices of a fleet change their details at once."""


class ReportNumbers(NamedTuple):
    """How much devices may report per hour; 0 for no limit: see ``config.Settings``."""

    new_devices: int = 0
    changes: int = 0
    token_changes: int = 0


@dataclass(frozen=True, slots=True)
class ReportLimits:
    """The limits for one request.

    Args:
        limiter: Counts, and remembers refusals.
        numbers: The numbers of the application's settings.
        token: The token of the request, or None without API Devices tokens. Then the limits of a
            token apply to the client's address.
        address: The address of the client.
        now: The time of the request.
    """

    limiter: Limiter
    numbers: ReportNumbers
    token: FoundToken | None
    address: str | None
    now: datetime

    def check(self, device_id: int | None) -> None:
        """Refuse a report that this process has refused just now, without the database.

        Args:
            device_id: The device, or None if it is not registered.

        Raises:
            LimitReached: A limit is reached.
        """
        if device_id is None:
            self.limiter.check(self._new_devices(), self._subject, self.now)
        else:
            self.limiter.check(self._changes(), self._device(device_id), self.now)

    def take_registration(self, session: Session) -> None:
        """Count a registration, in the transaction of ``session``.

        Raises:
            LimitReached: The limit is reached.
        """
        self.limiter.take(session, self._new_devices(), self._subject, self.now)

    def take_change(self, session: Session, device_id: int, last_change: datetime) -> None:
        """Count a change of a device's details, in the transaction of ``session``.

        Args:
            session: The session.
            device_id: The device.
            last_change: When the device was registered or changed its details most recently.

        Raises:
            LimitReached: A limit is reached.
        """
        self.limiter.take(session, self._changes(), self._device(device_id), self.now)
        if self.now - last_change < UNUSUAL_INTERVAL:
            self.limiter.take(session, self._token_changes(), self._subject, self.now)

    @property
    def _subject(self) -> str:
        if self.token is not None:
            return f"token:{self.token.id}"
        return f"address:{network_of(self.address)}"

    def _device(self, device_id: int) -> str:
        # Separate for each token: the holder of another one could use up the device's limit.
        return f"device:{device_id}:{self._subject}"

    @property
    def _source(self) -> str:
        return "from this address" if self.token is None else "with this token"

    def _new_devices(self) -> Rule:
        setting, number = "NEW_DEVICES_PER_HOUR", self.numbers.new_devices
        remedies = [f"raise APIDEVICES_{setting}"]
        if self.token is not None:
            remedies.append("create a token with a higher limit")
            if self.token.new_devices_per_hour is not None:
                number = self.token.new_devices_per_hour
                del remedies[0]
        return Rule(
            Limit(setting.lower(), number, HOUR),
            f"Too many new devices {self._source}: at most {number:,} per hour can be"
            f" registered. Registered devices are not affected. An administrator can"
            f" {' or '.join(remedies)}.",
        )

    def _changes(self) -> Rule:
        setting, number = "CHANGES_PER_HOUR", self.numbers.changes
        return Rule(
            Limit(setting.lower(), number, HOUR),
            f"This device has changed its details too often {self._source}: it may do so at most"
            f" {number:,} times per hour. Check whether several devices use the same identifier."
            f" An administrator can raise APIDEVICES_{setting}.",
        )

    def _token_changes(self) -> Rule:
        setting, number = "TOKEN_CHANGES_PER_HOUR", self.numbers.token_changes
        return Rule(
            Limit(setting.lower(), number, HOUR),
            f"Devices {self._source} keep changing their details: at most {number:,}"
            " repeated changes per hour are stored. An administrator can raise"
            f" APIDEVICES_{setting}.",
        )
