"""Responses that the event loop holds back for a moment, at the cost of no thread."""

from typing import Any

_VARIABLE = "apidevices.delay"


def hold_back(environ: dict[str, Any], seconds: float) -> None:
    """Ask the server to send the response to a request later. Other servers ignore it."""
    environ[_VARIABLE] = seconds


def delay_of(environ: dict[str, Any]) -> float:
    """Return the seconds to hold back the response to a request."""
    return float(environ.get(_VARIABLE, 0))
