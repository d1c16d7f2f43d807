"""Send malformed requests, each followed by a valid one that must get its own response."""

import socket
from collections.abc import Iterable

from tests.hostile.case import Case
from tests.hostile.cases import all_cases, split_requests
from tests.hostile.target import Target, in_parallel
from tests.hostile.wire import Answer, connect, exchange_all, parse, request

MARKER = request("GET", "/none", [("X-Request-ID", "marker"), ("Connection", "close")])

FROM_PARSER = (400, 431)
"""Responses of the parser, which have no request id and end the connection."""


def attack(target: Target, step: int) -> None:
    """Send each ``step``-th case. The server must keep request ids: APIDEVICES_PROXIES=1."""
    in_parallel(lambda case: _send(target, case), all_cases(step))
    in_parallel(lambda item: _send_split(target, *item), list(split_requests())[::step])
    for count in (1, 10, 90, 1_000)[: 2 if step > 1 else 4]:
        _send_pipelined(target, count)


def _send(target: Target, case: Case) -> None:
    answers = exchange_all(target.port, case.raw("case") + MARKER)
    if answers is None:
        target.tally.fail(
            f"{case.name} {case.line[:60]!r}: not a sequence of responses, or too late"
        )
        return
    if not answers:
        target.tally.record(None)
    for answer in answers:
        target.tally.record(answer, case)
    wrong = _wrong(answers, case)
    target.tally.require(not wrong, f"{wrong}: {case.name} {case.line[:60]!r}")


def _wrong(answers: Iterable[Answer], case: Case) -> str:
    """Return what is wrong with the responses to a case and a marker. Empty if nothing is."""
    seen = [(answer.headers.get("x-request-id", ""), answer.status) for answer in answers]
    ids = [request_id for request_id, _ in seen]
    if "smuggled" in ids:
        return "a hidden request was answered"
    for position, (request_id, status) in enumerate(seen):
        is_last = position == len(seen) - 1
        if request_id == "marker" and (status != 404 or not is_last):
            return f"the marker got {status}"
        if not request_id and (status not in FROM_PARSER or not is_last):
            return f"{status} without a request id"
        if request_id and request_id not in ("case", "marker") and len(request_id) != 32:
            return f"the request id {request_id!r}"
        if case.must_fail and request_id != "marker" and status < 400:
            return f"an invalid request got {status}"
    if len(seen) > 2 or ids.count("case") > 1 or ids.count("marker") > 1:
        return f"{len(seen)} responses: {seen}"
    return ""


def _send_split(target: Target, name: str, parts: list[bytes]) -> None:
    with connect(target.port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
        connection.sendall(MARKER)
        received = b""
        while part := connection.recv(100_000):
            received += part
    answers = parse(received) or []
    for answer in answers:
        target.tally.record(answer, name)
    ids = [answer.headers.get("x-request-id") for answer in answers]
    target.tally.require(ids == ["case", "marker"], f"split {name}: {received[:300]!r}")


def _send_pipelined(target: Target, count: int) -> None:
    """Send many requests at once. The answers must be in order, up to where the server stops."""
    requests = [
        request(
            "GET", ("/livez", "/verify", "/none")[number % 3], [("X-Request-ID", f"r-{number}")]
        )
        for number in range(count)
    ]
    answers = exchange_all(target.port, b"".join(requests))
    target.tally.require(answers is not None, f"{count} pipelined requests: no responses")
    for number, answer in enumerate(answers or ()):
        target.tally.record(answer)
        request_id = answer.headers.get("x-request-id")
        expected = (200, 401, 404)[number % 3]
        if request_id is not None:
            in_order = (request_id, answer.status) == (f"r-{number}", expected)
            target.tally.require(in_order, f"{request_id} is answer {number} of {count}")
