"""The benchmarks: their command line, load generator and measurement of processes."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine, func, select, text

from apidevices.database import engine_options
from apidevices.models import Device, DeviceHistory, DeviceToken
from benchmarks import lists, report
from benchmarks.applications import engine_url
from benchmarks.databases import Sqlite
from benchmarks.load import Load, Requests
from benchmarks.processes import NAMED_THREADS, Usage
from benchmarks.rows import fill
from harness.real_server import ROOT, clean_environment, wait_until

TOKEN = "apd_benchmark"


def run_benchmarks(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line. It must fail before it measures anything."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is not a git checkout")
def test_comparing_with_an_unknown_revision_fails_with_one_line() -> None:
    done = run_benchmarks("gate", "--against", "no-such-revision")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: --against: this repository has no revision 'no-such-revision'.\n"
    )


def test_comparing_without_git_fails_with_one_line(tmp_path: Path) -> None:
    done = run_benchmarks("gate", "--against", "HEAD", PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: --against needs git, which is not installed.\n"


def test_unknown_part_is_rejected_with_the_list_of_parts() -> None:
    done = run_benchmarks("gates")
    assert done.returncode == 2
    assert "'gates' is not one of 'gate', 'nginx', 'stability'" in done.stderr


# --- the load at a constant rate -----------------------------------------------------------------


@contextmanager
def one_connection_at_a_time(pauses: Iterator[float], status: int = 204) -> Iterator[int]:
    """Run a server with one thread. It sleeps before each response. Yield its port."""

    def serve() -> None:
        open_connections = []
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            open_connections.append(connection)
            threading.Thread(target=respond, args=(connection,), daemon=True).start()

    def respond(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                with turn:
                    time.sleep(next(pauses))
                connection.sendall(b"HTTP/1.1 %d Status\r\n\r\n" % status)

    turn = threading.Lock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def send_at(rate: float, seconds: float, port: int, folder: Path) -> Load:
    requests = Requests(folder / "requests", [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"])
    return requests.send_at(rate, port, seconds)


def no_pauses() -> Iterator[float]:
    while True:
        yield 0


def one_long_pause() -> Iterator[float]:
    yield 0.8
    yield from no_pauses()


def test_constant_rate_sends_what_is_due(tmp_path: Path) -> None:
    with one_connection_at_a_time(no_pauses()) as port:
        load = send_at(200, 1, port, tmp_path)
    assert (load.requests, load.errors, load.broken) == (200, 0, 0)
    assert load.seconds == pytest.approx(1, abs=0.2)


def test_duration_at_a_constant_rate_includes_the_wait_for_a_free_connection(
    tmp_path: Path,
) -> None:
    with one_connection_at_a_time(one_long_pause()) as port:
        load = send_at(200, 1, port, tmp_path)
    # 160 of the 200 requests were due during the pause of 0.8 s, but only 16 could be sent.
    assert load.requests == 200
    assert load.p50_ms > 200


def test_errors_at_a_constant_rate_are_counted(tmp_path: Path) -> None:
    with one_connection_at_a_time(no_pauses(), status=403) as port:
        load = send_at(100, 0.2, port, tmp_path)
    assert (load.requests, load.errors) == (20, 20)


# --- the use of the CPU --------------------------------------------------------------------------

BUSY_THREADS = """
import threading, time

def work():
    while time.thread_time() < 0.3:
        pass
    time.sleep(60)

threading.Thread(target=work, name="apidevices-activity").start()
work()
"""


def test_cpu_time_of_the_activity_thread_is_told_apart(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY_THREADS], env=clean_environment(**NAMED_THREADS)
    )
    with process:
        wait_until(lambda: Usage.of(process.pid).cpu > 0.5)
        usage = Usage.of(process.pid)
        process.kill()
    assert usage.flush == pytest.approx(0.3, abs=0.15)
    assert usage.cpu - usage.flush == pytest.approx(0.3, abs=0.15)


# --- databases and results -----------------------------------------------------------------------


def test_filling_the_database_of_an_older_revision_skips_missing_columns(tmp_path: Path) -> None:
    with Sqlite(tmp_path, TOKEN).database("older") as url:
        engine = create_engine(engine_url(url), **engine_options(engine_url(url), 1))
        with engine.begin() as connection:
            connection.execute(text(f"DROP TABLE {DeviceHistory.__tablename__}"))
            connection.execute(
                text(f"ALTER TABLE {DeviceToken.__tablename__} DROP COLUMN first_used_at")
            )
        fill(engine, TOKEN, range(3), skip_missing=True)
        with engine.connect() as connection:
            assert connection.scalar(select(func.count(Device.id))) == 3
        engine.dispose()


def test_second_lowest_of_one_value_is_that_value() -> None:
    assert report.second_lowest([3.0, 1.0, 2.0]) == 2.0
    assert report.second_lowest([3.0]) == 3.0


@pytest.mark.database("sqlite")
def test_client_that_measures_the_list_is_signed_in(app: Flask) -> None:
    for _ in range(2):  # the second time, the account exists
        client = lists.signed_in_client(app)
        assert client.get(lists.PAGE, headers=lists.HEADERS).status_code == 200
