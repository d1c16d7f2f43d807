"""Results as tables and JSON, and facts about the machine they were measured on."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from tabulate import tabulate

from apidevices.database import sqlite_module
from benchmarks.goals import GoalResult
from harness.real_server import ROOT

LIBRARIES = (
    "apidevices",
    "flask",
    "werkzeug",
    "sqlalchemy",
    "flask-sqlalchemy",
    "psycopg",
    "gunicorn",
    "flask-monitoringdashboard",
)


@dataclass(frozen=True, slots=True)
class Times:
    """Median and 95th percentile of durations. The caller chooses the unit."""

    p50: float
    p95: float
    samples: int

    @classmethod
    def of(cls, durations: Sequence[float]) -> Self:
        """Summarize durations."""
        return cls(percentile(durations, 50), percentile(durations, 95), len(durations))

    def __str__(self) -> str:
        return f"{self.p50:,.3g} / {self.p95:,.3g}"


@dataclass
class Table:
    """The results of a part: rows, notes on how to read them, and goals."""

    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    goal_results: list[GoalResult] = field(default_factory=list)

    def __str__(self) -> str:
        rows = [{column: _cell(value) for column, value in row.items()} for row in self.rows]
        lines = ["", self.title, "", tabulate(rows, headers="keys", disable_numparse=True), ""]
        lines += [f"* {note}" for note in self.notes]
        lines += [f"=> {result}" for result in self.goal_results]
        return "\n".join(lines)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile. Needs at least one value."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def median(values: Sequence[float]) -> float:
    """Return the median. Needs at least one value."""
    return statistics.median(values)


def medians(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each column. Needs at least one row."""
    return {column: median([row[column] for row in rows]) for column in rows[0]}


def second_lowest(values: Sequence[float]) -> float:
    """Return the second lowest value, or the only one. Needs at least one value."""
    return sorted(values)[:2][-1]


def environment(folder: Path, databases: Mapping[str, str], load_generator: str) -> dict[str, str]:
    """Return facts about the machine and software that the results depend on.

    Args:
        folder: Folder of the databases, to measure the disk.
        databases: Database name -> version.
        load_generator: Name of the program that sends the HTTP requests.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": f"{_proc_value('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "memory": _proc_value("/proc/meminfo", "MemTotal"),
        "disk": f"{_syncs_per_second(folder):,.0f} syncs/s",
        "load average": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "Python": platform.python_version(),
        "SQLite": sqlite_module().sqlite_version,
        **databases,
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
        "load generator": load_generator,
    }


def show_environment(facts: Mapping[str, str]) -> str:
    """Return the facts as a table."""
    return tabulate(facts.items(), tablefmt="plain", disable_numparse=True)


def write_json(path: Path, facts: Mapping[str, str], tables: Mapping[str, Table]) -> None:
    """Write all results as JSON, with unrounded numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "environment": facts,
        "parts": {part: asdict(table) for part, table in tables.items()},
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool) or is_dataclass(value):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def _syncs_per_second(folder: Path) -> float:
    """Measure ``fsync`` calls per second, the upper limit for durable commits."""
    with (folder / "sync").open("wb", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(100):
            file.write(bytes(4096))
            os.fsync(file.fileno())
        return 100 / (time.perf_counter() - started)


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        described = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return described.stdout.strip() or "unknown"


def _proc_value(path: str, key: str) -> str:
    """Return the value of the first ``key: value`` line in a /proc file."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith(key)), "unknown"
    )
