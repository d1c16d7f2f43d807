"""What the URL of the audit log says: filters and page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from flask import request, url_for

from apidevices.audit import Cursor, LogFilters
from apidevices.clock import parse_rfc3339
from apidevices.errors import InvalidInput
from apidevices.models import MAX_ID

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAY = timedelta(days=1)
_MAX_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class LogRequest:
    """A page of the audit log. The templates build the URLs of other ones from it.

    Args:
        filter_args: The query parameters of the filters: ``actor``, ``action``, ``device``,
            ``from`` and ``to``. A date without a time is a whole day in UTC.
        filters: The filters.
        cursor: The cursor of the page; None for the first one.
    """

    filter_args: dict[str, str] = field(default_factory=dict)
    filters: LogFilters = field(default_factory=LogFilters)
    cursor: Cursor | None = None

    @classmethod
    def current(cls) -> Self:
        """Return what the URL of this request says. Whatever is invalid is ignored."""
        return cls.parse({name: text.strip() for name, text in request.args.items()})

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> Self:
        """Return what the parameters of a URL say. Whatever is invalid is ignored."""
        values: dict[str, Any] = {}
        for name in ("actor", "action"):
            text = texts.get(name, "")
            if text and "\0" not in text and len(text) <= _MAX_TEXT:  # PostgreSQL rejects "\0"
                values[name] = text
        values["device"] = _row_id(texts.get("device", ""))
        values["since"] = _moment(texts.get("from", ""), timedelta())
        values["until"] = _moment(texts.get("to", ""), _DAY)
        fields = {"from": "since", "to": "until"}
        args = {
            name: texts[name]
            for name in ("actor", "action", "device", "from", "to")
            if values.get(fields.get(name, name)) is not None
        }
        try:
            cursor = Cursor.parse(texts.get("cursor", ""))
        except InvalidInput:
            cursor = None
        return cls(args, LogFilters(**values), cursor)

    def url(self, **changes: Any) -> str:
        """Return the URL of the first page with some parameters changed, or removed by None."""
        return url_for(".audit_log", **{**self.filter_args, **changes})


def _row_id(text: str) -> int | None:
    if len(text) > len(str(MAX_ID)) or not (text.isascii() and text.isdigit()):
        return None
    return int(text) if int(text) <= MAX_ID else None


def _moment(text: str, end_of_day: timedelta) -> datetime | None:
    """Return the time in a text; for a date its beginning, plus ``end_of_day``."""
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC) + end_of_day
        return parse_rfc3339(text)
    except (ValueError, OverflowError):
        return None
