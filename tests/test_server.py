"""The real server: its start, its end, and what only many processes at once can show."""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from apidevices.clock import now, rfc3339
from apidevices.uploads import MAX_BYTES
from tests.conftest import DEVICE, DEVICES, UPLOADS, StartServer, as_device
from tests.real_server import (
    PROGRAM,
    Answer,
    RealServer,
    clean_environment,
    free_port,
    read_answer,
    wait_until,
)

MANAGE = ("devices:read", "devices:write")


@pytest.fixture(scope="module")
def token(server: RealServer) -> str:
    """A token for devices and for looking at them."""
    return server.create_token("test", *MANAGE)


def devices(server: RealServer, token: str, name: str) -> list[dict[str, Any]]:
    """Return all devices that have this in their name or identifier."""
    found: list[dict[str, Any]] = []
    following = f"{DEVICES}?name={name}"
    while following:
        page = server.call("GET", following, as_device(token, None)).json
        found += page["devices"]
        following = (page["next"] or "").removeprefix(server.url)
    return found


def history(server: RealServer, token: str, identifier: str) -> list[dict[str, Any]]:
    [device] = devices(server, token, identifier)
    path = f"{DEVICES}/{device['id']}/history"
    entries: list[dict[str, Any]] = server.call("GET", path, as_device(token, None)).json["history"]
    return entries


def all_at_once(
    server: RealServer, count: int, headers: Callable[[int], dict[str, str]]
) -> Counter[int]:
    """Make requests at the same moment, each on a connection of its own; count the statuses."""
    together = threading.Barrier(count)

    def call(number: int) -> int:
        with closing(server.connect()) as connection:
            together.wait(20)
            connection.request("GET", DEVICE, headers=headers(number))
            return Answer.read(connection.getresponse()).status

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(call, range(count)))


# --- the start ---------------------------------------------------------------------------------


def test_first_start_prints_one_setup_link(make_server: StartServer) -> None:
    with make_server() as server:
        [link] = server.setup_links
        assert link.startswith(f"{server.url}/setup/")
        created = server.flask(
            "apidevices", "create-user", "ann@example.com", "--password-stdin", stdin="long enough"
        )
        assert created.returncode == 0, created.stderr
    with make_server() as server:
        assert server.setup_links == []


def test_start_keeps_a_secret_for_its_owner_only(server: RealServer) -> None:
    assert (server.instance / "secret_key").stat().st_mode & 0o777 == 0o600
    assert len((server.instance / "secret_key").read_text()) >= 32


def test_start_migrates(server: RealServer) -> None:
    assert server.call("GET", "/readyz").status == 200
    assert server.flask("apidevices", "list", "--json").stdout == "[]\n"


def refusal(folder: Path, environment: dict[str, str]) -> str:
    """Start a server that can't be started, and return the one line that says why."""
    started = subprocess.run(
        PROGRAM,
        env=clean_environment(**environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert started.returncode == 1
    assert started.stdout == ""
    [line] = started.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HOST", "no such host"),
        ("PORT", "http"),
        ("WEB_CONCURRENCY", "many"),
        ("DATABASE_URL", "mysql://db.example/devices"),
        ("DATABASE_URL", "sqlite:////no/such/folder/devices.sqlite3"),
        ("DATABASE_URL", "postgresql://127.0.0.1:1/devices"),
        ("APIDEVICES_INSTANCE", "/dev/null/instance"),
        ("APIDEVICES_ACTIVITY_INTERVAL", "60"),
        ("APIDEVICES_TYPO", "1"),
    ],
)
def test_wrong_variable_stops_the_start_with_one_line(
    tmp_path: Path, variable: str, value: str
) -> None:
    usual = {"PORT": str(free_port()), "APIDEVICES_INSTANCE": str(tmp_path / "instance")}
    environment = usual | {variable: value}
    assert variable in refusal(tmp_path, environment).partition(": ")[0]


