"""Requests as raw bytes, because HTTP libraries refuse to send what attackers send."""

import http.client
import io
import json
import socket
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Self

TIMEOUT = 30
"""Seconds to wait for a response."""

Headers = Iterable[tuple[str | bytes, str | bytes]]


@dataclass(frozen=True)
class Answer:
    """A response that has been read completely.

    The names of its headers are in lower case. Cookies are separated by line breaks.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The parsed body. None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Wire:
    """A keep-alive connection that reconnects when the server has closed it.

    Args:
        port: The port of the server on this machine.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(
        self, method: str, path: str | bytes, headers: Headers = (), body: str | bytes = b""
    ) -> Answer | None:
        """Make a request. Return None if the connection was closed without a response."""
        return self.exchange(request(method, path, headers, body), method)

    def exchange(self, raw: bytes, method: str = "GET") -> Answer | None:
        """Send raw bytes and read one response, on a new connection if the old one is closed."""
        for is_last in (self._socket is None, True):
            answer = self._exchange_once(raw, method)
            if answer is not None or is_last:
                break
        return answer

    def _exchange_once(self, raw: bytes, method: str) -> Answer | None:
        if self._socket is None:
            self._socket = connect(self._port)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered early
                self._socket.sendall(raw)
            with closing(http.client.HTTPResponse(self._socket, method=method)) as response:
                response.begin()
                answer = _read(response)
                if response.will_close:
                    self.close()
                return answer
        except (OSError, http.client.HTTPException):
            self.close()
            return None


def connect(port: int, timeout: float = TIMEOUT) -> socket.socket:
    """Connect to the server."""
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def request(
    method: str, path: str | bytes, headers: Headers = (), body: str | bytes = b""
) -> bytes:
    """Return a request as bytes. Texts are sent as UTF-8, without any check."""
    payload = _encoded(body)
    lines = [_encoded(method) + b" " + _encoded(path) + b" HTTP/1.1", b"Host: localhost"]
    lines += [_encoded(name) + b": " + _encoded(value) for name, value in headers]
    if payload or method in ("POST", "PUT", "PATCH"):
        lines.append(b"Content-Length: %d" % len(payload))
    return b"\r\n".join([*lines, b"", payload])


def exchange_all(port: int, raw: bytes, method: str = "GET") -> list[Answer] | None:
    """Send raw bytes on a new connection, and read responses until the server closes it.

    Returns None if it doesn't close the connection in time, or sends anything but responses.
    """
    with connect(port) as connection:
        with suppress(OSError):
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while part := connection.recv(1_000_000):
                received += part
        except TimeoutError:
            return None
        except OSError:
            pass  # reset, because it has not read everything
    return parse(received, method)


class _Received(io.BytesIO):
    """Received bytes, as http.client reads them from a socket."""

    def makefile(self, _mode: str) -> Self:
        return self

    def close(self) -> None:
        """Stay open: http.client closes its file after every response."""


def parse(received: bytes, method: str = "GET") -> list[Answer] | None:
    """Return the responses in received bytes. None if they contain anything else."""
    source, answers = _Received(received), []
    while source.tell() < len(received):
        response = http.client.HTTPResponse(source, method=method)  # type: ignore[arg-type]  # only makefile
        try:
            response.begin()
            answers.append(_read(response))
        except (http.client.HTTPException, ValueError):
            return None
    return answers


def _read(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    headers["set-cookie"] = "\n".join(response.headers.get_all("Set-Cookie", []))
    return Answer(response.status, headers, response.read())


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
