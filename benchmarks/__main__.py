"""The command: which parts to measure, and how thoroughly."""

import secrets
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks import gate, hook, lists, memory, request_path, strictness, writes
from benchmarks.context import Run, say
from benchmarks.databases import backends
from benchmarks.load import loader
from benchmarks.report import Table, environment, show_environment, write_json

PARTS = {
    "1": request_path,
    "2": hook,
    "3": lists,
    "4": writes,
    "5": memory,
    "6": strictness,
    "7": gate,
}

RESULTS = Path(__file__).with_name("results")

_WHAT_THEY_ARE = "\b\n" + "\n".join((part.__doc__ or "").splitlines()[0] for part in PARTS.values())


@click.command(epilog=_WHAT_THEY_ARE)
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--quick", is_flag=True, help="Do little, to see it working; the numbers are rough.")
@click.option("--rounds", type=click.IntRange(min=1), help="Interleaved rounds of each part.")
@click.option("--database", type=click.Choice(["sqlite", "postgresql"]), help="Only this one.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Where to write JSON.")
@click.option(
    "--postgres-bin",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of PostgreSQL's programs, if not those of the wheel.",
)
def main(
    parts: tuple[str, ...],
    quick: bool,
    rounds: int | None,
    database: str | None,
    path: Path | None,
    postgres_bin: Path | None,
) -> None:
    """Measure what API Devices costs: all parts, or some of them."""
    tables: dict[str, Table] = {}
    failed = False
    token = f"apd_{secrets.token_urlsafe(32)}"
    with _folder() as folder, backends(folder, token, database, postgres_bin) as found:
        run = Run(folder, found, token, quick, rounds)
        versions = {backend.name: backend.version for backend in found}
        facts = environment(folder, {"PostgreSQL": "not measured"} | versions, loader())
        facts["size"] = "quick" if quick else "full"
        click.echo(show_environment(facts))
        for part in sorted(set(parts)) or PARTS:
            say(f"part {part}")
            try:
                tables[part] = PARTS[part].measure(run)
            except Exception:  # the other parts are measured all the same
                failed = True
                click.echo(f"\nPart {part} failed:\n{traceback.format_exc()}", err=True)
            else:
                click.echo(tables[part])
    path = path or RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}.json"
    write_json(path, facts, tables)
    say(f"written to {path}")
    sys.exit(failed)


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder on a disk; remove it in the end, even if the process is asked to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    disk = Path("/var/tmp")  # noqa: S108 - /tmp may be memory, which would be too fast
    if disk.is_dir():
        tempfile.tempdir = str(disk)  # PostgreSQL's data go there as well
    folder = Path(tempfile.mkdtemp(prefix="apidevices-benchmarks-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
