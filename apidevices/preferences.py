"""How an account wants to use the list: its columns, the height of its rows, its shortcuts."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict, get_args

from apidevices.database import Database
from apidevices.models import Preferences

Density = Literal["comfortable", "compact"]
Column = Literal[
    "application", "model", "system", "tags", "first_seen", "last_upload", "token", "address"
]

COLUMNS: tuple[Column, ...] = get_args(Column)
"""The columns to choose from, in their order. All others are always there."""

DEFAULT_COLUMNS: tuple[Column, ...] = ("application", "model", "system", "first_seen")

_ACCOUNT_LENGTH = 320


class Choices(TypedDict):
    """The preferences of an account."""

    columns: list[Column]
    density: Density
    shortcuts: bool


def load(db: Database, account: str) -> Choices:
    """Return the preferences of an account, with defaults for what it has not chosen."""
    with db.read() as session:
        stored = session.get(Preferences, _key(account))
    return _valid(stored.choices if stored else {})


def store(
    db: Database,
    account: str,
    *,
    columns: Iterable[str] | None = None,
    density: str | None = None,
    shortcuts: bool | None = None,
) -> Choices:
    """Change the preferences of an account, each unless it is None, and return all of them.

    Unknown values are ignored: they may come from a newer or an older version.
    """
    with db.write() as session:
        stored = session.get(Preferences, _key(account))
        choices: dict[str, Any] = {**stored.choices} if stored else {}
        if columns is not None:
            choices["columns"] = list(columns)
        if density in get_args(Density):
            choices["density"] = density
        if shortcuts is not None:
            choices["shortcuts"] = shortcuts
        after = _valid(choices)
        statement = db.insert(Preferences).values(account=_key(account), choices=after)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["account"], set_={"choices": statement.excluded.choices}
            )
        )
    return after


def _key(account: str) -> str:
    """Return the key of an account. Hosts name their accounts as they like."""
    return account[:_ACCOUNT_LENGTH]


def _valid(choices: Mapping[str, Any]) -> Choices:
    columns = choices.get("columns")
    return {
        "columns": [column for column in COLUMNS if column in columns]
        if isinstance(columns, list)
        else [*DEFAULT_COLUMNS],
        "density": "compact" if choices.get("density") == "compact" else "comfortable",
        "shortcuts": choices.get("shortcuts") is not False,
    }
