"""The real server in its own processes, started as by ``make run``."""

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from apidevices import clock, tokens
from apidevices.database import Database, engine_for

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = (sys.executable, str(ROOT / "app.py"))
FLASK = (sys.executable, "-m", "flask", "--app", str(ROOT / "app.py"))

SQLITE_FILE = "apidevices.sqlite3"

_VARIABLES = ("HOST", "PORT", "WEB_CONCURRENCY", "DATABASE_URL", "SECRET_KEY")

UNLIMITED = {
    f"APIDEVICES_{name}": "0"
    for name in (
        "NEW_DEVICES_PER_HOUR",
        "CHANGES_PER_HOUR",
        "TOKEN_CHANGES_PER_HOUR",
        "UPLOADS_PER_DAY",
        "UPLOAD_BYTES_PER_DAY",
        "TOKEN_UPLOADS_PER_DAY",
        "TOKEN_UPLOAD_BYTES_PER_DAY",
    )
}
"""Environment variables for a server that a load test would otherwise bring to its limits."""


def is_app_setting(variable: str) -> bool:
    """Return whether an environment variable configures the application under test."""
    return variable in _VARIABLES or variable.startswith(("APIDEVICES_", "FLASK_", "GUNICORN_"))


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment, with only ``variables`` as application settings."""
    inherited = {name: value for name, value in os.environ.items() if not is_app_setting(name)}
    return inherited | variables


def free_port() -> int:
    """Return a free port, outside the range of ephemeral ports."""
    while True:
        port = random.randint(10_000, 32_000)  # noqa: S311 - not a secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait until a condition is true; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"condition not met within {seconds} seconds"
        time.sleep(0.02)


def launch(command: Sequence[str | Path], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that appends its output to a file. ``options`` are those of ``Popen``."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
        )


@contextmanager
def terminating(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Terminate a process on exit, and wait until it has ended."""
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@dataclass(frozen=True)
class Response:
    """An HTTP response that has been read completely."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)

    @classmethod
    def read(cls, response: http.client.HTTPResponse) -> Self:
        """Read a whole response."""
        return cls(response.status, response.headers, response.read())


class ServerProcess(ABC):
    """A server in its own process, on a free port.

    Entering the context manager starts the server and waits until it is ready. Leaving it stops
    the server with SIGTERM and checks the exit status and the log.
    """

    process: subprocess.Popen[bytes]
    start_seconds = 30.0

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log

    def __enter__(self) -> Self:
        self._log.unlink(missing_ok=True)
        self.launch()
        try:
            wait_until(self._has_started, self.start_seconds)
        except BaseException:
            self._terminate()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status = self._terminate()
        if error is None:
            assert status == 0, self.log
            assert "Traceback" not in self.log, self.log

    @property
    def log(self) -> str:
        """Everything the server has printed so far."""
        return self._log.read_text(errors="replace")

    @abstractmethod
    def launch(self) -> None:
        """Start the server without waiting until it is ready."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether the server is ready."""

    def _has_started(self) -> bool:
        assert self.process.poll() is None, f"the server did not start:\n{self.log}"
        return self.is_ready()

    def _terminate(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


class RealServer(ServerProcess):
    """The standalone application, with its own instance folder.

    Args:
        instance: The instance folder. The log is written next to it.
        program: The command that starts the server.
        flask: The matching ``flask`` command.
        cwd: The working directory of both commands.
        variables: Additional environment variables.
    """

    def __init__(
        self,
        instance: Path,
        *,
        program: Sequence[str] = PROGRAM,
        flask: Sequence[str] = FLASK,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(instance.with_name(f"{instance.name}.log"))
        self.instance = instance
        self._program = program
        self._flask = flask
        self._cwd = cwd or instance.parent
        self._environment = clean_environment(
            **{
                "PORT": str(self.port),
                "APIDEVICES_INSTANCE": str(instance),
                "APIDEVICES_DISK_RESERVE": "1",  # the tests keep many instance folders
            }
            | dict(variables or {})
        )

    @property
    def database_url(self) -> str:
        """The URL of the server's database."""
        url = f"sqlite:///{self.instance / SQLITE_FILE}"
        return self._environment.get("DATABASE_URL", url)

    @property
    def setup_links(self) -> list[str]:
        """The setup links that the server has printed."""
        return re.findall(r"http://\S+/setup/\S+", self.log)

    @property
    def workers(self) -> list[int]:
        """The process ids of all workers started so far, oldest first."""
        return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.log)]

    def cpu_times(self) -> dict[int, int]:
        """Return the CPU time of each worker, in clock ticks (Linux)."""
        stat = {pid: Path(f"/proc/{pid}/stat").read_text() for pid in self.workers}
        fields = {pid: text.rpartition(")")[2].split() for pid, text in stat.items()}
        return {pid: int(values[11]) + int(values[12]) for pid, values in fields.items()}

    def launch(self) -> None:
        """Start the server without waiting until it is ready."""
        self.process = launch(self._program, self._log, cwd=self._cwd, env=self._environment)

    def is_ready(self) -> bool:
        """Return whether the server is ready."""
        try:
            return self.call("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self) -> None:
        """Stop the server with SIGTERM and wait until it has exited."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def flask(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``flask …`` on the same instance, in its own process."""
        return subprocess.run(
            [*self._flask, *arguments],
            cwd=self._cwd,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def create_token(self, name: str = "test", *scopes: str) -> str:
        """Create an API token and return its text, without the second that a command takes."""
        db = Database(engine_for(self.database_url))
        try:
            return tokens.issue(db, name, scopes, actor="the test", now=clock.now())[1]
        finally:
            db.engine.dispose()

    def devices(self, *filters: str) -> list[dict[str, Any]]:
        """Return all devices that ``flask apidevices list`` prints with these filters."""
        listed = self.flask("apidevices", "list", "--json", *filters)
        assert listed.returncode == 0, listed.stderr
        found: list[dict[str, Any]] = json.loads(listed.stdout)
        return found

    def connect(self) -> http.client.HTTPConnection:
        """Open a keep-alive connection. The caller closes it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.connect()
        return connection

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """Make one request on a new connection."""
        with closing(self.connect()) as connection:
            connection.request(method, path, body, headers or {})
            return Response.read(connection.getresponse())

    def send(self, request: bytes) -> Response:
        """Send raw bytes and read the response."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            return read_response(connection)


def read_response(connection: socket.socket) -> Response:
    """Read one HTTP response from a socket."""
    with closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        return Response.read(response)
