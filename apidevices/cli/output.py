"""What commands print: tables for people, JSON for programs, and errors."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

import click
from tabulate import tabulate

as_json = click.option("--json", "wants_json", is_flag=True, help="Print JSON.")


def fail(message: str) -> NoReturn:
    """Print one line to stderr and exit with status 1."""
    click.echo(" ".join(message.split()), err=True)
    sys.exit(1)


def print_json(data: Any) -> None:
    """Print data as JSON."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table."""
    click.echo(tabulate(rows, headers, tablefmt="simple", disable_numparse=True))


def print_fields(rows: Sequence[Sequence[Any]]) -> None:
    """Print names and their values."""
    click.echo(tabulate(rows, tablefmt="plain", disable_numparse=True))


def joined(*parts: str | None) -> str:
    """Return the parts that are not empty, separated by spaces."""
    return " ".join(part for part in parts if part)


def time_text(moment: datetime | None) -> str:
    """Return a time for people, or an empty string."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""
