"""The checkouts that are measured: this one and, with ``--against``, one of an older revision."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine

from apidevices.database import engine_options
from benchmarks import fleet
from benchmarks.applications import engine_url
from benchmarks.databases import Backend
from benchmarks.processes import NAMED_THREADS
from benchmarks.rows import fill
from harness.real_server import ROOT, RealServer, clean_environment

_INSTALL_TARGET = ".venv/installed"  # in the Makefile of every revision


class NoCheckout(Exception):
    """A revision can't be checked out or installed. The message says why, in one line."""


@dataclass(frozen=True)
class Checkout:
    """A checkout of API Devices, installed in an environment of its own.

    Args:
        name: Name in the tables.
        folder: The root of the checkout.
        python: The interpreter of its environment.
        commit: The full commit id. Empty for the present checkout.
    """

    name: str
    folder: Path
    python: Path
    commit: str = ""

    @property
    def slug(self) -> str:
        """A short name for files and databases."""
        return self.commit[:7] or "present"

    def server(
        self, instance: Path, url: str, variables: Mapping[str, str] | None = None
    ) -> RealServer:
        """Return the standalone server of this checkout. Enter it to start it."""
        program = (str(self.python), str(self.folder / "app.py"))
        variables = {"DATABASE_URL": url, **NAMED_THREADS, **(variables or {})}
        if self.commit:
            variables["APIDEVICES_DISK_RESERVE"] = ""  # older revisions don't know it
        return RealServer(instance, program=program, variables=variables)

    def host(self, name: str, folder: Path, url: str) -> RealServer:
        """Return the server of a host application of this run, with this API Devices in it."""
        program = (str(self.python), "-m", "benchmarks.applications", name)
        variables = {"DATABASE_URL": url, **NAMED_THREADS}
        cwd = ROOT
        if self.commit:
            # A folder without apidevices, so that Python imports it from this checkout.
            cwd = folder.with_name("host-applications")
            copy = cwd / "benchmarks" / "applications"
            shutil.copytree(ROOT / "benchmarks" / "applications", copy, dirs_exist_ok=True)
            (copy.parent / "__init__.py").touch()
        return RealServer(folder, program=program, cwd=cwd, variables=variables)

    @contextmanager
    def database(self, backend: Backend, name: str, folder: Path, token: str) -> Iterator[str]:
        """Create a database that this checkout has migrated, with all callers. Yield its URL."""
        url = backend.create(f"{name}_{self.slug}")
        try:
            with self.server(folder / f"migrate-{self.slug}", url):
                pass  # it migrates the database before it is ready
            engine = create_engine(engine_url(url), **engine_options(engine_url(url), 1))
            fill(engine, token, range(fleet.REGISTERED), skip_missing=bool(self.commit))
            engine.dispose()
            yield url
        finally:
            backend.drop(url)


PRESENT = Checkout("this checkout", ROOT, Path(sys.executable))


def check_out(revision: str) -> Checkout:
    """Check out and install a revision of this repository. The second time, it is in the cache.

    Raises:
        NoCheckout: git or make is missing, or the revision doesn't exist or can't be installed.
    """
    for program in ("git", "make"):
        if shutil.which(program) is None:
            raise NoCheckout(f"--against needs {program}, which is not installed.")
    commit = _commit(revision)
    folder = _cache() / f"{commit}-{sys.implementation.cache_tag}"
    if not folder.is_dir():
        _extract(commit, folder)
    _install(folder, revision)
    name = revision if commit.startswith(revision) else f"{revision} ({commit[:7]})"
    return Checkout(name[:20], folder, folder / ".venv/bin/python", commit)


def _commit(revision: str) -> str:
    """Return the id of a revision's commit.

    Raises:
        NoCheckout: It doesn't exist.
    """
    options = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    done = subprocess.run(["git", "-C", ROOT, *options], capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip() or f"this repository has no revision {revision!r}."
        raise NoCheckout(f"--against: {reason.splitlines()[0]}")
    return done.stdout.strip()


def _cache() -> Path:
    """Return the folder that keeps checkouts for later runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "apidevices-benchmarks"


def _extract(commit: str, folder: Path) -> None:
    """Write the files of a commit to a new folder.

    Raises:
        NoCheckout: git failed.
    """
    command: Sequence[str | Path] = ["git", "-C", ROOT, "archive", "--format=tar", commit]
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        raise NoCheckout(f"git archive failed: {done.stderr.decode().strip()}")
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", partial], input=done.stdout, check=True)
    partial.rename(folder)


def _install(folder: Path, revision: str) -> None:
    """Install a checkout with the versions of its own constraints.txt, unless it is installed.

    Raises:
        NoCheckout: The installation failed.
    """
    if not (folder / _INSTALL_TARGET).exists():
        print(f"  installing {revision} in {folder} (first run only)", file=sys.stderr)
    environment = clean_environment()
    for variable in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
        environment.pop(variable, None)  # those of `make bench`
    command: Sequence[str | Path] = [
        "make",
        "--silent",
        "-C",
        folder,
        _INSTALL_TARGET,
        f"PYTHON={sys.executable}",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines()]
        errors = [line for line in lines if line.startswith("ERROR: ")]
        reason = [*lines[-1:], *errors][-1]
        raise NoCheckout(f"--against: {revision} can't be installed in {folder}: {reason}")
