"""WSGI responses in blocks, for the event loop that sends them."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.wsgi import FileWrapper

Environ = dict[str, Any]

BLOCK = 64 * 1024
"""Bytes of a body to keep in memory. Larger requests and responses move to a temporary file."""


class Response:
    """A WSGI response that is produced in blocks. All methods run in threads."""

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]]) -> None:
        self.status = 500
        self.headers: list[tuple[str, str]] = []
        self.is_complete = False
        self._wsgi_app = wsgi_app

    def start(self, environ: Environ) -> bytes:
        """Call the application and return the first block of its response."""
        self._parts = self._wsgi_app(environ, self._start_response)
        size = Headers(self.headers).get("Content-Length", 0, int)
        if size > BLOCK:
            self._parts = _copy_to_file(self._parts, size)
        self._iterator = iter(self._parts)
        return self.next_block()

    def next_block(self) -> bytes:
        """Return the next block. It is empty only if there is none."""
        parts, size = [], 0
        try:
            for part in self._iterator:
                parts.append(part)
                size += len(part)
                if size >= BLOCK:
                    return b"".join(parts)
        except BaseException:
            self.close()
            raise
        self.close()
        return b"".join(parts)

    def close(self) -> None:
        """End the response, complete or not."""
        self.is_complete = True
        _close(self._parts)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], _error: object = None
    ) -> None:
        self.status = int(status.partition(" ")[0])
        self.headers = headers


def _copy_to_file(parts: Iterable[bytes], size: int) -> Iterable[bytes]:
    """Copy a response to a temporary file, so that it needs no memory while the client takes it.

    Return it unchanged if the disk is full: administrators must still see their pages.
    """
    file = TemporaryFile()  # noqa: SIM115 - _close() closes it
    try:
        with suppress(AttributeError):  # macOS
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        file.close()
        return parts
    try:
        file.writelines(parts)
    finally:
        _close(parts)
    file.seek(0)
    return FileWrapper(file, BLOCK)


def _close(parts: Iterable[bytes]) -> None:
    if hasattr(parts, "close"):
        parts.close()
