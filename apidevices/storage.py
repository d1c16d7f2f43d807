"""What the database keeps, for how long, and how much space it takes.

Counting reads all tables, so the figures are a ``Snapshot``: counted in the background and stored.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field
from sqlalchemy import func, select, table, text
from sqlalchemy.orm import Session

from apidevices import upkeep
from apidevices.config import ARCHIVE_DAYS, Settings
from apidevices.database import Database
from apidevices.models import PREFIX, DeviceActivity
from apidevices.snapshots import Snapshot
from apidevices.upkeep import Job, Task

NAME = "storage-2"
"""The name under which the figures are stored. Change it when their form changes."""

_SAMPLE = 200
"""Rows per table to estimate its size from, where SQLite can't measure it."""

_SEARCH = f"{PREFIX}device_search"

AreaName = Literal[
    "devices",
    "history",
    "denied_attempts",
    "device_days",
    "fleet_days",
    "audit_log",
    "operations",
    "uploads",
    "other",
]
"""The names of what is kept. Programs rely on them."""


class _Area(NamedTuple):
    """Tables that belong together. The first one counts the rows."""

    description: str
    tables: Sequence[str] = ()


_AREAS: Mapping[AreaName, _Area] = {
    "devices": _Area(
        "Devices",
        (
            *("devices", "device_activity", "device_keys", "details", "device_tags"),
            *("device_tokens", "device_aliases", "device_marks"),
        ),
    ),
    "history": _Area("History", ("device_history",)),
    "denied_attempts": _Area("Denied attempts", ("device_denials",)),
    "device_days": _Area("Daily counts of devices", ("device_days",)),
    "fleet_days": _Area("Daily counts of all devices", ("fleet_days",)),
    "audit_log": _Area("Audit log", ("audit_log",)),
    "operations": _Area("Changes that can be undone", ("operation_devices", "operations")),
    # Only the standalone application has this table.
    "uploads": _Area("Uploads", ("uploads",)),
    "other": _Area("Other"),
}

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


class Kept(BaseModel):
    """Something that the database keeps."""

    name: AreaName = Field(
        description="What it is, for programs. Only the standalone application has `uploads`."
        " `other` are all other tables of API Devices."
    )
    description: str = Field(description="What it is, for people.", examples=["Denied attempts"])
    setting: str | None = Field(description="The setting that says for how long it is kept.")
    days: int | None = Field(
        description="For how many days; 0 forever; null if it isn't deleted because of its age."
    )
    rows: int = Field(description="How many there are.")
    bytes: int = Field(description="How much space they take, with their indexes.")
    due: int = Field(description="How many the next run would delete.")
    by_device: bool = Field(
        description="Whether `due` is the number of devices with entries to delete."
    )


class Storage(BaseModel):
    """What the database keeps, and how much space it takes."""

    kept: list[Kept] = Field(description="What is kept.")
    total_bytes: int = Field(description="The size of the database.")
    free_bytes: int = Field(description="Free pages in the file of SQLite, which it uses again.")
    estimated: bool = Field(
        description="Whether the size of each part is estimated from a sample of its rows."
    )
    archive_days: int = Field(
        description="The setting APIDEVICES_ARCHIVE_DAYS; 0 if the stale rule is off."
    )
    archived: int = Field(description="How many devices are archived.")
    stale: int = Field(
        description="How many devices the next run would archive; 0 if the stale rule is off."
    )
    last_run_at: datetime | None = Field(
        description="When housekeeping last ran in the background; null if it never has."
    )


class Counted(NamedTuple):
    """The figures, and the time at which they were right."""

    taken_at: datetime
    storage: Storage


def snapshot(db: Database, tasks: Sequence[Task | Job], settings: Settings) -> Snapshot:
    """Return what counts the figures and stores them.

    Args:
        db: The database.
        tasks: The upkeep tasks of the application. Others may be added later.
        settings: The settings.
    """
    return Snapshot(db, NAME, partial(_collect, db, tasks, settings))


def latest(stored: Snapshot, now: datetime, patience: float | None = None) -> Counted | None:
    """Return the latest figures, or None if they are being counted for the first time."""
    taken = stored.latest(now, patience)
    return taken and Counted(taken.taken_at, Storage.model_validate(taken.figures))


def count(stored: Snapshot, now: datetime) -> Counted:
    """Count the figures now, whatever is stored."""
    taken = stored.count(now)
    return Counted(taken.taken_at, Storage.model_validate(taken.figures))


def size_text(size: int) -> str:
    """Return a number of bytes for people, as in "1.2 GB"."""
    number, unit = float(size), 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    digits = 1 if unit and number < 9.95 else 0
    return f"{number:.{digits}f} {_UNITS[unit]}"


