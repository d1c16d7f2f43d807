"""Entries of the audit log as sentences: who did what, to what."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from apidevices.audit.recording import END_OF_BLOCK
from apidevices.models import AuditEntry

Phrase = Sequence[str]
"""The segments of a sentence, with the names of details in braces.

A segment is left out if the entry lacks one of its details, or has an empty one. ``name|text`` is
``text`` if the entry has the detail. ``{actor}`` and ``{subject}`` are always there.
"""

Kind = Literal["text", "actor", "subject", "time", "value"]

_KINDS: Mapping[str, Kind] = {"actor": "actor", "subject": "subject", "until": "time"}

_PLACEHOLDER = re.compile(r"\{(\w+)\}")

_FILTER = " (filter: {filter})"
_BLOCK = (" until {until}", ": “{reason}”")

_phrases: dict[str, Phrase] = {
    "device.renamed": ("{actor} renamed {subject}", " from “{old}”", " to “{new}”"),
    "device.renamed_to_present": ("{actor} renamed", " “{old}”", " to {subject}"),
    "device.named": ("{actor} named a device {subject}",),
    "device.unnamed": ("{actor} removed the name", " “{old}”", " of {subject}"),
    "device.annotated": ("{actor} changed the note of {subject}",),
    "device.tagged": ("{actor} tagged {subject}", " with {tags}"),
    "device.untagged": ("{actor} removed tags from {subject}", ": {tags}"),
    "device.blocked": ("{actor} blocked {subject}", *_BLOCK),
    "device.unblocked": ("{actor} unblocked {subject}",),
    "device.ended": ("The block of {subject} ended by itself",),
    "device.merged": ("{actor} merged a device into {subject}", ": {identifier}", " (“{name}”)"),
    "device.alias_removed": ("{actor} removed an alias of {subject}", ": {identifier}"),
    "device.archived": ("{actor} archived {subject}",),
    "device.unarchived": ("{actor} brought {subject} back from the archive",),
    "device.deleted": ("{actor} deleted {subject}", "keep_block| and kept its block"),
    "device.mark_dismissed": ("{actor} dismissed a mark of {subject}", ": {mark}"),
    "device.history_exported": ("{actor} exported the history of {subject}", " as {format}"),
    "devices.tagged": ("{actor} tagged {number}", " with {tags}", _FILTER),
    "devices.untagged": ("{actor} removed tags from {number}", ": {tags}", _FILTER),
    "devices.blocked": ("{actor} blocked {number}", *_BLOCK, _FILTER),
    "devices.unblocked": ("{actor} unblocked {number}", _FILTER),
    "devices.ended": ("The blocks of {number} ended by themselves",),
    "devices.archived": ("{actor} archived {number}", _FILTER),
    "devices.unarchived": ("{actor} brought {number} back from the archive", _FILTER),
    "devices.deleted": ("{actor} deleted {number}", "keep_block| and kept their blocks", _FILTER),
    "devices.exported": ("{actor} exported devices", " as {format}", ": {number}", _FILTER),
    "log.exported": ("{actor} exported the audit log", " as {format}", _FILTER),
    "view.saved": ("{actor} saved the view {subject}",),
    "view.deleted": ("{actor} deleted the view {subject}",),
    "token.created": (
        "{actor} created the API token {subject}",
        " with the scopes {scopes}",
        "requires_device_id|, which requires a device identifier",
        ", which registers up to {new_devices_per_hour} devices per hour",
    ),
    "token.revoked": ("{actor} revoked the API token {subject}",),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a sentence.

    Who, to what, a time such as "2030-05-17 12:00 UTC", a value that people or devices wrote, or
    plain text.
    """

    kind: Kind
    text: str


def add_phrases(phrases: Mapping[str, Phrase]) -> None:
    """Add the phrases of an application's own actions, by the names of the actions."""
    _phrases.update(phrases)


def sentence(entry: AuditEntry, names: Mapping[str, str]) -> Sequence[Part]:
    """Return an entry as a sentence, without a full stop.

    Args:
        entry: The entry.
        names: The names of subjects: see ``names``.
    """
    texts = _texts(entry, names)
    parts: list[Part] = []
    for segment in _phrase(entry, names.get(entry.subject)):
        condition, separator, text = segment.rpartition("|")
        needed = [condition] if separator else _PLACEHOLDER.findall(text)
        if all(texts.get(name) for name in needed):
            parts += _parts(text, texts)
    return parts


def words(name: str) -> str:
    """Return the name of a detail or action in words."""
    return name.replace("_", " ").replace(".", " ")


def detail_text(value: object) -> str:
    """Return a detail as text."""
    if isinstance(value, dict):
        return ", ".join(f"{words(key)} {detail_text(part)}" for key, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _phrase(entry: AuditEntry, name: str | None) -> Phrase:
    action, details = entry.action, entry.details
    if action == "device.renamed" and "new" in details:
        action = _naming(details.get("old"), details["new"], name)
    elif entry.actor == END_OF_BLOCK:
        action = action.replace("unblocked", "ended")
    return _phrases.get(action) or (f"{{actor}}: {words(entry.action)}, {{subject}}",)


def _naming(old: str | None, new: str | None, present: str | None) -> str:
    """Return the key of the phrase that doesn't repeat the present name of the device."""
    if not new:
        return "device.unnamed"
    if new != present:
        return "device.renamed"
    return "device.renamed_to_present" if old else "device.named"


def _texts(entry: AuditEntry, names: Mapping[str, str]) -> dict[str, str]:
    texts = {
        name: detail_text(value)
        for name, value in entry.details.items()
        if value not in (None, [], {}, "", False)
    }
    if "number" in texts:
        texts["number"] = _devices(entry.details["number"])
    if "format" in texts:
        texts["format"] = {"csv": "CSV", "json": "JSON"}.get(texts["format"], texts["format"])
    if "until" in texts:
        texts["until"] = f"{texts['until'][:16].replace('T', ' ')} UTC"
    subject = names.get(entry.subject) or entry.subject.replace(":", " ")
    return texts | {"actor": entry.actor or "unknown", "subject": subject}


def _devices(number: Any) -> str:
    if not isinstance(number, int):
        return str(number)
    return "1 device" if number == 1 else f"{number:,} devices"


def _parts(text: str, texts: Mapping[str, str]) -> Iterator[Part]:
    for position, piece in enumerate(_PLACEHOLDER.split(text)):
        if position % 2 == 0:
            if piece:
                yield Part("text", piece)
        else:
            yield Part(_KINDS.get(piece, "value"), texts[piece])
