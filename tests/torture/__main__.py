"""``python -m tests.torture``: see ``--help``."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

from tests.torture.run import Plan, torture

DATABASES = ("sqlite", "postgresql")


def main() -> int:
    """Torture each database that was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("--database", choices=DATABASES, help="only this one")
    parser.add_argument("--kills", type=int, default=200, help="of workers and masters")
    parser.add_argument("--postmaster-kills", type=int, default=10, help="of PostgreSQL")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - no secret
    options = parser.parse_args()
    failed = False
    for database in [options.database] if options.database else DATABASES:
        postmaster_kills = options.postmaster_kills if database == "postgresql" else 0
        plan = Plan(database, options.kills, options.seed, postmaster_kills)
        print(plan, flush=True)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            report = torture(plan, Path(folder), tell=lambda line: print(line, flush=True))
        rows = [*report.rows, ("minutes", round((time.monotonic() - started) / 60, 1))]
        print(tabulate(rows, tablefmt="plain"))
        for failure in report.failures[:100]:
            print(failure)
        failed = failed or bool(report.failures)
    print("failed" if failed else "passed")
    return failed


if __name__ == "__main__":
    sys.exit(main())
