"""A disk without space: a block must still work, and be in force.

The database is on a small disk in memory, which needs the privileges of root to mount.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.postgres import Postgres
from harness.small_disk import SmallDisk, mounted
from tests.conftest import DEVICE, UPLOADS, VERIFY
from tests.hostile.tally import Tally
from tests.hostile.target import Target, serving

MIB = {"sqlite": 48, "postgresql": 400}
"""The size of the disk. PostgreSQL's programs are on it as well."""


def attack(
    tally: Tally, folder: Path, database: str, devices: int, variables: Mapping[str, str]
) -> None:
    """Fill the disk and block all devices. PostgreSQL is only measured."""
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(mounted(folder / "disk", MIB[database]))
        except OSError as error:
            tally.skipped = f"can't mount a disk: {error}"
            return
        if database == "postgresql":
            postgres = stack.enter_context(_postgres_on(disk))
            variables = {**variables, "DATABASE_URL": postgres.url()}
            home = folder / "home"
            home.mkdir()
        else:
            variables = {**variables, "APIDEVICES_DISK_RESERVE": "16"}
            home = disk.folder
        with serving(tally, home, **variables) as target:
            try:
                _block_on_full_disk(target, disk, devices, must_work=database == "sqlite")
            finally:
                disk.clear()


@contextmanager
def _postgres_on(disk: SmallDisk) -> Iterator[Postgres]:
    """Run PostgreSQL with its data on a disk."""
    for folder in (disk.folder, disk.folder.parent):
        folder.chmod(0o711)  # it runs as another user
    previous, tempfile.tempdir = tempfile.tempdir, str(disk.folder)
    try:
        server = Postgres()
    finally:
        tempfile.tempdir = previous
    with server:
        yield server


def _block_on_full_disk(target: Target, disk: SmallDisk, count: int, *, must_work: bool) -> None:
    tally, names = target.tally, [f"phone-{number}" for number in range(count)]
    ids = {name: target.register(name)["id"] for name in names}
    disk.fill()
    refused = _until_refused(lambda _: _upload(target, names[0]))
    _until_refused(lambda number: _status(target, DEVICE, f"late-{number}"))
    known = Counter(_status(target, VERIFY, name) for name in names)
    blocked = Counter(target.set_blocked(ids[name], blocked=True) for name in names)
    in_force = Counter(_status(target, path, name) for name in names for path in (VERIFY, DEVICE))
    tally.notes += [
        f"the disk is full after {refused} uploads; known devices {dict(known)}",
        f"blocks answered {dict(blocked)}; then {dict(in_force)} in {2 * count} requests",
    ]
    if (accepted := in_force[200] - 2 * (count - blocked[200])) > 0:
        tally.accept(f"{accepted} requests after {blocked[200]} blocks were answered 200")
    if must_work:
        tally.require(blocked == {200: count}, f"blocks on a full disk: {dict(blocked)}")


def _until_refused(write: Callable[[int], int]) -> int:
    """Write until the database has no free pages either. Return the number of attempts."""
    refused = 0
    for number in range(1_000):
        refused = 0 if write(number) in (200, 201) else refused + 1
        if refused == 5:
            break
    return number + 1


def _upload(target: Target, name: str) -> int:
    headers = [*target.as_device(name), ("Content-Type", "application/json")]
    with target.wire() as wire:
        answer = wire.ask("POST", UPLOADS, headers, json.dumps("x" * 200_000))
    target.tally.record(answer, "upload")
    return 0 if answer is None else answer.status


def _status(target: Target, path: str, name: str) -> int:
    with target.wire() as wire:
        answer = wire.ask("GET", path, target.as_device(name))
    target.tally.record(answer, path)
    return 0 if answer is None else answer.status
