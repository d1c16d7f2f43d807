"""Try to get past a block: by spelling, by route, and in the moment of the block."""

import threading
import time
from collections import Counter
from itertools import product
from urllib.parse import unquote

from apidevices.config import Settings
from tests.conftest import DEVICE, UPLOADS, VERIFY
from tests.hostile.spellings import IDENTIFIER, NAME, headers, requests
from tests.hostile.target import Target, in_parallel
from tests.hostile.wire import Answer, Wire, exchange_all

REQUIRED_AT_GATE = Settings.model_fields["require_device_id"].default is None
"""Whether the gate requires an identifier by default."""

FLUSH = 1.2
"""Seconds after which the activity of all requests is in the database."""


def attack(target: Target, step: int, rounds: int) -> None:
    """Send each ``step``-th request, and block and unblock a device ``rounds`` times."""
    _send_all(target, step)
    _leave_out_identifier(target)
    _reuse_connections(target)
    _race(target, rounds)


def _send_all(target: Target, step: int) -> None:
    device = target.register(IDENTIFIER, model="before")
    assert target.set_blocked(device["id"], blocked=True) == 200
    time.sleep(FLUSH)
    before = target.device(device["id"])

    def send(numbered: tuple[int, tuple[str, str, str, tuple[bytes, ...]]]) -> None:
        number, item = numbered
        method, path, version, lines = item
        if number % 2:  # a changed detail takes another path through the code
            lines = (*lines, b"X-Device-Model: after")
        raw = _raw(target, method, path, version, lines)
        answers = exchange_all(target.port, raw, method.strip())
        if not answers:
            target.tally.record(None)
        for answer in answers or ():
            target.tally.record(answer, item)
            if answer.status >= 300:
                continue
            if _names_the_device(answer, IDENTIFIER) or _is_plain(path, lines):
                target.tally.accept(f"{answer.status} for {item}")

    in_parallel(send, enumerate(requests(step)))
    time.sleep(FLUSH)
    after = target.device(device["id"])
    for field in before.keys() - {"denied_count", "last_denied_at", "last_denied_address"}:
        if after[field] != before[field]:
            target.tally.accept(f"{field} changed from {before[field]} to {after[field]}")
    denied = after["denied_count"] - before["denied_count"]
    target.tally.notes.append(f"{denied} requests were recognized as those of the blocked device")


def _raw(target: Target, method: str, path: str, version: str, lines: tuple[bytes, ...]) -> bytes:
    body = b"{}" if method in ("POST", "PUT", "PATCH") else b""
    host = () if any(line.startswith(b"Host:") for line in lines) else (b"Host: localhost",)
    head = [
        f"{method} {path} HTTP/{version}".encode(),
        *host,
        f"Authorization: Bearer {target.manager}".encode(),
        b"Content-Type: application/json",
        *lines,
    ]
    if body:
        head.append(b"Content-Length: 2")
    if not any(line.startswith(b"Connection:") or b"\r\nConnection:" in line for line in lines):
        head.append(b"Connection: close")
    return b"\r\n".join([*head, b"", body])


def _names_the_device(answer: Answer, identifier: str) -> bool:
    """Return whether a response treats the caller as the device."""
    if answer.status >= 300:
        return False
    if unquote(answer.headers.get("x-device-id", "")) == identifier:
        return True
    body = answer.json
    return isinstance(body, dict) and body.get("identifier") == identifier


def _is_plain(path: str, lines: tuple[bytes, ...]) -> bool:
    """Return whether a request has the identifier as it is stored, on a path of the API."""
    is_identified = lines[0] == NAME + b": " + IDENTIFIER.encode()
    is_preflight = any(b"Access-Control-Request-Method" in line for line in lines)
    is_alone = not any(line.lower().startswith(NAME.lower()) for line in lines[1:])
    return is_identified and is_alone and not is_preflight and path in (DEVICE, UPLOADS, VERIFY)


