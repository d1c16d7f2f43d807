"""The audit log: who did what, to what, and when."""

from apidevices.audit.log import (
    Cursor,
    LogFilters,
    LogPage,
    actions,
    actors,
    iterate,
    latest,
    names,
    page,
)
from apidevices.audit.recording import COMMAND_LINE, END_OF_BLOCK, STALE_RULE, Action, record
from apidevices.audit.sentences import Part, add_phrases, detail_text, sentence, words

__all__ = [
    "COMMAND_LINE",
    "END_OF_BLOCK",
    "STALE_RULE",
    "Action",
    "Cursor",
    "LogFilters",
    "LogPage",
    "Part",
    "actions",
    "actors",
    "add_phrases",
    "detail_text",
    "iterate",
    "latest",
    "names",
    "page",
    "record",
    "sentence",
    "words",
]
