"""Rules for text from outside: how it is decoded and cleaned, and how long it may be. Pure.

They hold for the names and reasons that people enter and for what devices report of themselves.
"""

import re
import unicodedata

MAX_LENGTH = 255
"""Characters of a name or identifier at most; a longer detail is cut to this."""

# Zero-width joiners, and the tags that make up the flags of England, Scotland and Wales.
_JOINERS = frozenset("\u200c\u200d") | frozenset(map(chr, range(0xE0020, 0xE0080)))
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols without a shape

_ESCAPE = 0xDC00  # where "surrogateescape" puts a byte that is not UTF-8
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_PERCENT_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def clean_text(text: str) -> str:
    """Remove control characters, collapse white space to single spaces and trim the ends.

    Invisible format characters and those that change the direction of text go too, except for the
    joiners that scripts and emoji need. A text with nothing visible left becomes empty.
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


def decode_utf8(raw: str) -> str:
    """Decode the UTF-8 in a WSGI string, whose characters are bytes; invalid bytes stay."""
    try:
        data = raw.encode("latin-1")
    except UnicodeEncodeError:
        return raw  # not made by a server, and decoded already
    text = data.decode("utf-8", "surrogateescape")
    return _ESCAPED_BYTE.sub(lambda match: chr(ord(match.group()) - _ESCAPE), text)


def decode_percent(text: str) -> str:
    """Decode runs of ``%XX`` that are UTF-8; other sequences stay as they are."""

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
