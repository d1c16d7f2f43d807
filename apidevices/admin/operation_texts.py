"""What the pages say about operations."""

from dataclasses import dataclass

from apidevices.models import Operation


@dataclass(frozen=True, slots=True)
class Words:
    """The words for a kind of operation.

    Attributes:
        running: What it does, as in "Blocking 12 devices".
        done: What has happened to a device, as in "12 devices were blocked".
        unchanged: Why a device has not changed: singular and plural.
    """

    running: str
    done: str
    unchanged: tuple[str, str]


_WORDS = {
    "block": Words("Blocking", "blocked", ("was already blocked", "were already blocked")),
    "unblock": Words("Unblocking", "unblocked", ("was not blocked", "were not blocked")),
    "rename": Words("Renaming", "renamed", ("kept its name", "kept their names")),
    "tag": Words("Tagging", "tagged", ("already had the tags", "already had the tags")),
    "untag": Words("Removing tags of", "changed", ("had no such tag", "had no such tag")),
    "tags": Words("Tagging", "tagged", ("kept its tags", "kept their tags")),
    "archive": Words("Archiving", "archived", ("was already archived", "were already archived")),
    "unarchive": Words("Unarchiving", "unarchived", ("was not archived", "were not archived")),
    "delete": Words("Deleting", "deleted", ("was kept", "were kept")),
    "undo": Words(
        "Restoring",
        "restored",
        ("has changed since and was not restored", "have changed since and were not restored"),
    ),
}

_VERBS = {"untag": "Remove tags of"}


def words(operation: Operation) -> Words:
    """Return the words for an operation."""
    return _WORDS[operation.kind]


def confirm(action: str, number: int) -> str:
    """Return what an action would do, as in "Block 12 devices"."""
    return f"{_VERBS.get(action, action.capitalize())} {devices(number)}"


def devices(number: int) -> str:
    """Return a number of devices, as in "1 device" or "1,200 devices"."""
    return "1 device" if number == 1 else f"{number:,} devices"


def title(operation: Operation) -> str:
    """Return what an operation does or has done, as in "Blocking 12 devices"."""
    if operation.finished_at is None:
        return f"{words(operation).running} {devices(operation.total)}"
    return _sentence(f"{devices(operation.changed)} {words(operation).done}").rstrip(".")


def progress(operation: Operation) -> str:
    """Return how far an operation has come."""
    done = operation.changed + operation.unchanged
    return f"{done:,} of {devices(operation.total)} {words(operation).done}"


def result(operation: Operation) -> str:
    """Return what an operation has done, and what not."""
    said = words(operation)
    was = "was" if operation.changed == 1 else "were"
    parts = [f"{devices(operation.changed)} {was} {said.done}"] if operation.changed else []
    if operation.unchanged:
        parts.append(f"{operation.unchanged:,} {said.unchanged[operation.unchanged != 1]}")
    missing = operation.total - operation.changed - operation.unchanged
    if operation.error is not None:
        parts.append(f"{missing:,} {'is' if missing == 1 else 'are'} left")
    elif missing:
        parts.append(f"{missing:,} no longer {'exists' if missing == 1 else 'exist'}")
    text = ", ".join(parts) or f"No devices were {said.done}"
    return f"{text}. {operation.error}" if operation.error else f"{text}."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
