"""Read a device's identity from request headers. No I/O.

The WSGI environment contains header bytes decoded as Latin-1. Clients send UTF-8, or
percent-encoded UTF-8 if their HTTP library accepts only ASCII.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from apidevices.text import MAX_LENGTH, clean_text, decode_percent, decode_utf8

DETAILS = (
    "application",
    "application_version",
    "os",
    "os_version",
    "manufacturer",
    "model",
)
"""The six details that a device can report about itself, in display order."""

DEFAULT_HEADERS: Mapping[str, Sequence[str]] = {
    "identifier": ("X-Device-ID",),
    "application": ("X-Device-Application",),
    "application_version": ("X-Device-Application-Version",),
    "os": ("X-Device-OS",),
    "os_version": ("X-Device-OS-Version",),
    "manufacturer": ("X-Device-Manufacturer",),
    "model": ("X-Device-Model",),
}
"""Field -> accepted header names; the first that is present and not empty wins."""

_PRINTABLE_ASCII = re.compile(r"[!-$&-~]+(?: [!-$&-~]+)*")  # needs no cleaning
# Characters that str.isprintable() accepts although they are default-ignorable, blank, or visible
# only in how others are joined. A test compares them with the properties of all characters.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u2d7f\u3164\ufe00-\ufe0f\uffa0\ufffc"
    "\U0001107f\U00013441\U00013442\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)


class InvalidIdentifier(ValueError):
    """The identifier is empty, too long or not UTF-8, or has an invisible character or a comma."""


class DeviceIdentity(NamedTuple):
    """The identity of a device, as reported by one request.

    ``details`` contains only what the request sent, no missing or empty headers.
    """

    identifier: str
    details: Mapping[str, str]


class IdentityReader:
    """Reads identities from WSGI environments, for a given mapping of fields to header names."""

    def __init__(self, headers: Mapping[str, Sequence[str]] = DEFAULT_HEADERS) -> None:
        self.header = headers["identifier"][0]
        self._identifier_keys = [_environ_key(name) for name in headers["identifier"]]
        self._detail_keys = [
            (field, [_environ_key(name) for name in headers[field]]) for field in DETAILS
        ]

    def identifier(self, environ: Mapping[str, Any]) -> str | None:
        """Return the device identifier of a request, or None if it sent none.

        Raises:
            InvalidIdentifier: The identifier is invalid.
        """
        raw = _first(environ, self._identifier_keys)
        return None if raw is None else clean_identifier(raw)

    def details(self, environ: Mapping[str, Any]) -> dict[str, str]:
        """Return the details that the request sent, by field, cleaned."""
        details = {}
        for field, keys in self._detail_keys:
            for key in keys:
                if value := environ.get(key):
                    clean = clean_detail if len(value) > MAX_LENGTH else _clean_short_detail
                    if text := clean(value):
                        details[field] = text
                    break
        return details


def clean_identifier(raw: str) -> str:
    """Return an identifier as it is stored: decoded from UTF-8, with both ends trimmed.

    Nothing else is normalized, so that different identifiers never become the same: percent
    encoding stays as it is, and invalid UTF-8 is rejected.

    Raises:
        InvalidIdentifier: The identifier is invalid.
    """
    text = raw.strip() if raw.isascii() else _decode_identifier(raw)
    if not text:
        raise InvalidIdentifier("The device identifier is empty.")
    if len(text) > MAX_LENGTH:
        raise InvalidIdentifier(f"The device identifier is longer than {MAX_LENGTH} characters.")
    if "," in text:
        raise InvalidIdentifier(
            "The device identifier contains a comma, or its header was sent more than once."
        )
    if not text.isprintable() or (not text.isascii() and _INVISIBLE.search(text)):
        raise InvalidIdentifier("The device identifier contains an invisible character.")
    # A combining mark would combine with whatever is shown before the identifier.
    if text[0] > "\x7f" and unicodedata.category(text[0]).startswith("M"):
        raise InvalidIdentifier("The device identifier starts with a combining mark.")
    return text


def _decode_identifier(raw: str) -> str:
    try:
        return raw.encode("latin-1").decode("utf-8").strip()
    except UnicodeEncodeError:
        return raw.strip()  # not from a WSGI server, and already decoded
    except UnicodeDecodeError:
        raise InvalidIdentifier("The device identifier is not valid UTF-8.") from None


def clean_detail(raw: str) -> str:
    """Decode and clean a detail, and truncate it to ``MAX_LENGTH`` characters."""
    if _PRINTABLE_ASCII.fullmatch(raw):
        return raw[:MAX_LENGTH].rstrip()
    return clean_text(decode_percent(decode_utf8(raw)))[:MAX_LENGTH].rstrip()


# Many devices report the same few models and versions. Long values would use too much memory.
_clean_short_detail = lru_cache(maxsize=1024)(clean_detail)


def _environ_key(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def _first(environ: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """Return the first value that is not empty, "" if all are, or None if no header was sent."""
    found = None
    for key in keys:
        value: str | None = environ.get(key)
        if value:
            return value
        if value is not None:
            found = value
    return found
