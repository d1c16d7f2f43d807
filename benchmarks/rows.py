"""Insert an API token and many devices into a migrated database, of any revision."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from sqlalchemy import Engine, column, insert, inspect, select, table

from apidevices import clock
from apidevices.listing import search
from apidevices.listing.search import search_key, short_key
from apidevices.models import (
    ApiToken,
    Device,
    DeviceActivity,
    DeviceHistory,
    DeviceTag,
    DeviceToken,
)
from apidevices.tokens import SCOPES, digest
from benchmarks import fleet

DAYS = 90
"""Activity times are spread over this many days."""

_CHUNK = 20_000

Row = Sequence[Any]


def fill(engine: Engine, token: str, devices: range, *, skip_missing: bool = False) -> None:
    """Insert the token unless it exists, then the devices.

    Args:
        engine: The migrated database.
        token: API token with every scope.
        devices: Numbers of the devices, see ``fleet.device``.
        skip_missing: Leave out columns and tables that the database doesn't have, because another
            revision has migrated it.
    """
    token_id = _ensure_token(engine, token)
    if devices:
        _insert_devices(engine, devices, token_id, _columns(engine) if skip_missing else None)


def _columns(engine: Engine) -> Mapping[str, set[str]]:
    """Return the names of the columns of each table."""
    inspector = inspect(engine)
    return {
        name: {found["name"] for found in inspector.get_columns(name)}
        for name in inspector.get_table_names()
    }


def _ensure_token(engine: Engine, token: str) -> int:
    """Insert the token unless it exists. Return its id."""
    existing = select(ApiToken.id).where(ApiToken.digest == digest(token))
    values = {
        "name": "benchmark",
        "prefix": token[:10],
        "digest": digest(token),
        "scopes": list(SCOPES),
        "created_at": clock.now(),
    }
    columns = ApiToken.__table__.c
    # Without the other columns, which an older revision may not have.
    tokens = table(ApiToken.__tablename__, *(column(name, columns[name].type) for name in values))
    new = insert(tokens).values(values)
    with engine.begin() as connection:
        return connection.scalar(existing) or connection.scalars(new.returning(columns.id)).one()


def _insert_devices(
    engine: Engine, devices: range, token_id: int, columns: Mapping[str, set[str]] | None
) -> None:
    """Insert devices with their activity, token use and registration history."""
    is_sqlite = engine.dialect.name == "sqlite"
    write = _insert_rows if is_sqlite else _copy_rows
    pooled = engine.raw_connection()
    connection: Any = pooled.driver_connection
    try:
        cursor = connection.cursor()
        numbers = iter(devices)
        while chunk := list(islice(numbers, _CHUNK)):
            for into, rows in _rows(chunk, token_id).items():
                if not rows:
                    continue
                names = [name for name in rows[0] if not columns or name in columns.get(into, ())]
                values = [tuple(row[name] for name in names) for row in rows]
                if names:
                    write(cursor, into, names, values)
        connection.commit()
        if not is_sqlite:
            _reset_sequence_and_vacuum(connection)
    finally:
        pooled.detach()
        connection.close()


def _insert_rows(cursor: Any, table: str, columns: list[str], rows: Sequence[Row]) -> None:
    names, placeholders = ", ".join(columns), ", ".join("?" * len(columns))
    cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({placeholders})", rows)


def _copy_rows(cursor: Any, table: str, columns: list[str], rows: Sequence[Row]) -> None:
    cursor.execute("SET timezone = 'UTC'")
    with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _reset_sequence_and_vacuum(connection: Any) -> None:
    """Move the id sequence past the inserted rows, and vacuum without waiting for autovacuum."""
    connection.autocommit = True
    table = Device.__tablename__
    connection.execute(
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
    )
    connection.execute("VACUUM (ANALYZE)")


def _rows(numbers: Sequence[int], token_id: int) -> Mapping[str, list[dict[str, Any]]]:
    """Return the rows to insert by table. Times are strings that both databases accept."""
    tables: dict[str, list[dict[str, Any]]] = {
        model.__tablename__: []
        for model in (Device, DeviceActivity, DeviceToken, DeviceHistory, DeviceTag)
    }
    devices, activities, uses, histories, tags = tables.values()
    now = clock.now().astimezone(UTC).replace(tzinfo=None)
    for number in numbers:
        device, name, blocked = fleet.device(number), fleet.name(number), fleet.is_blocked(number)
        details, rng = fleet.details(device), Random(-number)
        key = search_key(device.identifier, name)
        active = now - timedelta(days=DAYS) * rng.random()
        active_at = _format(active)
        first_seen_at = _format(now - timedelta(days=DAYS * (1 + rng.random())))
        blocked_at = _format(now - timedelta(days=DAYS) * rng.random()) if blocked else None
        devices.append(
            {
                "id": number + 1,
                "identifier": device.identifier,
                "name": name,
                **details,
                "first_seen_at": first_seen_at,
                "blocked_at": blocked_at,
                "blocked_by": "benchmark" if blocked else None,
                "search_key": key,
            }
        )
        activities.append(
            {
                "device_id": number + 1,
                "blocked": blocked,
                "last_active_at": active_at,
                "last_upload_at": _format(active - timedelta(days=DAYS) * rng.random() ** 2)
                if fleet.uploads(number)
                else None,
                "last_activity_at": blocked_at or active_at,
                "denied_count": 0,
                "last_denied_at": _format(now) if blocked and number % 4 == 1 else None,
                "search_key": short_key(key),
            }
        )
        tags += (
            {"device_id": number + 1, "key": search.fold(tag), "tag": tag}
            for tag in fleet.tags(number)
        )
        uses.append(
            {
                "device_id": number + 1,
                "token_id": token_id,
                "first_used_at": first_seen_at,
                "last_used_at": active_at,
            }
        )
        histories.append(
            {
                "device_id": number + 1,
                "kind": "registered",
                "at": first_seen_at,
                "changes": json.dumps({field: [None, value] for field, value in details.items()}),
                "token_id": token_id,
                "address": "192.0.2.1",
            }
        )
    return tables


def _format(moment: datetime) -> str:
    return moment.isoformat(" ", "microseconds")
