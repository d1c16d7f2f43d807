"""uvicorn's HTTP protocol with the limits that uvicorn leaves to a proxy."""

import itertools
import re
import socket
import struct
from contextlib import suppress
from heapq import nsmallest
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from apidevices.standalone.settings import ServerSettings

MAX_HEADER_BYTES = 128 * 1024
"""Maximum size of the headers: enough for 10,000 percent-encoded characters outside ASCII."""

MAX_HEADERS = 100
"""Maximum number of headers."""

MAX_PIPELINED = 100
"""Maximum number of requests that a client may send ahead without waiting for responses."""

KEEP_ALIVE = 75
"""Seconds to keep an idle connection open: longer than proxies do, so that they close it first."""

_HOST = re.compile(
    rb"(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*(?::\d*)?|\[[0-9A-Fa-f:.]+\](?::\d*)?"
)
"""A host name or address with an optional port, as in RFC 3986, section 3.2."""

_HEADERS_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"x-content-type-options: nosniff\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"content-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s"
)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with limits on time, connections and sizes.

    ``waiting_since`` is when the server began to wait for a request, or for the rest of one.
    """

    headers: list[tuple[bytes, bytes]]
    parser: Any

    def __init__(self, settings: ServerSettings, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.waiting_since: float = self.loop.time()
        self._settings = settings
        self._current: Any = None  # the request that is being handled; self.cycle is the latest one
        self._is_idle = False  # between two requests
        self._unsent_since: float | None = None
        self._head_bytes = 0  # received since a request or a part of its body began
        self._head_too_large = False

    @property
    def silent_since(self) -> float | None:
        """When the client last had to send or to receive something. None if the server is busy."""
        if self._unsent_since is not None:
            return self._unsent_since
        cycle = self.cycle
        if self.pipeline or not (cycle is None or cycle.response_complete or cycle.more_body):
            return None
        return self.waiting_since

    def connection_made(self, transport: Any) -> None:
        """Accept a connection. At the limit, close those that have been silent for longest."""
        super().connection_made(transport)
        limit = self._settings.apidevices_connections
        if len(self.connections) > limit:
            silent = [(other.silent_since, id(other), other) for other in self.connections]
            # Close 2 %, because the search takes longer than to accept a connection.
            count = max(1, limit // 50)
            for *_, other in nsmallest(count, (item for item in silent if item[0] is not None)):
                self.connections.discard(other)  # count it as closed at once
                other.disconnect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection. uvicorn would keep its timer if the client reset the connection."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._abandon_response()

    def disconnect(self) -> None:
        """Reset the connection. Otherwise the kernel would go on sending what it has buffered."""
        self._abandon_response()
        with suppress(OSError, RuntimeError):  # it may have just been closed
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def eof_received(self) -> bool:
        """Complete a request whose client has shut down its side of the connection."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        if self.cycle.more_body:
            if not (self.pipeline or self.cycle.response_started):
                self.send_400_response("The body is incomplete.")
            return False
        self.cycle.keep_alive = False
        return True

    def resume_writing(self) -> None:
        """Go on with a response, now that the client has received what was sent of it."""
        super().resume_writing()
        self._unsent_since = None

    def is_overdue(self, now: float) -> bool:
        """Return whether the client exceeds a time limit."""
        if self.transport.get_write_buffer_size():
            self._unsent_since = self._unsent_since or now
            return now - self._unsent_since > self._settings.apidevices_send_timeout
        self._unsent_since = None
        since = self.silent_since
        limit = KEEP_ALIVE if self._is_idle else self._settings.apidevices_read_timeout
        return since is not None and now - since > limit

    def data_received(self, data: bytes) -> None:
        """Parse what the client has sent."""
        self._unset_keepalive_if_required()
        if self._is_idle:
            self._is_idle = False
            self.waiting_since = self.loop.time()
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        else:
            if self._head_bytes > MAX_HEADER_BYTES or len(self.headers or ()) > MAX_HEADERS:
                self._head_too_large = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Begin to handle a request."""
        self._head_bytes = 0
        size = sum(map(len, itertools.chain.from_iterable(self.headers)), len(self.url))
        self._head_too_large = size > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS
        if self._head_too_large or len(self.pipeline) > MAX_PIPELINED:
            raise ValueError("too many or too large headers, or too many requests")
        if not self._has_valid_host():
            raise ValueError("unknown version, or not exactly one Host header")
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        if not self.pipeline:
            self._current = self.cycle
        if self.expect_100_continue:
            # The client decides whether to send the body after an early response. If it does not,
            # its next request would be mistaken for the body.
            self.cycle.keep_alive = False
        self.headers = []  # of the trailer, which must not be mistaken for headers

    def on_body(self, body: bytes) -> None:
        """Receive a part of a body."""
        super().on_body(body)
        self._head_bytes = 0

    def on_message_complete(self) -> None:
        """End reading a request."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._head_bytes = 0
        if self.cycle.response_complete:  # before the request had arrived completely
            self._begin_to_wait(is_idle=True)

    def on_response_complete(self) -> None:
        """End a response."""
        if self.pipeline:
            self._current = self.pipeline[-1][0]
        super().on_response_complete()
        self._begin_to_wait(is_idle=not self.cycle.more_body)

    def send_400_response(self, msg: str) -> None:
        """Reject a malformed request, or one with too many or too large headers."""
        if self.transport.is_closing():
            return
        self._abandon_response()
        body = msg.encode("ascii")
        self.transport.write(
            _HEADERS_TOO_LARGE if self._head_too_large else _BAD_REQUEST % (len(body), body)
        )
        self.transport.close()

    def _has_valid_host(self) -> bool:
        """Return whether the version is supported and the request names its host as it must.

        RFC 9112, section 3.2: a proxy in front may have chosen another one of several hosts.
        """
        hosts = [value for name, value in self.headers if name == b"host"]
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1") or len(hosts) != 1:
            return version == "1.0" and not hosts
        return _HOST.fullmatch(hosts[0]) is not None

    def _abandon_response(self) -> None:
        """Discard the rest of a response: uvloop raises an error if a connection is closed."""
        if self._current is not None:
            self._current.disconnected = True

    def _begin_to_wait(self, *, is_idle: bool) -> None:
        self._is_idle = is_idle
        self.waiting_since = self.loop.time()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse a request again, as if it hadn't asked to upgrade the connection.

        The parser takes everything after the headers of such a request for another protocol. If
        there is a body, the next packet would be parsed as a request.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self.send_400_response("CONNECT is not supported.")
            return
        headers = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        head = b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version, b"".join(headers))
        self.data_received(head + rest)
