"""The commands for API tokens."""

import sys
from collections.abc import Sequence
from datetime import timedelta

import click

from apidevices import audit, clock, tokens
from apidevices.cli.group import audit_args, commands, existing_database
from apidevices.cli.output import fail


@commands.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help=f"One of: {', '.join(tokens.SCOPES)}.")
@click.option(
    "--expires-days",
    type=click.IntRange(1, tokens.MAX_LIFETIME.days),
    help="Days until the token expires.",
)
def create_token(name: str, scopes: Sequence[str], expires_days: int | None) -> None:
    """Create a token and print it. You can't display it again."""
    if sys.stdout is None:
        fail("Standard output is closed, so the token could not be printed.")
    db, now = existing_database(), clock.now()
    expires_at = now + timedelta(days=expires_days) if expires_days else None
    token, text = tokens.issue(
        db, name, scopes, expires_at=expires_at, actor=audit.COMMAND_LINE, now=now
    )
    try:
        click.echo(text)
    except OSError:
        tokens.revoke(db, token.id, actor=audit.COMMAND_LINE, now=now)  # nobody has seen it
        raise


@commands.command()
@click.argument("token")
def revoke_token(token: str) -> None:
    """Revoke a token. TOKEN is its name, its prefix from the token list or the token itself."""
    db = existing_database()
    found = tokens.find(db, token)
    tokens.revoke(db, found.id, **audit_args())
    click.echo(f"{found.name} has been revoked")
