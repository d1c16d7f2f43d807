"""Request headers -> DeviceIdentity: what a device says of itself. Pure, and imports nothing else.

A header arrives in the WSGI environment as its bytes read as Latin-1. Clients send UTF-8, or
percent-encoded UTF-8 where their HTTP library refuses anything but ASCII.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_LENGTH = 255
"""Characters of an identifier at most; a longer detail is cut to this."""

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

# Zero-width joiners, and the tags that make up the flags of England, Scotland and Wales.
_JOINERS = frozenset("\u200c\u200d") | frozenset(map(chr, range(0xE0020, 0xE0080)))
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols without a shape

_ESCAPE = 0xDC00  # where "surrogateescape" puts a byte that is not UTF-8
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_PERCENT_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
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
    """Return a detail as the text that it means, cleaned, at most ``MAX_LENGTH`` characters."""
    if _PRINTABLE_ASCII.fullmatch(raw):
        return raw[:MAX_LENGTH].rstrip()
    return clean_text(_decode_percent(_decode_bytes(raw)))[:MAX_LENGTH].rstrip()


def clean_text(text: str) -> str:
    """Remove control characters, fold white space to single spaces and trim the ends.

    Control characters are those that turn the direction of text or take no room, too, but for the
    joiners that scripts and emoji need. What has nothing left to see is empty.
    """
    kept = [
        " " if character.isspace() or character in _BLANK else character
        for character in text
        if character.isspace()
        or character in _JOINERS
        or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    ]
    if all(character == " " or character in _JOINERS for character in kept):
        return ""
    return " ".join("".join(kept).split())


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


def _decode_bytes(raw: str) -> str:
    """Read Latin-1 text as the UTF-8 that it carries; bytes that are not UTF-8 stay as they are."""
    try:
        data = raw.encode("latin-1")
    except UnicodeEncodeError:
        return raw  # no server made this environment, and it is text already
    text = data.decode("utf-8", "surrogateescape")
    return _ESCAPED_BYTE.sub(lambda match: chr(ord(match.group()) - _ESCAPE), text)


def _decode_percent(text: str) -> str:
    """Decode runs of ``%XX`` that are UTF-8; the other sequences stay as they are."""

    def decode(match: re.Match[str]) -> str:
        run, position, decoded = match.group(), 0, []
        data = bytes.fromhex(run.replace("%", ""))
        for character in data.decode("utf-8", "surrogateescape"):
            if _ESCAPED_BYTE.match(character):
                decoded.append(run[position : position + 3])
                position += 3
            else:
                decoded.append(character)
                position += 3 * len(character.encode())
        return "".join(decoded)

    return _PERCENT_ENCODED.sub(decode, text)
