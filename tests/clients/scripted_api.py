"""A server that returns scripted replies to any request."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BLANK_PAGE = "/blank.html"


@dataclass(frozen=True)
class Reply:
    """A reply. Status 0 closes the connection without a response."""

    status: int
    body: bytes = b""
    media_type: str = "application/json"
    retry_after: str | None = None
    retry_after_date: float | None = None  # seconds from now, sent as an HTTP date

    @classmethod
    def problem(cls, status: int, retry_after: str | None = None, **members: Any) -> "Reply":
        """Return a problem document."""
        body = json.dumps({"status": status, **members}).encode()
        return cls(status, body, "application/problem+json", retry_after)


@dataclass(frozen=True)
class Received:
    """A received request."""

    at: float
    method: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedApi:
    """A running server. ``received`` lists all requests in order."""

    origin: str
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.origin}/anything"


@contextmanager
def scripted_api(*script: Reply) -> Iterator[ScriptedApi]:
    """Run the server in a thread. It repeats the last reply."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == BLANK_PAGE:
                self._send(Reply(200, b"<!doctype html><link rel=icon href=data:>", "text/html"))
                return
            reply = script[min(len(api.received), len(script) - 1)]
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.received.append(Received(time.monotonic(), self.command, headers, body))
            if reply.status:
                self._send(reply)

        do_GET = do_POST = handle_any  # noqa: N815 - names defined by the base class

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            if reply.body:
                self.send_header("Content-Type", reply.media_type)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            if reply.retry_after is not None:
                self.send_header("Retry-After", reply.retry_after)
            if reply.retry_after_date is not None:
                date = formatdate(time.time() + reply.retry_after_date, usegmt=True)
                self.send_header("Retry-After", date)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = ScriptedApi(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
