"""The commands for API tokens."""

import sys
from collections.abc import Sequence
from datetime import timedelta

import click

from apidevices import audit, clock, tokens
from apidevices.cli.group import audit_args, commands, existing_database
from apidevices.cli.output import as_json, fail, print_json, print_table, time_text
from apidevices.limits import MAX_NUMBER
from apidevices.representation import token_json


@commands.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help=f"One of: {', '.join(tokens.SCOPES)}.")
@click.option(
    "--expires-days",
    type=click.IntRange(1, tokens.MAX_LIFETIME.days),
    help="Days until the token expires.",
)
@click.option(
    "--require-device-id",
    is_flag=True,
    help="Reject requests without a device identifier, even if the settings allow them.",
)
@click.option(
    "--new-devices-per-hour",
    type=click.IntRange(0, MAX_NUMBER),
    help="How many devices the token can register per hour; 0 for no limit. Default: the setting"
    " APIDEVICES_NEW_DEVICES_PER_HOUR.",
)
def create_token(
    name: str,
    scopes: Sequence[str],
    expires_days: int | None,
    require_device_id: bool,
    new_devices_per_hour: int | None,
) -> None:
    """Create a token and print it. You can't display it again."""
    if sys.stdout is None:
        fail("Standard output is closed, so the token could not be printed.")
    db, now = existing_database(), clock.now()
    expires_at = now + timedelta(days=expires_days) if expires_days else None
    token, text = tokens.issue(
        db,
        name,
        scopes,
        expires_at=expires_at,
        requires_device_id=require_device_id,
        new_devices_per_hour=new_devices_per_hour,
        actor=audit.COMMAND_LINE,
        now=now,
    )
    try:
        click.echo(text)
    except OSError:
        tokens.revoke(db, token.id, actor=audit.COMMAND_LINE, now=now)  # it has not been shown
        raise


@commands.command()
@as_json
def list_tokens(wants_json: bool) -> None:
    """List tokens, newest first. Revoked ones come last."""
    now = clock.now()
    found = tokens.all_tokens(existing_database())
    if wants_json:
        print_json([token_json(token, now) for token in found])
        return
    print_table(
        [
            *("ID", "Name", "Prefix", "Scopes", "Created", "Last used", "Expires", "Status"),
            *("Device ID", "New devices per hour"),
        ],
        [
            [
                token.id,
                token.name,
                token.prefix,
                ", ".join(token.scopes),
                time_text(token.created_at),
                time_text(token.last_used_at),
                time_text(token.expires_at),
                token.status_at(now),
                "required" if token.requires_device_id else "",
                _limit(token.new_devices_per_hour),
            ]
            for token in found
        ],
    )


def _limit(number: int | None) -> str:
    if number is None:
        return "default"
    return str(number) if number else "no limit"


@commands.command()
@click.argument("token")
def revoke_token(token: str) -> None:
    """Revoke a token. TOKEN is its name, its prefix from the token list or the token itself."""
    db = existing_database()
    found = tokens.find(db, token)
    tokens.revoke(db, found.id, **audit_args())
    click.echo(f"{found.name} has been revoked")
