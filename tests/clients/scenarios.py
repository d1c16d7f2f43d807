"""How every client must handle each kind of response."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from tests.clients.scripted_api import Reply, scripted_api


@dataclass(frozen=True)
class Call:
    """A call and the options of the snippets. Times are in seconds."""

    url: str
    method: str = "GET"
    body: str | None = None
    token: str = "secret"
    device_id: str = "front-desk-7"
    model: str = "Café 设备"
    backoff: float = 0.02
    longest_wait: float = 10


class Client(Protocol):
    """Make a call with a published snippet.

    Returns its ``outcome``: ``ok`` (with ``value``), ``blocked``, ``sign in``, ``error`` (with
    ``status`` and ``message``) or ``unreachable``.
    """

    def __call__(self, call: Call) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Scenario:
    """The replies of the server, and the expected outcome and number of requests."""

    script: tuple[Reply, ...]
    outcome: str
    requests: int = 1
    value: Any = None
    message: str = ""
    status: int | None = None
    method: str = "GET"
    min_wait: float = 0  # between two requests
    longest_wait: float = 10


DEVICE = {"id": 7, "name": "Café"}
OK = Reply(200, b'{"id": 7, "name": "Caf\\u00e9"}')
HTML = b"<!doctype html><title>Bad gateway</title><p>nginx"
BLOCKED = Reply.problem(403, code="device_blocked", detail="An administrator has blocked it.")
UNAVAILABLE = Reply.problem(503, "1", code="unavailable", detail="Try again shortly.")

SCENARIOS = {
    "JSON": Scenario((OK,), "ok", value=DEVICE),
    "204": Scenario((Reply(204),), "ok", value=None),
    "blocked device": Scenario((BLOCKED,), "blocked"),
    "rejected token": Scenario((Reply.problem(401, code="token_invalid"),), "sign in"),
    "401 without a code": Scenario((Reply(401, HTML, "text/html"),), "sign in"),
    "HTML error": Scenario((Reply(502, HTML, "text/html"),), "error", status=502),
    "empty error": Scenario((Reply(500),), "error", status=500),
    "JSON error that is not an object": Scenario((Reply(500, b'["x"]'),), "error", status=500),
    "problem without a code": Scenario(
        (Reply.problem(403, title="Forbidden", detail="Orders are closed."),),
        "error",
        status=403,
        message="Orders are closed.",
    ),
    "invalid request": Scenario(
        (Reply.problem(400, "1", code="invalid_request"),), "error", status=400
    ),
    "503, then JSON": Scenario((UNAVAILABLE, OK), "ok", requests=2, value=DEVICE, min_wait=0.95),
    "503 until a date": Scenario(
        (Reply(503, HTML, "text/html", retry_after_date=2.5), OK),
        "ok",
        requests=2,
        value=DEVICE,
        min_wait=1.4,  # an HTTP date has no fractions of a second
    ),
    "429 for a POST": Scenario(
        (Reply.problem(429, "0", code="rate_limited"), OK),
        "ok",
        requests=2,
        value=DEVICE,
        method="POST",
    ),
    "permanent 503": Scenario((UNAVAILABLE,), "error", requests=4, status=503, longest_wait=0.1),
    "503 without Retry-After": Scenario(
        (Reply(503, HTML, "text/html"), OK), "ok", requests=2, value=DEVICE
    ),
    "connection closed during a POST": Scenario((Reply(0), OK), "unreachable", method="POST"),
}


def play(client: Client, scenario: Scenario) -> None:
    """Run a client against a server with the scripted replies, and check the result."""
    body = '{"count": 3}' if scenario.method == "POST" else None
    with scripted_api(*scenario.script) as api:
        call = Call(api.url, scenario.method, body, longest_wait=scenario.longest_wait)
        result = client(call)
    assert result["outcome"] == scenario.outcome, result
    if scenario.outcome == "ok":
        assert result.get("value") == scenario.value
    if scenario.outcome == "error":
        assert result["status"] == scenario.status
    assert scenario.message in result.get("message", "")
    assert len(api.received) == scenario.requests
    for request in api.received:
        assert request.method == scenario.method
        assert request.body.decode() == (body or "")
        assert request.headers["authorization"] == "Bearer secret"
        assert request.headers["x-device-id"] == "front-desk-7"
        assert request.headers["x-trace"] == "17"  # a header set by the caller
    for one, next_one in pairwise(api.received):
        assert next_one.at - one.at >= scenario.min_wait
