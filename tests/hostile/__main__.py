"""The command ``python -m tests.hostile``; see ``--help``."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.hostile.run import SHORT, Plan, run_part
from tests.hostile.tally import Tally, table


def main() -> int:
    """Run the requested parts, print their table, and return the exit status."""
    names = list(Plan().parts)
    parser = argparse.ArgumentParser(
        prog="python -m tests.hostile",
        description="Attack the real server. The exit status is 1 if anything got through.",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(names)}; default all")
    parser.add_argument("--quick", action="store_true", help="a small number of requests")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(names):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    plan = SHORT if options.quick else Plan()
    tallies = [_run(name, plan) for name in options.parts or names]
    print(table(tallies))
    return 1 if any(tally.failure_count for tally in tallies) else 0


def _run(name: str, plan: Plan) -> Tally:
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    tally = run_part(name, plan, folder)
    print(f"{name}: {tally.verdict}, {tally.requests} requests", flush=True)
    for line in (*tally.notes, *tally.failures):
        print(f"  {line}", flush=True)
    if tally.failure_count:
        print(f"  The server's log and its database are in {folder}.", flush=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return tally


if __name__ == "__main__":
    sys.exit(main())
