"""The exceptions of this package, with one base class that each interface handles in one place.

Pages and APIs respond with 404 to ``NotFound``, with 409 to ``Conflict``, with 422 to
``InvalidInput`` and with 429 to ``LimitReached``: see ``problems.as_http_error``. Commands print
the message and exit with status 1. Messages are shown to users: they say what is wrong and what to
do next.
"""

from collections.abc import Mapping
from typing import Self

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails


class APIDevicesError(Exception):
    """Base class of the errors below."""


class NotFound(APIDevicesError, LookupError):
    """The requested object does not exist."""


class DeviceNotFound(NotFound):
    """The device does not exist."""

    def __init__(self, message: str = "This device does not exist.") -> None:
        super().__init__(message)


class DeviceMerged(DeviceNotFound):
    """The device was merged into another one; ``into_id`` is the id of that one."""

    def __init__(self, device_id: int, into_id: int) -> None:
        super().__init__(
            f"The device {device_id} was merged into the device {into_id}. Use that id instead."
        )
        self.device_id = device_id
        self.into_id = into_id


class AliasNotFound(NotFound):
    """The device has no such alias."""

    def __init__(self, message: str = "This device has no such alias.") -> None:
        super().__init__(message)


class TokenNotFound(NotFound):
    """The token does not exist."""

    def __init__(self, message: str = "This token does not exist.") -> None:
        super().__init__(message)


class ViewNotFound(NotFound):
    """The saved view does not exist."""

    def __init__(self, message: str = "This view does not exist.") -> None:
        super().__init__(message)


class MarkNotFound(NotFound):
    """The mark does not exist."""

    def __init__(self, message: str = "This device has no such mark.") -> None:
        super().__init__(message)


class InvalidInput(APIDevicesError, ValueError):
    """An input value is invalid; ``field`` is its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Conflict(APIDevicesError):
    """The operation conflicts with the current state of the data."""


class ViewExists(Conflict):
    """A saved view has this name already."""


class LimitReached(APIDevicesError):
    """A rate limit is reached. ``limit`` is its name, ``retry_after`` the seconds to wait."""

    def __init__(self, limit: str, retry_after: int, message: str | None = None) -> None:
        super().__init__(message or f"Too many requests. Try again in {retry_after} seconds.")
        self.limit = limit
        self.retry_after = retry_after


class ConfigError(APIDevicesError, click.ClickException, ValueError):
    """A setting has an invalid value. The message is one line that names the setting.

    Commands print it without a traceback.
    """

    @classmethod
    def from_validation(cls, error: ValidationError, prefix: str = "") -> Self:
        """Return an error for the first validation failure; ``prefix`` precedes the field name."""
        first = error.errors()[0]
        message = describe_validation(first, {"extra_forbidden": "unknown setting"})
        if first["loc"]:
            message = f"{prefix}{str(first['loc'][0]).upper()}: {message}"
        return cls(message)


_MESSAGES: Mapping[str, str] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "extra_forbidden": "unknown field",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "has too many digits",
    "int_type": "must be an integer",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "required",
    "model_type": "must be a JSON object",
    "string_too_long": "must have at most {max_length:,} characters",
    "string_too_short": "must not be empty",
    "string_type": "must be a string",
    "tuple_type": "must be a string or a list of strings",
    "value_error": "{error}",
}
"""Type of a pydantic error -> message, a format string for the values in the error's ``ctx``."""


def describe_validation(error: ErrorDetails, messages: Mapping[str, str] | None = None) -> str:
    """Return the message for a pydantic error, without the field name and a full stop.

    Args:
        error: One of ``ValidationError.errors()``.
        messages: Messages by error type, which take precedence over the messages above.
    """
    template = {**_MESSAGES, **(messages or {})}.get(error["type"])
    return error["msg"] if template is None else template.format(**error.get("ctx", {}))
