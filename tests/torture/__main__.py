"""``python -m tests.torture``: see ``--help``."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

from tests.torture.run import Plan, torture

DATABASES = ("sqlite", "postgresql")

SHOWN = 100
"""Failures that are shown at most."""


def main() -> int:
    """Torture each database that was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("--database", choices=DATABASES, help="only this one")
    parser.add_argument("--kills", type=int, default=200, help="of workers and masters")
    parser.add_argument("--postmaster-kills", type=int, default=10, help="of PostgreSQL")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - no secret
    options = parser.parse_args()
    databases = [options.database] if options.database else DATABASES
    passed = [_passes(database, options) for database in databases]
    print("passed" if all(passed) else "failed")
    return 0 if all(passed) else 1


def _passes(database: str, options: argparse.Namespace) -> bool:
    postmaster_kills = options.postmaster_kills if database == "postgresql" else 0
    plan = Plan(database, options.kills, options.seed, postmaster_kills)
    print(plan, flush=True)
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    report = torture(plan, folder, tell=lambda line: print(line, flush=True))
    rows = [*report.rows, ("minutes", round((time.monotonic() - started) / 60, 1))]
    print(tabulate(rows, tablefmt="plain"), *report.failures[:SHOWN], sep="\n")
    if report.failures:
        print(f"{len(report.failures)} failures; the server's log and SQLite's file: {folder}")
        return False
    shutil.rmtree(folder)
    return True


if __name__ == "__main__":
    sys.exit(main())
