"""Replacing a running server without a refused or failed request."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from harness.real_server import PROGRAM, RealServer, Response, launch, wait_until
from tests.conftest import VERIFY, StartServer, as_device
from tests.server.threads import Threads

pytestmark = pytest.mark.database("sqlite")


class Callers(Threads):
    """Clients that call the gate continuously, each request on a new connection."""

    def __init__(self, server: RealServer, token: str) -> None:
        self.statuses: list[int] = []
        self.errors: list[str] = []
        self._server = server
        self._headers = as_device(token)
        super().__init__([self._run] * 4)

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.statuses.append(self._server.call("GET", VERIFY, self._headers).status)
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))


def parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("PPid:")]
    return int(line.removeprefix("PPid:"))


def master(server: RealServer) -> int:
    """Return the process id of the current master, the parent of the newest worker."""
    return parent(server.workers[-1])


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def replace(server: RealServer) -> None:
    """Send SIGUSR2 and wait until the old server has stopped."""
    server.process.send_signal(signal.SIGUSR2)
    server.process.wait(40)


@contextmanager
def replaceable(server: RealServer) -> Iterator[None]:
    """Stop the server that has replaced the one that was started."""
    try:
        yield
    finally:
        current = master(server)
        if current != server.process.pid:
            os.kill(current, signal.SIGTERM)
            wait_until(lambda: not Path(f"/proc/{current}").exists(), 40)


def test_sigusr2_replaces_the_server_without_a_failed_request(make_server: StartServer) -> None:
    with make_server(WEB_CONCURRENCY="2") as server, replaceable(server):
        token = server.create_token()
        with Callers(server, token) as callers:
            wait_until(lambda: len(callers.statuses) > 100)
            replace(server)
            served = len(callers.statuses)
            wait_until(lambda: len(callers.statuses) > served + 100)
        assert callers.errors == []
        assert set(callers.statuses) == {200}
        assert len(server.workers) == 4


def test_sigusr2_reads_the_settings_file_again(make_server: StartServer, tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text("APIDEVICES_REQUIRE_DEVICE_ID=false\nWEB_CONCURRENCY=1\n")
    variables = {"APIDEVICES_ENV_FILE": str(file), "WEB_CONCURRENCY": "3"}
    with make_server(**variables) as server, replaceable(server):
        headers = as_device(server.create_token(), None)
        assert server.call("GET", VERIFY, headers).status == 200
        assert len(server.workers) == 1
        file.write_text("")  # so that the variables of the environment count again
        replace(server)
        assert server.call("GET", VERIFY, headers).status == 400
        wait_until(lambda: len(server.workers) == 4)


def test_old_server_stays_if_the_new_one_does_not_start(
    make_server: StartServer, tmp_path: Path
) -> None:
    file = tmp_path / "settings.env"
    file.write_text("WEB_CONCURRENCY=1\n")
    with make_server(APIDEVICES_ENV_FILE=str(file)) as server:
        file.write_text("WEB_CONCURRENCY=none\n")
        server.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: "WEB_CONCURRENCY: " in server.log)
        wait_until(lambda: len(children(server.process.pid)) == 1)  # only the worker
        assert server.call("GET", "/livez").status == 200
        file.write_text("WEB_CONCURRENCY=2\n")
        with replaceable(server):
            replace(server)
            assert server.call("GET", "/livez").status == 200


def test_restarted_worker_keeps_the_settings_of_the_server(
    make_server: StartServer, tmp_path: Path
) -> None:
    file = tmp_path / "settings.env"
    file.write_text("WEB_CONCURRENCY=1\nAPIDEVICES_REQUIRE_DEVICE_ID=false\n")
    with make_server(APIDEVICES_ENV_FILE=str(file)) as server:
        headers = as_device(server.create_token(), None)
        file.write_text("APIDEVICES_THREADS=none\n")
        os.kill(server.workers[0], signal.SIGKILL)
        wait_until(lambda: len(server.workers) == 2)
        assert server.call("GET", VERIFY, headers).status == 200


@pytest.mark.parametrize("line", ["PORT", "PORT 8000", "= 8000"])
def test_invalid_line_in_the_settings_file_stops_the_start(tmp_path: Path, line: str) -> None:
    file = tmp_path / "settings.env"
    file.write_text(f"# comment\n{line}\n")
    environment = {**os.environ, "APIDEVICES_ENV_FILE": str(file)}
    finished = subprocess.run(PROGRAM, env=environment, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 1
    assert finished.stderr == f"APIDEVICES_ENV_FILE: line 2 of {file} is not NAME=value\n"


def test_missing_settings_file_stops_the_start(tmp_path: Path) -> None:
    environment = {**os.environ, "APIDEVICES_ENV_FILE": str(tmp_path / "missing.env")}
    finished = subprocess.run(PROGRAM, env=environment, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 1
    assert finished.stderr == (
        f"APIDEVICES_ENV_FILE: can't read {tmp_path}/missing.env: No such file or directory\n"
    )


# Sets LISTEN_PID as systemd does: to the process that becomes the server.
_ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def activated(listener: socket.socket, folder: Path) -> subprocess.Popen[bytes]:
    """Start a server with a socket, as systemd does."""
    listener.set_inheritable(True)
    command = [sys.executable, "-c", _ACTIVATED, str(listener.fileno()), *PROGRAM]
    environment = {
        **os.environ,
        "APIDEVICES_INSTANCE": str(folder / "instance"),
        "WEB_CONCURRENCY": "1",
    }
    return launch(command, folder / "log", env=environment, close_fds=False)


def get_livez(port: int) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as client:
        client.request("GET", "/livez")
        return Response.read(client.getresponse()).status


def test_connections_wait_in_a_systemd_socket_while_the_server_restarts(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        for _ in range(2):
            process = activated(listener, tmp_path)
            try:
                assert get_livez(listener.getsockname()[1]) == 200
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(40)
            assert process.returncode == 0


def test_sigusr2_passes_a_systemd_socket_on(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def masters() -> list[int]:
        workers = re.findall(r"Booting worker with pid: (\d+)", log.read_text())
        return [parent(int(pid)) for pid in workers if Path(f"/proc/{pid}").exists()]

    def has_been_promoted(times: int) -> bool:
        return log.read_text().count("Master has been promoted") == times

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        process = activated(listener, tmp_path)
        current = process.pid
        try:
            for reloads in (0, 1, 2):
                wait_until(partial(has_been_promoted, reloads))
                wait_until(masters)
                current = masters()[-1]
                assert get_livez(listener.getsockname()[1]) == 200
                if reloads < 2:
                    os.kill(current, signal.SIGUSR2)
            assert process.wait(40) == 0
        finally:
            os.kill(current, signal.SIGTERM)
            wait_until(lambda: not Path(f"/proc/{current}").exists(), 40)
