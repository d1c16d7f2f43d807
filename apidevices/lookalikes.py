"""Find characters that look like others, so that an administrator can tell twins apart.

The data is Unicode's (UTS #39), from ``confusable_homoglyphs``. It is loaded when it is needed for
the first time: most texts are ASCII and don't need it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from apidevices.identity import DETAILS
from apidevices.models import Device

_WORD = re.compile(r"[^\W_]+")

# Chinese, Japanese and Korean mix these with each other and with Latin.
_EAST_ASIAN = frozenset({"HAN", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL"})
_NO_SCRIPT = frozenset({"COMMON", "INHERITED", "UNKNOWN"})
_ORDINARY = frozenset("ı")  # Unicode's data lists it like "i", but Turkish can't do without it
_FULLWIDTH = re.compile("[\uff01-\uff5e]")  # Latin letters and digits in East Asian texts


class Lookalike(NamedTuple):
    """A character that looks like another, with its code point ("U+0430") and Unicode name."""

    character: str
    code_point: str
    name: str

    @property
    def shown(self) -> str:
        """The character, with a dotted circle for what it combines with."""
        is_mark = unicodedata.category(self.character).startswith("M")
        return f"\u25cc{self.character}" if is_mark else self.character


def of_device(device: Device) -> Mapping[str, Sequence[Lookalike]]:
    """Return the lookalikes in the identifier, the name and the details of a device, by label."""
    texts = {"Identifier": device.identifier, "Name": device.name} | {
        field.replace("_", " ").capitalize().replace("Os", "OS"): getattr(device, field)
        for field in DETAILS
    }
    found = {
        label: find(text, is_identifier=label == "Identifier")
        for label, text in texts.items()
        if text
    }
    return {label: lookalikes for label, lookalikes in found.items() if lookalikes}


def find(text: str, *, is_identifier: bool = False) -> Sequence[Lookalike]:
    """Return the characters of a text that look like others, each once, in their order.

    These are letters of one script in a word of another, the letters of a script that all look like
    ASCII, unusual forms of ASCII characters, and characters that Unicode regards as another
    spelling of others. Texts in one script, with accents, or in Japanese have none.

    Args:
        text: The text.
        is_identifier: Whether to include punctuation and fullwidth forms that look like ASCII.
            Names contain them for good reasons.
    """
    if text.isascii():
        return ()
    wanted = {
        *_decomposed(text),
        *_unusual_forms(text, is_identifier),
        *_mixed(text),
        *_disguised(text),
    }
    return [
        Lookalike(character, f"U+{ord(character):04X}", unicodedata.name(character, "unnamed"))
        for character in dict.fromkeys(text)
        if character in wanted
    ]


def _decomposed(text: str) -> Iterable[str]:
    """Return characters that are equivalent to others, such as a letter's separate accent."""
    composed = unicodedata.normalize("NFC", text)
    return {character for character in text if character not in composed and character > "\x7f"}


def _unusual_forms(text: str, is_identifier: bool) -> Iterator[str]:
    """Yield Latin letters and symbols that look like ASCII, such as mathematical letters."""
    for character in set(text) - _ORDINARY:
        script = _script(character)
        if _FULLWIDTH.match(character):
            is_unusual = is_identifier
        else:
            is_unusual = (
                (script == "LATIN" or script in _NO_SCRIPT)
                and (is_identifier or character.isalnum())
                and _looks_like_ascii(character)
            )
        if is_unusual:
            yield character


def _mixed(text: str) -> Iterator[str]:
    """Yield letters in a word of another script that look like letters of that script."""
    for word in _WORD.findall(text):
        by_script = _by_script(word)
        if len(by_script) < 2 or by_script.keys() <= {*_EAST_ASIAN, "LATIN"}:
            continue
        main = _main_script(by_script)
        others = by_script.keys() - {main}
        odd = [letter for script in others for letter in by_script[script]]
        found = [letter for letter in odd if main in _scripts_like(letter)]
        yield from found or [each for each in by_script[main] if others & _scripts_like(each)]


def _main_script(by_script: Mapping[str, Sequence[str]]) -> str:
    """Return the script that a word with several scripts seems to be in."""
    others = [letter for script, used in by_script.items() if script != "LATIN" for letter in used]
    if "LATIN" in by_script and all(map(_looks_like_ascii, others)):
        return "LATIN"
    return max(by_script, key=lambda script: len(by_script[script]))


def _disguised(text: str) -> Iterator[str]:
    """Yield the letters of each script whose letters in the text all look like ASCII."""
    letters = _by_script("".join(_WORD.findall(text)))
    for script, used in letters.items():
        if script not in {*_EAST_ASIAN, "LATIN"} and all(map(_looks_like_ascii, used)):
            yield from used


def _by_script(word: str) -> Mapping[str, Sequence[str]]:
    """Return the letters of a word by their scripts, without digits and the like."""
    scripted = sorted((_script(character), character) for character in word)
    grouped = groupby(scripted, key=lambda pair: pair[0])
    return {
        script: [character for _, character in pairs]
        for script, pairs in grouped
        if script not in _NO_SCRIPT
    }


def _script(character: str) -> str:
    from confusable_homoglyphs import categories

    script: str = categories.alias(character).upper()
    return script


def _looks_like_ascii(character: str) -> bool:
    return character > "\x7f" and any(
        len(each) == 1 and each <= "\x7f" for each in _like(character)
    )


def _scripts_like(character: str) -> set[str]:
    """Return the scripts that have a character that looks like this one."""
    return {_script(each) for each in _like(character) if len(each) == 1}


def _like(character: str) -> Sequence[str]:
    """Return the characters, or sequences of them, that look like this one."""
    from confusable_homoglyphs import confusables

    return [homoglyph["c"] for homoglyph in confusables.confusables_data.get(character, ())]
