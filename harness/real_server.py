"""The real server in a process of its own, started as ``make run`` starts it."""

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
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = (sys.executable, str(ROOT / "app.py"))
FLASK = (sys.executable, "-m", "flask", "--app", str(ROOT / "app.py"))

_VARIABLES = ("HOST", "PORT", "WEB_CONCURRENCY", "DATABASE_URL", "SECRET_KEY")


def is_app_setting(variable: str) -> bool:
    """Tell whether an environment variable would change what is tested."""
    return variable in _VARIABLES or variable.startswith(("APIDEVICES_", "FLASK_", "GUNICORN_"))


def clean_environment(**variables: str) -> dict[str, str]:
    """Return the environment as it would be if nothing configured the product but ``variables``."""
    inherited = {name: value for name, value in os.environ.items() if not is_app_setting(name)}
    return inherited | variables


def free_port() -> int:
    """Return a port that nobody listens on, out of the range of outgoing connections."""
    while True:
        port = random.randint(10_000, 32_000)  # noqa: S311 - nothing here is a secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait until something holds, and fail if it doesn't in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def launch(command: Sequence[str | Path], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that prints to the end of a file; options are those of ``Popen``."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
        )


@dataclass(frozen=True)
class Answer:
    """What came back from a request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @classmethod
    def read(cls, response: http.client.HTTPResponse) -> Self:
        """Read a whole response."""
        return cls(response.status, response.headers, response.read())


class RealServer:
    """A server on a free port, with an instance folder of its own.

    As a context manager it waits until the server is ready, and at the end stops it by SIGTERM
    and checks that it went without a complaint.

    Args:
        instance: its instance folder; the log lies beside it.
        program: what starts it.
        flask: the ``flask`` command that goes with it.
        cwd: where both are started.
        variables: more of its environment.
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
        self.instance = instance
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._program = program
        self._flask = flask
        self._cwd = cwd or instance.parent
        self._environment = clean_environment(
            **{"PORT": str(self.port), "APIDEVICES_INSTANCE": str(instance)} | dict(variables or {})
        )
        self._log = instance.with_name(f"{instance.name}.log")

    def __enter__(self) -> Self:
        self._log.unlink(missing_ok=True)
        self.launch()
        try:
            wait_until(self._has_started, 30)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status = self._end()
        if error is None:
            assert status == 0, self.log
            assert "Traceback" not in self.log, self.log

    @property
    def log(self) -> str:
        """Everything that the server has printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def setup_links(self) -> list[str]:
        """The links that make the first account, as printed."""
        return re.findall(r"http://\S+/setup/\S+", self.log)

    @property
    def workers(self) -> list[int]:
        """The process ids of all workers that were ever started, the oldest first."""
        return [int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.log)]

    def launch(self) -> None:
        """Start it, without waiting until it is ready."""
        self.process = launch(self._program, self._log, cwd=self._cwd, env=self._environment)

    def is_ready(self) -> bool:
        """Tell whether somebody answers that all is well."""
        try:
            return self.call("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self) -> None:
        """Ask the server to stop and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def flask(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``flask …`` on the same instance, in a process of its own."""
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
        """Create an API token and return its text."""
        options = [option for scope in scopes for option in ("--scope", scope)]
        created = self.flask("apidevices", "create-token", name, *options)
        assert created.returncode == 0, created.stderr
        return created.stdout.strip()

    def devices(self) -> list[dict[str, Any]]:
        """Return all devices, as the command line lists them."""
        listed = self.flask("apidevices", "list", "--json")
        assert listed.returncode == 0, listed.stderr
        found: list[dict[str, Any]] = json.loads(listed.stdout)
        return found

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection that is kept alive; close it in the end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.connect()
        return connection

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Make one request on a connection of its own."""
        with closing(self.connect()) as connection:
            connection.request(method, path, body, headers or {})
            return Answer.read(connection.getresponse())

    def send(self, request: bytes) -> Answer:
        """Send bytes as they are and read the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            return read_answer(connection)

    def _has_started(self) -> bool:
        assert self.process.poll() is None, f"the server did not start:\n{self.log}"
        return self.is_ready()

    def _end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


def read_answer(connection: socket.socket) -> Answer:
    """Read one HTTP answer from a socket."""
    with closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        return Answer.read(response)
