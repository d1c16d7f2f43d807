"""Compare versions of applications, as they come: no scheme is required.

A version is read as a sequence of numbers and words; everything else separates them.

- Numbers compare as numbers: 2.9 is lower than 2.10. A missing number counts as 0: 2 equals 2.0.
- A word for a prerelease makes a version lower: 2.0-beta1 is lower than 2.0-rc1, and both are lower
  than 2.0. Any other word makes it higher: 2.0 is lower than 2.0-hotfix.
- A build number in parentheses only decides between equal versions: 2.0 (9) is lower than 2.0 (10).
- Case, a leading ``v`` and build metadata after ``+`` don't matter.
- A version without a number, such as "unknown", can't be compared.
"""

import re
from collections.abc import Sequence
from typing import Any

from apidevices.listing.search import fold

Key = tuple[tuple[Any, ...], ...]

_PART = re.compile(r"\d+|[^\W\d_]+")
_PRERELEASES = ("dev", "snapshot", "nightly", "canary", "pre", "preview", "a", "alpha", "b", "beta")
_RANKS = {
    **{word: rank for rank, word in enumerate(_PRERELEASES)},
    "a": _PRERELEASES.index("alpha"),
    "b": _PRERELEASES.index("beta"),
    "c": len(_PRERELEASES),
    "rc": len(_PRERELEASES),
}
_ZERO = (3, 0)
_END = (1,)  # sorts between prereleases (0, …) and words (2, …)


def version_key(version: str) -> Key | None:
    """Return a key to compare a version with others, or None if it contains no number."""
    release, _, build = fold(version).partition("+")[0].partition("(")
    parts = _PART.findall(release)
    if not any(part.isdecimal() for part in parts):
        return None
    if parts[0] == "v":
        del parts[0]
    return (*_key(parts), *_key(_PART.findall(build)))


def _key(parts: Sequence[str]) -> Key:
    key: list[tuple[Any, ...]] = []
    for part in parts:
        if part.isdecimal():
            key.append((3, int(part)))
            continue
        _strip_zeros(key)
        key.append((0, _RANKS[part]) if part in _RANKS else (2, part))
    _strip_zeros(key)
    return (*key, _END)


def is_below(version: str, limit: Key) -> bool:
    """Return whether a version is lower than another one, given by its key."""
    key = version_key(version)
    return key is not None and key < limit


def _strip_zeros(key: list[tuple[Any, ...]]) -> None:
    """Remove the zeros at the end, so that 2.0 equals 2."""
    while key and key[-1] == _ZERO:
        del key[-1]
