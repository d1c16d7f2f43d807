"""Errors that this package raises, by kind; each edge maps a kind once.

Pages and the management API answer ``NotFound`` with 404, ``InvalidInput`` with 422 and
``Conflict`` with 409. Commands print the message and exit with 1. Messages are for people: they
say what is wrong and what to do.
"""

from typing import Self

import click
from pydantic import ValidationError


class APIDevicesError(Exception):
    """Base class of the errors below."""


class NotFound(APIDevicesError, LookupError):
    """What was asked for does not exist."""


class DeviceNotFound(NotFound):
    """There is no such device."""

    def __init__(self) -> None:
        super().__init__("There is no such device.")


class TokenNotFound(NotFound):
    """There is no such token."""

    def __init__(self, message: str = "There is no such token.") -> None:
        super().__init__(message)


class InvalidInput(APIDevicesError, ValueError):
    """A value can't be used; ``field`` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Conflict(APIDevicesError):
    """The state of the data does not allow it."""


class ConfigError(APIDevicesError, click.ClickException, ValueError):
    """A setting has an invalid value. The message is one line that names the setting.

    Commands print it without a traceback.
    """

    @classmethod
    def from_validation(cls, error: ValidationError, prefix: str = "") -> Self:
        """Return the first problem that validation found; ``prefix`` goes before the name."""
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "there is no such setting"
        if first["loc"]:
            message = f"{prefix}{str(first['loc'][0]).upper()}: {message}"
        return cls(message)
