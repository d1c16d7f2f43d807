"""The exceptions of this package, with one base class that each interface handles in one place.

Pages and APIs respond with 404 to ``NotFound``, with 409 to ``Conflict`` and with 422 to
``InvalidInput``: see ``problems.as_http_error``. Commands print the message and exit with status 1.
Messages are shown to users: they say what is wrong and what to do next.
"""

from typing import Self

import click
from pydantic import ValidationError


class APIDevicesError(Exception):
    """Base class of the errors below."""


class NotFound(APIDevicesError, LookupError):
    """The requested object does not exist."""


class DeviceNotFound(NotFound):
    """The device does not exist."""

    def __init__(self) -> None:
        super().__init__("This device does not exist.")


class TokenNotFound(NotFound):
    """The token does not exist."""

    def __init__(self, message: str = "This token does not exist.") -> None:
        super().__init__(message)


class InvalidInput(APIDevicesError, ValueError):
    """An input value is invalid; ``field`` is its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Conflict(APIDevicesError):
    """The operation conflicts with the current state of the data."""


class ConfigError(APIDevicesError, click.ClickException, ValueError):
    """A setting has an invalid value. The message is one line that names the setting.

    Commands print it without a traceback.
    """

    @classmethod
    def from_validation(cls, error: ValidationError, prefix: str = "") -> Self:
        """Return an error for the first validation failure; ``prefix`` precedes the field name."""
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "unknown setting"
        if first["loc"]:
            message = f"{prefix}{str(first['loc'][0]).upper()}: {message}"
        return cls(message)
