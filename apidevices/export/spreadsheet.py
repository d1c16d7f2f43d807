"""CSV for spreadsheets, which must not run what devices and people have written."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

BYTE_ORDER_MARK = "\ufeff"
"""The beginning of a CSV file in UTF-8, by which spreadsheets recognize its encoding."""

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""Characters that begin a formula in a spreadsheet; some read the full-width forms, too."""

_LATER_FORMULA = re.compile(r";(?=\s*[=+\-@＝＋－＠])")
"""A formula after a semicolon, which separates cells where the comma separates decimals."""


def csv_rows(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV. Cells that a spreadsheet would run as a formula start with "'"."""
    text = io.StringIO()
    csv.writer(text).writerows([list(map(_cell, row)) for row in rows])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = ", ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    if ";" in value:
        value = _LATER_FORMULA.sub(";'", value)
    return f"'{value}" if value.startswith(_FORMULA) else value
