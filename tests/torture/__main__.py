"""The command ``python -m tests.torture``; see ``--help``."""

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

MAX_SHOWN_FAILURES = 100


def main() -> int:
    """Run the torture test on each requested database and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture",
        description="Kill the server and its database under load, and check that no acknowledged"
        " write is lost.",
    )
    parser.add_argument("--database", choices=DATABASES, help="test only this database")
    parser.add_argument(
        "--kills", type=int, default=200, help="how many times to kill workers or masters"
    )
    parser.add_argument(
        "--postmaster-kills", type=int, default=10, help="how many times to kill PostgreSQL"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=random.randrange(10**6),  # noqa: S311 - not cryptographic
        help="makes the choice of victims reproducible",
    )
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
    report = torture(plan, folder, report_progress=lambda line: print(line, flush=True))
    rows = [*report.rows, ("minutes", round((time.monotonic() - started) / 60, 1))]
    print(tabulate(rows, tablefmt="plain"), *report.failures[:MAX_SHOWN_FAILURES], sep="\n")
    if report.failures:
        print(f"{len(report.failures)} failures. The server's log and SQLite file are in {folder}.")
        return False
    shutil.rmtree(folder)
    return True


if __name__ == "__main__":
    sys.exit(main())
