"""A malformed or ambiguous request.

Each request has an id of its own. A request that is hidden in the body of another one has the id
``smuggled``: the server must never answer it.
"""

from typing import NamedTuple

SMUGGLED = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: smuggled\r\n\r\n"


class Case(NamedTuple):
    """A request, without its id.

    ``line`` and ``headers`` have no line ends; ``end`` separates them. ``must_fail`` is true if the
    request is invalid, so that it must not be answered with success.
    """

    name: str
    line: bytes
    headers: tuple[bytes, ...] = (b"Host: localhost",)
    body: bytes = b""
    end: bytes = b"\r\n"
    must_fail: bool = True

    def raw(self, request_id: str) -> bytes:
        """Return the request as bytes, with an id."""
        lines = [self.line, b"X-Request-ID: " + request_id.encode(), *self.headers, b"", b""]
        return self.end.join(lines) + self.body
