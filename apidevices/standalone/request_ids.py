"""A request id, which connects the logs of a proxy, of API Devices and of an API behind the gate.

It is in every response and log record. A trusted proxy may choose it. Otherwise it is random.
"""

import random
import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

HEADER = "X-Request-ID"

current: ContextVar[str | None] = ContextVar("apidevices_request_id", default=None)
"""The id of the request that is being handled."""

_VALID = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}")
_KEY = "apidevices.request_id"


def identify(environ: dict[str, Any], *, trusted: bool) -> str:
    """Return the id of a request and make it the current one.

    Args:
        environ: The WSGI environment, which remembers the id.
        trusted: Whether a proxy has set or removed the ``X-Request-ID`` header.
    """
    request_id: str | None = environ.get(_KEY)
    if request_id is None:
        sent: str | None = environ.get("HTTP_X_REQUEST_ID") if trusted else None
        request_id = sent if sent and _VALID.fullmatch(sent) else _new_id()
        environ[_KEY] = request_id
    current.set(request_id)
    return request_id


def _new_id() -> str:
    # An id must be unique, not secret. The system's random numbers would take 1 µs more.
    return f"{random.getrandbits(128):032x}"


class RequestIds:
    """WSGI middleware that adds the request id to responses.

    Args:
        wsgi_app: The application.
        trusted: See ``identify``.
    """

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]], *, trusted: bool) -> None:
        self.wsgi_app = wsgi_app
        self._trusted = trusted

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Handle a request."""
        previous = current.get()
        header = (HEADER, identify(environ, trusted=self._trusted))

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, header], *error)

        try:
            return self.wsgi_app(environ, start)
        finally:
            current.set(previous)