def _leave_out_identifier(target: Target) -> None:
    """Make requests without an identifier, to the gate and to the API."""
    sent = (b"Authorization: Bearer " + target.token.encode(),)
    answers: Counter[str] = Counter()
    for path, lines in product(
        (VERIFY, "/verify/api/v1/device", "/api/v1/other"),
        ((), (b"X_Device_ID: free",), (b"Device-ID: free",), (b"Cookie: X-Device-ID=free",)),
    ):
        raw = b"\r\n".join([f"GET {path} HTTP/1.1".encode(), b"Host: a", *sent, *lines, b"", b""])
        with target.wire() as wire:
            answer = wire.exchange(raw)
        target.tally.record(answer, (path, lines))
        at_gate = path.startswith(VERIFY)
        answers[f"{'gate' if at_gate else 'API'} {answer.status if answer else 0}"] += 1
        if at_gate and REQUIRED_AT_GATE and answer is not None and answer.status < 300:
            target.tally.accept(f"{path} without an identifier")
    target.tally.notes.append(f"without an identifier: {dict(answers)}")


def _reuse_connections(target: Target) -> None:
    """Alternate between a blocked and an allowed device on one connection."""
    blocked = target.register("reuse-blocked")
    target.register("reuse-allowed")
    target.set_blocked(blocked["id"], blocked=True)
    for path in (DEVICE, VERIFY, UPLOADS):
        with target.wire() as wire:
            for _ in range(50):
                for name in ("reuse-allowed", "reuse-blocked"):
                    answer = _ask(target, wire, path, name)
                    allowed = answer is not None and answer.status < 300
                    if name == "reuse-blocked" and allowed:
                        target.tally.accept(f"{path} on a reused connection")
                    target.tally.require(
                        allowed == (name == "reuse-allowed"), f"{name} on {path}: {answer}"
                    )
    for lines in headers():  # in the same connection, after an allowed request
        raw = [
            _raw(
                target, "GET", DEVICE, "1.1", (NAME + b": reuse-allowed", b"Connection: keep-alive")
            )
        ]
        raw.append(_raw(target, "GET", DEVICE, "1.1", lines))
        for answer in exchange_all(target.port, b"".join(raw)) or []:
            target.tally.record(answer, lines)
            if _names_the_device(answer, IDENTIFIER):
                target.tally.accept(f"{lines} after an allowed request")


def _race(target: Target, rounds: int) -> None:
    """Make requests on all workers while a device is blocked and unblocked."""
    device = target.register("race")
    blocked_at = [0.0]  # when the block was acknowledged. 0 while the device may be allowed.
    stop = threading.Event()

    def hammer(path: str) -> None:
        with target.wire() as wire:
            while not stop.is_set():
                since = blocked_at[0]
                answer = _ask(target, wire, path, "race")
                if since and since == blocked_at[0] and answer and answer.status < 300:
                    target.tally.accept(f"{path} after the block was acknowledged")
                time.sleep(0.002)

    def block_and_unblock() -> None:
        for _ in range(rounds):
            target.tally.require(
                target.set_blocked(device["id"], blocked=True) == 200, "the block failed"
            )
            blocked_at[0] = time.monotonic()
            for path in (DEVICE, VERIFY, UPLOADS) * 4:  # new connections, on any worker
                with target.wire() as wire:
                    answer = _ask(target, wire, path, "race")
                if answer is not None and answer.status < 300:
                    target.tally.accept(f"{path} right after the block")
            blocked_at[0] = 0.0
            target.tally.require(
                target.set_blocked(device["id"], blocked=False) == 200, "the unblock failed"
            )

    threads = [threading.Thread(target=hammer, args=(path,)) for path in (DEVICE, VERIFY) * 3]
    for thread in threads:
        thread.start()
    try:
        block_and_unblock()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _ask(target: Target, wire: Wire, path: str, identifier: str) -> Answer | None:
    sent = [*target.as_device(identifier), ("Content-Type", "application/json")]
    method, body = ("POST", "{}") if path == UPLOADS else ("GET", "")
    answer = wire.ask(method, path, sent, body)
    target.tally.record(answer, (path, identifier))
    return answer
