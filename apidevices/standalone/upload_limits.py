"""The limits on uploads per day: their number and size, for each device and each token."""

from collections.abc import Iterator
from datetime import datetime

from flask import Flask, current_app
from sqlalchemy.orm import Session

from apidevices.standalone.settings import ServerSettings
from apidevices.toolkit import SETTING_PREFIX, Limiter, Rule, limits

_EXTENSION = "apidevices_standalone_upload_limits"


class UploadLimits:
    """The limits of one application.

    Args:
        limiter: Counts, and remembers refusals.
        settings: The numbers.
    """

    def __init__(self, limiter: Limiter, settings: ServerSettings) -> None:
        self._limiter = limiter
        self._device = (
            _rule("device", "UPLOADS_PER_DAY", settings.apidevices_uploads_per_day),
            _rule("device", "UPLOAD_BYTES_PER_DAY", settings.apidevices_upload_bytes_per_day),
        )
        self._token = (
            _rule("token", "TOKEN_UPLOADS_PER_DAY", settings.apidevices_token_uploads_per_day),
            _rule(
                "token",
                "TOKEN_UPLOAD_BYTES_PER_DAY",
                settings.apidevices_token_upload_bytes_per_day,
            ),
        )

    def check(self, device_id: int, token_id: int, size: int, now: datetime) -> None:
        """Refuse an upload like one that this process has just refused, without the database.

        Raises:
            LimitReached: A limit is reached.
        """
        for rule, subject, amount in self._amounts(device_id, token_id, size):
            self._limiter.check(rule, subject, now, amount)

    def take(
        self, session: Session, device_id: int, token_id: int, size: int, now: datetime
    ) -> None:
        """Count an upload, in the transaction of ``session``.

        Raises:
            LimitReached: A limit is reached.
        """
        for rule, subject, amount in self._amounts(device_id, token_id, size):
            self._limiter.take(session, rule, subject, now, amount)

    def _amounts(self, device_id: int, token_id: int, size: int) -> Iterator[tuple[Rule, str, int]]:
        for (number, total_size), subject in (
            # Separate for each token: the holder of another one could use up the device's limits.
            (self._device, f"device:{device_id}:token:{token_id}"),
            (self._token, f"token:{token_id}"),
        ):
            yield number, subject, 1
            yield total_size, subject, size


def init_app(app: Flask, settings: ServerSettings) -> None:
    """Set the limits of an application. Initialize the extension first."""
    app.extensions[_EXTENSION] = UploadLimits(app.extensions["apidevices"].limiter, settings)


def current_limits() -> UploadLimits:
    """Return the limits of the current application."""
    found: UploadLimits = current_app.extensions[_EXTENSION]
    return found


def _rule(noun: str, setting: str, number: int) -> Rule:
    unit = " bytes" if "BYTES" in setting else ""
    return Rule(
        limits.Limit(setting.lower(), number, limits.DAY),
        f"Too many uploads with this {noun}: at most {number:,}{unit} per day are stored."
        f" An administrator can raise {SETTING_PREFIX}{setting}.",
    )
