"""Request headers -> DeviceIdentity: what a device says of itself. Pure, like ``text``.

A header arrives in the WSGI environment as its bytes read as Latin-1. Clients send UTF-8, or
percent-encoded UTF-8 where their HTTP library refuses anything but ASCII.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apidevices.text import MAX_LENGTH, clean_text, decode_percent, decode_utf8

DETAILS = (
    "application",
    "application_version",
    "os",
    "os_version",
    "manufacturer",
    "model",
)
"""The six fields that a device may report beside its identifier, in the order of display."""

DEFAULT_HEADERS: Mapping[str, Sequence[str]] = {
    "identifier": ("X-Device-ID",),
    "application": ("X-Device-Application",),
    "application_version": ("X-Device-Application-Version",),
    "os": ("X-Device-OS",),
    "os_version": ("X-Device-OS-Version",),
    "manufacturer": ("X-Device-Manufacturer",),
    "model": ("X-Device-Model",),
}
"""Field -> the header names that carry it; the first one present and not empty wins."""

_PRINTABLE_ASCII = re.compile(r"[!-$&-~]+(?: [!-$&-~]+)*")  # nothing to decode, fold or remove


class InvalidIdentifier(ValueError):
    """The identifier is not 1 to 255 printable characters without a comma; says why."""


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """What one request says of its device.

    ``details`` holds only what was said: a header that is missing or empty is not in it.
    """

    identifier: str
    details: Mapping[str, str]


class IdentityReader:
    """Reads the identity from WSGI environments, by one table of header names."""

    def __init__(self, headers: Mapping[str, Sequence[str]] = DEFAULT_HEADERS) -> None:
        self.header = headers["identifier"][0]
        self._identifier_keys = [_environ_key(name) for name in headers["identifier"]]
        self._detail_keys = [
            (field, [_environ_key(name) for name in headers[field]]) for field in DETAILS
        ]

    def identifier(self, environ: Mapping[str, Any]) -> str | None:
        """Return which device calls, or None where no identifier header was sent.

        Raises:
            InvalidIdentifier: one was sent, and it can't name a device.
        """
        raw = _first(environ, self._identifier_keys)
        return None if raw is None else clean_identifier(raw)

    def details(self, environ: Mapping[str, Any]) -> dict[str, str]:
        """Return what the device says of itself: only what was said."""
        details = {}
        for field, keys in self._detail_keys:
            value = _first(environ, keys)
            if value and (text := clean_detail(value)):
                details[field] = text
        return details


def clean_identifier(raw: str) -> str:
    """Return an identifier as it is stored: UTF-8 decoded, ends trimmed, nothing else changed.

    Percent-encoding is left alone, and bytes that are not UTF-8 are refused rather than guessed
    at: two different identifiers must never become one.

    Raises:
        InvalidIdentifier: see the class.
    """
    try:
        text = raw.encode("latin-1").decode("utf-8").strip()
    except UnicodeEncodeError:
        text = raw.strip()  # no server made this environment, and it is text already
    except UnicodeDecodeError:
        raise InvalidIdentifier("The device identifier is not valid UTF-8.") from None
    if not text:
        raise InvalidIdentifier("The device identifier is empty.")
    if len(text) > MAX_LENGTH:
        raise InvalidIdentifier(f"The device identifier has over {MAX_LENGTH} characters.")
    if "," in text:
        raise InvalidIdentifier(
            "The device identifier holds a comma, or its header was sent more than once."
        )
    if not text.isprintable():
        raise InvalidIdentifier("The device identifier holds a character that can't be printed.")
    return text


def clean_detail(raw: str) -> str:
    """Return a detail decoded, cleaned and cut to ``MAX_LENGTH`` characters."""
    if _PRINTABLE_ASCII.fullmatch(raw):
        return raw[:MAX_LENGTH].rstrip()
    return clean_text(decode_percent(decode_utf8(raw)))[:MAX_LENGTH].rstrip()


def _environ_key(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def _first(environ: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """Return the first of these headers that says something, else "" if any was sent, else None."""
    found = None
    for key in keys:
        value: str | None = environ.get(key)
        if value:
            return value
        if value is not None:
            found = value
    return found
