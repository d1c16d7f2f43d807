"""The filters of the device list as options, and commands that change all devices that match."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import ValidationError

from apidevices import clock, devices, listing, tokens
from apidevices.cli.group import existing_database
from apidevices.cli.output import fail
from apidevices.devices import Matching
from apidevices.errors import Conflict, TokenNotFound, describe_validation
from apidevices.listing import Filters

Command = TypeVar("Command", bound=Callable[..., Any])

_HELP = {"token": "Only devices that have used this token: its id, name or prefix."}


def filter_options(command: Command) -> Command:
    """Add an option for each filter to a command, which receives them as ``filters``."""

    @wraps(command)
    def with_filters(**options: Any) -> Any:
        given = {name: options.pop(name) for name in Filters.model_fields}
        # Options that were not given are None, or empty if they can be repeated.
        return command(
            filters=_parse(
                {name: value for name, value in given.items() if value not in (None, ())}
            ),
            **options,
        )

    decorated: Any = with_filters
    for name, field in reversed(Filters.model_fields.items()):
        decorated = click.option(
            _option(name), **_type(name), help=_HELP.get(name, field.description)
        )(decorated)
    result: Command = decorated
    return result


def _type(name: str) -> dict[str, Any]:
    """Return the arguments of ``click.option`` for the type of a filter."""
    annotation = Filters.model_fields[name].annotation
    if annotation is bool:
        return {"is_flag": True, "default": None}
    choices = get_args(annotation) if get_origin(annotation) is Literal else None
    return {
        "type": click.Choice(choices) if choices else str,
        "multiple": Filters.is_list(name),
    }


def bulk_options(command: Command) -> Command:
    """Add the filters and the options that confirm a change of all devices that match."""
    expected = click.option(
        "--expected",
        type=click.IntRange(0),
        metavar="N",
        help="Don't ask, but change nothing unless N devices match.",
    )
    yes = click.option("--yes", is_flag=True, help="Don't ask.")
    return filter_options(expected(yes(command)))


def check_choice(identifier: str | None, filters: Filters, expected: int | None) -> None:
    """Check that a command names either one device or filters.

    Raises:
        UsageError: It names both, or neither.
    """
    if (identifier is None) == (not filters):
        options = ", ".join(map(_option, Filters.model_fields))
        raise click.UsageError(f"Pass either the IDENTIFIER of one device or filters: {options}.")
    if identifier is not None and expected is not None:
        raise click.UsageError("--expected needs filters, not an IDENTIFIER.")


def confirm_matching(action: str, filters: Filters, expected: int | None, yes: bool) -> Matching:
    """Return the devices that match, after the user has confirmed the action on them.

    Args:
        action: The action, such as "Block".
        filters: The filters.
        expected: How many devices must match, if the user has given a number.
        yes: Whether the user has confirmed the action for any number.
    """
    if expected is None and not yes:
        db = existing_database()
        devices.end_blocks_if_possible(db, clock.now())
        expected = listing.count(db, filters)
        matching = "1 device matches." if expected == 1 else f"{expected:,} devices match."
        if expected:
            confirm(f"{matching} {action} {'it' if expected == 1 else 'them'}?")
    return Matching(filters, expected)


def confirm(question: str) -> None:
    """Ask the user, and exit with status 1 unless the answer is yes."""
    if not is_terminal():
        fail(f"{question} Confirm with --yes.")
    if not click.confirm(question):
        fail("Nothing was changed.")


def is_terminal() -> bool:
    """Return whether there is a person to ask."""
    return sys.stdin is not None and sys.stdin.isatty()


def _parse(given: dict[str, Any]) -> Filters:
    if "token" in given:
        given["token"] = _token_id(given["token"])
    try:
        return Filters.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        hint = _option(str(first["loc"][0]))
        raise click.BadParameter(f"{describe_validation(first)}.", param_hint=hint) from None


def _token_id(reference: str) -> int:
    try:
        return tokens.find_any(existing_database(), reference).id
    except (TokenNotFound, Conflict) as error:
        raise click.BadParameter(str(error), param_hint="--token") from None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