def test_port_in_use_stops_the_start_with_one_line(server: RealServer, tmp_path: Path) -> None:
    environment = {"PORT": str(server.port), "APIDEVICES_INSTANCE": str(tmp_path / "instance")}
    assert refusal(tmp_path, environment).startswith("HOST, PORT: ")


def test_wrong_variable_stops_a_command_with_one_line(make_server: StartServer) -> None:
    listed = make_server(APIDEVICES_REQUIRE_DEVICE_ID="perhaps").flask("apidevices", "list")
    assert listed.returncode != 0
    [line] = listed.stderr.splitlines()
    assert "APIDEVICES_REQUIRE_DEVICE_ID: " in line


def test_database_is_upgraded_by_hand(make_server: StartServer) -> None:
    server = make_server()
    upgraded = server.flask("db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert server.flask("apidevices", "list", "--json").stdout == "[]\n"


# --- many at once ------------------------------------------------------------------------------


def test_one_new_device_at_64_places_is_registered_once(server: RealServer, token: str) -> None:
    headers = as_device(token, "everywhere-1", model="iPhone 14")
    assert all_at_once(server, 64, lambda _: headers) == {200: 64}
    assert [entry["kind"] for entry in history(server, token, "everywhere-1")] == ["registered"]


def test_one_change_at_64_places_is_recorded_once(server: RealServer, token: str) -> None:
    server.call("GET", DEVICE, as_device(token, "everywhere-2", os_version="18"))
    headers = as_device(token, "everywhere-2", os_version="26")
    assert all_at_once(server, 64, lambda _: headers) == {200: 64}
    changed, _ = history(server, token, "everywhere-2")
    assert changed["changes"] == {"os_version": {"old": "18", "new": "26"}}


def test_64_new_devices_at_once_are_all_registered(server: RealServer, token: str) -> None:
    assert all_at_once(server, 64, lambda number: as_device(token, f"fleet-{number}-")) == {200: 64}
    assert len(devices(server, token, "fleet-")) == 64


class Traffic:
    """A device that calls without a pause, from several threads; the connections are kept alive.

    Each answer is noted with the moment at which its request was begun.
    """

    def __init__(self, server: RealServer, headers: dict[str, str], threads: int = 8) -> None:
        self.answers: list[tuple[float, int]] = []
        self._server = server
        self._headers = headers
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def since(self, moment: float) -> list[int]:
        """Return the statuses of the answers to requests that were begun after a moment."""
        return [status for begun, status in list(self.answers) if begun > moment]

    def _run(self) -> None:
        while not self._enough.is_set():
            with closing(self._server.connect()) as connection:
                for _ in range(60):
                    begun = time.monotonic()
                    connection.request("GET", DEVICE, headers=self._headers)
                    self.answers.append((begun, Answer.read(connection.getresponse()).status))
                    if self._enough.is_set():
                        break


def processor_time(pid: int) -> int:
    """Return how long a process has run, in ticks of the system (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def block_by_command(server: RealServer, token: str, identifier: str) -> None:
    blocked = server.flask("apidevices", "block", identifier)
    assert blocked.returncode == 0, blocked.stderr


def block_by_request(server: RealServer, token: str, identifier: str) -> None:
    [device] = devices(server, token, identifier)
    path = f"{DEVICES}/{device['id']}/block"
    assert server.call("POST", path, as_device(token, None)).status == 200


@pytest.mark.parametrize("block", [block_by_command, block_by_request])
def test_nothing_passes_once_a_block_has_been_answered(
    server: RealServer, token: str, block: Callable[[RealServer, str, str], None]
) -> None:
    identifier = f"shut-1-{block.__name__}"
    headers = as_device(token, identifier)
    assert server.call("GET", DEVICE, headers).status == 200
    spent = {pid: processor_time(pid) for pid in server.workers}
    with Traffic(server, headers) as traffic:
        wait_until(lambda: len(traffic.answers) > 100)
        block(server, token, identifier)
        answered = time.monotonic()
        wait_until(lambda: len(traffic.since(answered)) >= 5_000, 60)
        assert server.call("GET", DEVICE, as_device(token, "open-1")).status == 200
    after = traffic.since(answered)
    assert Counter(after) == {403: len(after)}
    assert 200 in [status for _, status in traffic.answers]
    assert all(processor_time(pid) > ticks for pid, ticks in spent.items())


def test_unblock_from_another_process_holds_at_once(server: RealServer, token: str) -> None:
    headers = as_device(token, "shut-2")
    server.call("GET", DEVICE, headers)
    server.flask("apidevices", "block", "shut-2")
    assert all_at_once(server, 32, lambda _: headers) == {403: 32}
    server.flask("apidevices", "unblock", "shut-2")
    assert all_at_once(server, 32, lambda _: headers) == {200: 32}


def test_revoked_token_is_refused_by_every_worker(server: RealServer) -> None:
    token = server.create_token("to be revoked")
    headers = as_device(token, "revoked-1")
    assert all_at_once(server, 32, lambda _: headers) == {200: 32}
    assert server.flask("apidevices", "revoke-token", token).returncode == 0
    assert all_at_once(server, 32, lambda _: headers) == {401: 32}


def test_denied_requests_of_all_workers_add_up(server: RealServer, token: str) -> None:
    headers = as_device(token, "shut-3")
    server.call("GET", DEVICE, headers)
    server.flask("apidevices", "block", "shut-3")
    all_at_once(server, 40, lambda _: headers)
    wait_until(lambda: devices(server, token, "shut-3")[0]["denied_count"] == 40)


# --- hostile requests --------------------------------------------------------------------------


def request(token: str, *lines: bytes, method: bytes = b"GET", path: bytes = b"") -> bytes:
    """Return a request, byte by byte as it goes over the wire."""
    head = [
        method + b" " + (path or DEVICE.encode()) + b" HTTP/1.1",
        b"Host: localhost",
        b"Connection: close",
        b"Authorization: Bearer " + token.encode(),
        *lines,
    ]
    return b"\r\n".join(head) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("红米 Note".encode(), "红米 Note", id="UTF-8"),
        pytest.param("📱".encode(), "📱", id="emoji"),
        pytest.param(b"caf%C3%A9", "café", id="percent-encoded"),
        pytest.param(b"caf\xe9", "café", id="Latin-1"),
        pytest.param(b"\xff\xfe\xc3", "ÿþÃ", id="no UTF-8"),
        pytest.param(b"a\xed\xa0\x80b", "aí b", id="raw surrogate"),
        pytest.param(b"%ED%A0%80%00%zz%", "%ED%A0%80%zz%", id="invalid escapes"),
        pytest.param(b"x" * 10_000, "x" * 255, id="10,000 characters"),
        pytest.param("é".encode() * 10_000, "é" * 255, id="10,000 characters, not ASCII"),
        pytest.param(b"%F0%9F%93%B1" * 10_000, "📱" * 255, id="10,000 characters, escaped"),
        pytest.param(b"a%0D%0AX-Device-ID: evil", "a X-Device-ID: evil", id="escaped line break"),
        pytest.param(b"<script>alert('x')</script>", "<script>alert('x')</script>", id="HTML"),
        pytest.param(b"{{ 7 * 7 }} ${7} %(x)s {0}", "{{ 7 * 7 }} ${7} %(x)s {0}", id="templates"),
        pytest.param(b"'; DROP TABLE x; --", "'; DROP TABLE x; --", id="SQL"),
    ],
)
def test_hostile_detail_is_shown_as_text(
    server: RealServer, token: str, value: bytes, shown: str
) -> None:
    identifier = b"X-Device-ID: hostile"
    answer = server.send(request(token, identifier, b"X-Device-Model: " + value))
    assert answer.status == 200, answer.body
    assert answer.json["model"] == shown


@pytest.mark.parametrize(
    ("value", "status"),
    [
        pytest.param("设备-📱".encode(), 200, id="UTF-8"),
        pytest.param(b"%41%2C", 200, id="percent-encoded"),
        pytest.param(b"<b>&amp;</b>", 200, id="HTML"),
        pytest.param(b"x" * 255, 200, id="255 characters"),
        pytest.param(b"x" * 256, 400, id="256 characters"),
        pytest.param(b"x" * 10_000, 400, id="10,000 characters"),
        pytest.param(b"a,b", 400, id="comma"),
        pytest.param(b"a\r\nX-Device-ID: b", 400, id="sent twice"),
        pytest.param(b"\xff\xfe", 400, id="no UTF-8"),
        pytest.param(b"", 400, id="empty"),
        pytest.param("a\u202eb".encode(), 400, id="right-to-left override"),
    ],
)
def test_hostile_identifier_is_shown_as_text_or_refused(
    server: RealServer, token: str, value: bytes, status: int
) -> None:
    answer = server.send(request(token, b"X-Device-ID: " + value))
    assert answer.status == status, answer.body
    if status == 200:
        assert answer.json["identifier"] == value.decode()
    else:
        assert answer.json["code"] == "device_id_invalid"


@pytest.mark.parametrize(
    "byte", [b"\x00", b"\x01", b"\x0b", b"\x1b", b"\x7f", b"\x85", b"\r", b"\n"]
)
@pytest.mark.parametrize("header", [b"X-Device-ID", b"X-Device-Model", b"Authorization"])
def test_control_character_is_no_error_of_the_server(
    server: RealServer, token: str, header: bytes, byte: bytes
) -> None:
    answer = server.send(request(token, header + b": a" + byte + b"b"))
    assert 200 <= answer.status < 500


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", id="version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", id="TLS"),
        pytest.param(b"GET " + b"/x" * 50_000 + b" HTTP/1.1\r\n\r\n", id="long path"),
        pytest.param(b"GET /api/v1/\xff%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n", id="path no UTF-8"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n", id="many headers"),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"b" * 300_000 + b"\r\n\r\n", id="long header"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", id="length no number"),
    ],
)
def test_broken_request_is_no_error_of_the_server(server: RealServer, raw: bytes) -> None:
    with suppress(ConnectionError, http.client.BadStatusLine):  # hung up on: an answer, too
        assert 400 <= server.send(raw).status < 500
    assert server.call("GET", "/livez").status == 200


def test_underscores_do_not_pass_for_hyphens(server: RealServer, token: str) -> None:
    answer = server.send(request(token, b"X-Device-ID: hyphen", b"X_Device_ID: underscore"))
    assert answer.json["identifier"] == "hyphen"
    assert server.send(request(token, b"X_Device_ID: underscore")).status == 400


@pytest.mark.parametrize("method", [b"PROPFIND", b"TRACE", b"OPTIONS", b"M-SEARCH"])
@pytest.mark.parametrize("path", [b"/api/v1/device", b"/api//v1/device", b"/%61pi/v1/nothing"])
def test_blocked_device_finds_no_way_around(
    server: RealServer, token: str, method: bytes, path: bytes
) -> None:
    headers = as_device(token, "shut-4")
    if server.call("GET", DEVICE, headers).status == 200:
        assert server.flask("apidevices", "block", "shut-4").returncode == 0
    answer = server.send(request(token, b"X-Device-ID: shut-4", method=method, path=path))
    assert (answer.status, answer.json["code"]) == (403, "device_blocked")


# --- uploads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with length"])
@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES, 201), (MAX_BYTES + 1, 413)])
def test_upload_over_the_wire(
    server: RealServer, token: str, chunked: bool, size: int, status: int
) -> None:
    body = b"7" * size  # JSON wherever it might be cut off
    pieces = (body[start : start + 60_000] for start in range(0, size, 60_000))
    headers = {**as_device(token, "uploader"), "Content-Type": "application/json"}
    with closing(server.connect()) as connection:
        connection.request(
            "POST", UPLOADS, pieces if chunked else body, headers, encode_chunked=chunked
        )
        answer = Answer.read(connection.getresponse())
    assert answer.status == status


# --- the fleet ---------------------------------------------------------------------------------


def test_simulated_fleet_appears(server: RealServer, token: str) -> None:
    before = len(json.loads(server.flask("apidevices", "list", "--json").stdout))
    options = ("--devices", "5", "--rate", "40", "--seconds", "0.5", "--seed", "7")
    simulated = server.flask(
        "apidevices", "simulate", "--url", server.url, "--token", token, *options
    )
    assert simulated.returncode == 0, simulated.stderr
    answers = dict(line.split() for line in simulated.stdout.splitlines()[2:])
    assert set(answers) == {"200", "201"}
    assert sum(map(int, answers.values())) == 20
    listed = json.loads(server.flask("apidevices", "list", "--json").stdout)
    assert len(listed) == before + 5
    assert all(device["manufacturer"] and device["application"] for device in listed[:5])


# --- the end -----------------------------------------------------------------------------------


def test_stop_writes_out_activity(make_server: StartServer) -> None:
    with make_server(APIDEVICES_ACTIVITY_INTERVAL="1") as server:
        headers = as_device(server.create_token())
        asked = ""
        for _ in range(5):
            asked = rfc3339(now()) or ""
            assert server.call("GET", DEVICE, headers).status == 200
        server.stop()
        shown = json.loads(server.flask("apidevices", "show", "phone-1", "--json").stdout)
    assert shown["last_active_at"] >= asked


def test_stop_answers_the_request_in_flight(make_server: StartServer) -> None:
    body = b'{"count": 3}'
    with make_server(WEB_CONCURRENCY="1") as server:
        head = request(
            server.create_token(),
            b"X-Device-ID: phone-1",
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            b"Expect: 100-continue",
            method=b"POST",
            path=UPLOADS.encode(),
        )
        with (
            closing(server.connect()) as idle,
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
        ):
            idle.request("GET", "/livez")
            Answer.read(idle.getresponse())
            connection.sendall(head)
            assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            server.process.send_signal(signal.SIGTERM)
            assert idle.sock.recv(1) == b""  # hung up on: the worker is stopping
            connection.sendall(body)
            assert read_answer(connection).status == 201
        server.process.wait(20)


def test_killed_worker_takes_nothing_with_it_that_was_answered(make_server: StartServer) -> None:
    acknowledged: list[str] = []
    enough = threading.Event()

    with make_server(WEB_CONCURRENCY="2") as server:
        token = server.create_token("test", *MANAGE)

        def register(thread: int) -> None:
            number = 0
            while not enough.is_set():
                number += 1
                identifier = f"phone-{thread}-{number}"
                try:
                    answer = server.call("GET", DEVICE, as_device(token, identifier))
                except (OSError, http.client.HTTPException):
                    continue  # cut off, and so not promised
                assert answer.status == 200
                acknowledged.append(identifier)

        def kill_a_worker() -> None:
            goal, started = len(acknowledged) + 100, len(server.workers)
            wait_until(lambda: len(acknowledged) > goal)
            os.kill(server.workers[-1], signal.SIGKILL)
            wait_until(lambda: len(server.workers) > started)

        with ThreadPoolExecutor(6) as pool:
            running = [pool.submit(register, thread) for thread in range(6)]
            try:
                kill_a_worker()
                kill_a_worker()
            finally:
                enough.set()
            for future in running:
                future.result()
        listed = json.loads(server.flask("apidevices", "list", "--json").stdout)
    assert set(acknowledged) <= {device["identifier"] for device in listed}