def _collect(
    db: Database, tasks: Iterable[Task | Job], settings: Settings, session: Session, now: datetime
) -> Mapping[str, Any]:
    sizes, estimated = _sizes(session)
    aged = [task for task in tasks if isinstance(task, Task) and task.days is not None]
    results = upkeep.run(db, aged, now=now, dry_run=True)
    due = {id(result.task): result.rows for result in results}
    by_table: dict[str, list[Task]] = defaultdict(list)
    for task in aged:
        by_table[task.table].append(task)
    areas = {
        name: [f"{PREFIX}{table}" for table in area.tables]
        for name, area in _AREAS.items()
        if name != "uploads" or f"{PREFIX}uploads" in sizes
    }
    areas["devices"] += [table for table in sizes if table.startswith(_SEARCH)]
    areas["other"] = sorted(sizes.keys() - {table for known in areas.values() for table in known})
    kept = []
    for name, tables in areas.items():
        # The tasks for the activity of devices delete no devices.
        own = [task for table in tables for task in by_table[table] if name != "devices"]
        counted = tables if name == "other" else tables[:1]
        kept.append(
            Kept(
                name=name,
                description=_AREAS[name].description,
                setting=next((task.setting for task in own if task.setting), None),
                days=own[0].days if own else None,
                rows=sum(_rows(session, table) for table in counted),
                bytes=sum(sizes.get(table, 0) for table in tables),
                due=sum(due.get(id(task), 0) for task in own),
                by_device=any(task.rows_in for task in own),
            )
        )
    archived = select(func.count()).where(DeviceActivity.archived_at.is_not(None))
    total, free = _file_size(session)
    found = Storage(
        kept=kept,
        total_bytes=total,
        free_bytes=free,
        estimated=estimated,
        archive_days=settings.archive_days,
        archived=session.scalar(archived) or 0,
        stale=sum(each.rows for each in results if each.task.setting == ARCHIVE_DAYS),
        last_run_at=upkeep.last_run(session),
    )
    return found.model_dump(mode="json")


def _rows(session: Session, name: str) -> int:
    return session.scalar(select(func.count()).select_from(table(name))) or 0


def _file_size(session: Session) -> tuple[int, int]:
    """Return the size of the database, and how much of it is free pages, in bytes."""
    if session.get_bind().dialect.name != "sqlite":
        return session.scalar(text("SELECT pg_database_size(current_database())")) or 0, 0
    size, pages, free = (
        session.scalar(text(f"PRAGMA {name}")) or 0
        for name in ("page_size", "page_count", "freelist_count")
    )
    return size * pages, size * free


def _sizes(session: Session) -> tuple[Mapping[str, int], bool]:
    """Return the size of each table with its indexes, and whether it is an estimate."""
    if session.get_bind().dialect.name != "sqlite":
        sizes = "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r'"
        rows = session.execute(text(f"{sizes} AND starts_with(relname, '{PREFIX}')"))
        return {name: int(size) for name, size in rows}, False
    has_dbstat = "SELECT 1 FROM pragma_module_list WHERE name = 'dbstat'"
    if session.scalar(text(has_dbstat)):
        rows = session.execute(
            text(
                "SELECT tbl_name, sum(pgsize) FROM dbstat('main', 1)"
                " JOIN sqlite_master USING (name) GROUP BY tbl_name"
            )
        )
        return {name: size for name, size in rows if name.startswith(PREFIX)}, False
    return _estimated_sizes(session), True


def _estimated_sizes(session: Session) -> Mapping[str, int]:
    """Share the used pages of the file among the tables, by the average size of sampled rows."""
    entries = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
    names = [name for name in session.scalars(text(entries)) if name.startswith(PREFIX)]
    weights = {name: _weight(session, name) for name in names}
    total, free = _file_size(session)
    whole = sum(weights.values()) or 1.0
    return {name: int((total - free) * weight / whole) for name, weight in weights.items()}


def _weight(session: Session, name: str) -> float:
    """Return about how many bytes the values of a table and its indexes have."""
    columns = session.scalars(text("SELECT name FROM pragma_table_info(:name)"), {"name": name})
    indexed = session.scalars(
        text(
            "SELECT columns.name FROM pragma_index_list(:name) AS indexes"
            " JOIN pragma_index_info(indexes.name) AS columns WHERE columns.name IS NOT NULL"
        ),
        {"name": name},
    )
    parts = [
        f'coalesce(length(CAST("{column}" AS BLOB)), 0) + 1' for column in [*columns, *indexed]
    ]
    sampled = f'SELECT {" + ".join(parts)} AS size FROM "{name}" LIMIT {_SAMPLE}'  # noqa: S608 - names from the schema
    average = session.scalar(text(f"SELECT avg(size) FROM ({sampled})")) or 0.0  # noqa: S608 - the same
    return float(average) * _rows(session, name)
