"""The command that shows the audit log."""

from typing import Any

import click

from apidevices import audit
from apidevices.cli.group import commands, existing_database
from apidevices.cli.output import as_json, print_json, print_table, time_text
from apidevices.representation import audit_json
from apidevices.text import clean_text


@commands.command()
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=100,
    show_default=True,
    help="Number of entries.",
)
@as_json
def audit_log(limit: int, wants_json: bool) -> None:
    """Show the audit log, newest entry first: who has changed what, and sign-ins."""
    db = existing_database()
    entries = audit.latest(db, limit)
    if wants_json:
        print_json([audit_json(entry) for entry in entries])
        return
    names = audit.names(db, entries)
    print_table(
        ["When", "Who", "What", "On", "Details"],
        [
            [
                time_text(entry.at),
                # The texts may come from strangers, and must not control the terminal.
                clean_text(entry.actor),
                audit.words(entry.action.partition(".")[2]),
                clean_text(_subject(entry.subject, names.get(entry.subject))),
                clean_text("; ".join(_described(entry.details))),
            ]
            for entry in entries
        ],
    )


def _subject(subject: str, name: str | None) -> str:
    kind, _, number = subject.partition(":")
    return f"{audit.words(kind)} {name or number}"


def _described(details: dict[str, Any]) -> list[str]:
    shown = {key: value for key, value in details.items() if value not in (None, [])}
    return [f"{audit.words(key)}: {audit.detail_text(value)}" for key, value in shown.items()]
