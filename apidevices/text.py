"""Decode and clean text from users (names, reasons) and from devices (details). No I/O."""

import re
import unicodedata

MAX_LENGTH = 255
"""The maximum length of names and identifiers, in characters; longer details are truncated."""

# Zero-width joiners, and the tags that make up the flags of England, Scotland and Wales.
_JOINERS = frozenset("\u200c\u200d") | frozenset(map(chr, range(0xE0020, 0xE0080)))
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that render as blanks

_ESCAPE = 0xDC00  # "surrogateescape" decodes an invalid byte b to U+DC00 + b
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_PERCENT_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def clean_text(text: str) -> str:
    """Remove control characters, collapse whitespace to single spaces and trim both ends.

    Also removes invisible formatting characters, including those that change text direction, but
    keeps the joiners that scripts and emoji need. Text without any visible character becomes "".
    """
    cleaned = [
        " " if character.isspace() or character in _BLANK else character
        for character in text
        if character.isspace()
        or character in _JOINERS
        or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    ]
    if all(character == " " or character in _JOINERS for character in cleaned):
        return ""
    return " ".join("".join(cleaned).split())


def clean_lines(text: str) -> str:
    """Clean each line like ``clean_text``, and remove empty lines at both ends."""
    return "\n".join(map(clean_text, text.splitlines())).strip("\n")


def decode_utf8(raw: str) -> str:
    """Decode UTF-8 in a WSGI string, whose characters are bytes; invalid bytes stay Latin-1."""
    try:
        data = raw.encode("latin-1")
    except UnicodeEncodeError:
        return raw  # not from a WSGI server, and already decoded
    text = data.decode("utf-8", "surrogateescape")
    return _ESCAPED_BYTE.sub(lambda match: chr(ord(match.group()) - _ESCAPE), text)


def decode_percent(text: str) -> str:
    """Decode ``%XX`` sequences that are valid UTF-8; others stay as they are."""

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
