"""The audit log as CSV or JSON lines."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from apidevices import audit
from apidevices.audit import LogFilters
from apidevices.clock import rfc3339
from apidevices.database import Database
from apidevices.export.spreadsheet import BYTE_ORDER_MARK, csv_rows
from apidevices.models import AuditEntry
from apidevices.representation import AuditJson, audit_json

CHUNK = 500
"""How many entries make up a chunk."""


def run_log(
    db: Database, filters: LogFilters, extension: str, *, actor: str, now: datetime
) -> Iterator[str]:
    """Record an export of the audit log in it, and return its chunks, newest entries first.

    Its own entry is among them. No transaction is open between two chunks.

    Args:
        db: The database.
        filters: Which entries.
        extension: ``csv`` or ``jsonl``.
        actor: Who gets the entries.
        now: The current time.
    """
    details: dict[str, Any] = {"format": "CSV" if extension == "csv" else "JSON lines"}
    if given := _described(filters):
        details["filter"] = given
    with db.write() as session:
        audit.record(session, audit.Action.LOG_EXPORTED, "log", actor=actor, at=now, **details)
    entries = audit.iterate(db, filters)
    return _csv(entries) if extension == "csv" else _json_lines(entries)


def _described(filters: LogFilters) -> dict[str, Any]:
    given = {
        "actor": filters.actor,
        "action": filters.action,
        "device": filters.device,
        "from": rfc3339(filters.since),
        "to": rfc3339(filters.until),
    }
    return {name: value for name, value in given.items() if value not in ("", None)}


def _csv(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """Yield CSV with the names of the JSON fields. The details are JSON in a cell."""
    yield BYTE_ORDER_MARK + csv_rows([list(AuditJson.model_fields)])
    for chunk in _chunks(entries):
        yield csv_rows(
            [
                [*list(fields.values())[:-1], json.dumps(fields["details"], ensure_ascii=False)]
                for fields in chunk
            ]
        )


def _json_lines(entries: Iterable[AuditEntry]) -> Iterator[str]:
    for chunk in _chunks(entries):
        yield "".join(json.dumps(fields, ensure_ascii=False) + "\n" for fields in chunk)


def _chunks(entries: Iterable[AuditEntry]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(entries)
    while chunk := list(map(audit_json, islice(iterator, CHUNK))):
        yield chunk
