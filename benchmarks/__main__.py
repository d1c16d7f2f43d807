"""Command line of the benchmarks."""

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

from benchmarks import (
    finding,
    fleets,
    gate,
    hook,
    lists,
    many_devices,
    memory,
    overview,
    proxied_gate,
    request_path,
    sign_in,
    stability,
    strictness,
    writes,
)
from benchmarks.checkouts import NoCheckout, check_out
from benchmarks.context import Run, show_progress
from benchmarks.databases import running_backends
from benchmarks.load import load_generator
from benchmarks.report import Table, environment, show_environment, write_json

PARTS = {
    "gate": gate,
    "nginx": proxied_gate,
    "stability": stability,
    "requests": request_path,
    "hook": hook,
    "lists": lists,
    "finding": finding,
    "overview": overview,
    "fleets": fleets,
    "writes": writes,
    "memory": memory,
    "many-devices": many_devices,
    "sign-in": sign_in,
    "strictness": strictness,
}

RESULTS = Path(__file__).with_name("results")

_PART_LIST = "\b\nParts:\n" + "\n".join(
    f"  {name:<12}{(part.__doc__ or '').splitlines()[0]}" for name, part in PARTS.items()
)


@click.command(epilog=_PART_LIST)
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--quick", is_flag=True, help="Run a small smoke test. The numbers are rough.")
@click.option("--rounds", type=click.IntRange(min=1), help="Number of interleaved rounds.")
@click.option(
    "--database", type=click.Choice(["sqlite", "postgresql"]), help="Measure only this database."
)
@click.option(
    "--against",
    "revision",
    metavar="REVISION",
    help="Also measure this git revision, in the parts gate, nginx, stability and requests.",
)
@click.option("--json", "path", type=click.Path(path_type=Path), help="File for the JSON results.")
@click.option(
    "--postgres-bin",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the PostgreSQL programs. Default: those of the installed wheel.",
)
def main(
    parts: tuple[str, ...],
    quick: bool,
    rounds: int | None,
    database: str | None,
    revision: str | None,
    path: Path | None,
    postgres_bin: Path | None,
) -> None:
    """Benchmark API Devices. Runs all parts by default."""
    try:
        against = check_out(revision) if revision else None
    except NoCheckout as error:
        raise click.ClickException(str(error)) from None
    tables: dict[str, Table] = {}
    failed = False
    token = f"apd_{secrets.token_urlsafe(32)}"
    with (
        _work_folder() as folder,
        running_backends(folder, token, database, postgres_bin) as backends,
    ):
        run = Run(folder, backends, token, quick, rounds, against)
        versions = {backend.name: backend.version for backend in backends}
        facts = environment(folder, {"PostgreSQL": "not measured"} | versions, load_generator())
        facts["compared with"] = against.commit if against else "nothing"
        facts["size"] = "quick" if quick else "full"
        click.echo(show_environment(facts))
        for part in [part for part in PARTS if part in parts] or PARTS:
            show_progress(f"part {part}")
            try:
                tables[part] = PARTS[part].measure(run)
            except Exception:  # continue with the other parts
                failed = True
                click.echo(f"\nPart {part} failed:\n{traceback.format_exc()}", err=True)
            else:
                click.echo(tables[part])
    path = path or RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}.json"
    write_json(path, facts, tables)
    show_progress(f"results written to {path}")
    sys.exit(failed)


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Create a temporary folder on disk. It is removed on exit, including after SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    disk = Path("/var/tmp")  # noqa: S108 - /tmp may be a tmpfs, which would skew the results
    if disk.is_dir():
        tempfile.tempdir = str(disk)  # also moves PostgreSQL's data directory
    folder = Path(tempfile.mkdtemp(prefix="apidevices-benchmarks-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
