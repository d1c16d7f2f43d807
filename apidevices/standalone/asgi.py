"""The standalone application as ASGI: the gate in the event loop, everything else in threads.

No thread ever waits for a client. A request is read completely before a thread handles it, and the
event loop sends the response: it asks a thread for the next part once the client has taken the
previous one.
"""

import asyncio
import contextvars
import functools
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from apidevices.standalone import block_ends, housekeeping, request_ids, security_headers
from apidevices.standalone.delay import delay_of
from apidevices.standalone.disk import DiskWatch
from apidevices.standalone.logs import Access
from apidevices.standalone.metrics import process_metrics
from apidevices.standalone.responses import BLOCK, Response
from apidevices.standalone.settings import ServerSettings
from apidevices.toolkit import MAX_BODY, AsyncGate, Unavailable, current_state

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Environ = dict[str, Any]

_ALIVE = [("Content-Type", "text/plain"), ("Cache-Control", "no-store"), ("Content-Length", "3")]


class Application:
    """Serves a Flask application, and its gate in the event loop."""

    def __init__(self, app: Flask, settings: ServerSettings) -> None:
        self._app = app
        self._has_cors = bool(settings.cors_origins)
        self._has_proxies = settings.apidevices_proxies > 0
        self._has_access_log = settings.apidevices_access_log
        self._trust_proxies = behind_proxies(
            lambda environ, _start_response: environ, settings.apidevices_proxies
        )
        self._executor = ThreadPoolExecutor(settings.apidevices_threads, "apidevices-request")
        self._gate = AsyncGate(app, self._executor)
        self.metrics = process_metrics(app)
        self.disk = DiskWatch(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or start and stop with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        environ = environ_from(scope)
        request_ids.identify(environ, trusted=self._has_proxies)
        if not self._has_access_log:
            await self._handle(environ, receive, send)
            return
        access = Access(environ, send)
        try:
            await self._handle(environ, receive, access.send)
        finally:
            access.write()

    async def _handle(self, environ: Environ, receive: Receive, send: Send) -> None:
        path = environ["PATH_INFO"]
        if self._gate.handles(path) and not self._needs_cors_headers(environ):
            self._trust_proxies(environ, None)
            await _send(send, *await self._gate.respond_async(environ))
        elif path == "/livez" and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            self._trust_proxies(environ, None)
            headers = security_headers.headers(is_secure=environ["wsgi.url_scheme"] == "https")
            # Not in a thread: all threads may be busy.
            await _send(send, 200, [*_ALIVE, *headers], b"ok\n")
        else:
            await self._handle_in_thread(environ, receive, send)

    def _needs_cors_headers(self, environ: Environ) -> bool:
        """Return whether Flask-CORS may have to add headers to the response."""
        return self._has_cors and "HTTP_ORIGIN" in environ

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                housekeeping.of(self._app).start()
                block_ends.of(self._app).start()
                self._watch_operations()
            else:
                self._gate.close()
                await asyncio.to_thread(self._close)  # all request threads may be busy
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    def _watch_operations(self) -> None:
        with self._app.app_context():
            current_state().operations.watch(self._app)

    def _close(self) -> None:
        block_ends.of(self._app).stop()
        housekeeping.of(self._app).stop()
        with self._app.app_context():
            current_state().close()
        self.metrics.publish()

    async def _handle_in_thread(self, environ: Environ, receive: Receive, send: Send) -> None:
        with SpooledTemporaryFile(BLOCK) as body:
            try:
                if not await _read_body(environ, receive, body):
                    return
            except OSError as error:
                logger.error("Can't store the body of a request: %s", error.strerror)
                problem = Unavailable().get_response()
                await _send(send, 503, list(problem.headers), problem.get_data())
                return
            response = Response(self._app.wsgi_app)
            block = await self._in_thread(response.start, environ)
        if delay := delay_of(environ):
            await asyncio.sleep(delay)
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": _encoded(response.headers),
            }
        )
        await send({"type": "http.response.body", "body": block, "more_body": True})
        if response.is_complete or await self._send_rest(response, receive, send):
            await send({"type": "http.response.body", "body": b""})

    async def _send_rest(self, response: Response, receive: Receive, send: Send) -> bool:
        """Send the blocks after the first; return False if the client disconnected meanwhile."""
        disconnected = asyncio.ensure_future(_disconnection(receive))
        try:
            while not response.is_complete:
                if disconnected.done():
                    await self._in_thread(response.close)
                    return False
                block = await self._in_thread(response.next_block)
                await send({"type": "http.response.body", "body": block, "more_body": True})
        finally:
            disconnected.cancel()
        return True

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        run = contextvars.copy_context().run  # keeps the request id
        return await loop.run_in_executor(self._executor, run, function, *arguments)


def behind_proxies(wsgi_app: Callable[..., Any], hops: int) -> Callable[..., Any]:
    """Return an application that believes what the last proxies say about the client.

    Args:
        wsgi_app: The application.
        hops: The number of trusted proxies in front.
    """
    return ProxyFix(wsgi_app, x_for=hops, x_proto=hops, x_host=hops) if hops else wsgi_app


def environ_from(scope: Scope) -> Environ:
    """Return the WSGI environment of a request, without its body.

    Headers whose name contains an underscore are left out, because they would be mistaken for the
    headers of the same name with hyphens.
    """
    server, port = scope["server"] or ("", 0)
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        variable = _variable(name)
        if variable is not None:
            text = value.decode("latin-1")
            # RFC 9110, section 5.3, and RFC 6265, section 5.4: repeated headers are one list.
            separator = "; " if variable == "HTTP_COOKIE" else ","
            known = environ.get(variable)
            environ[variable] = text if known is None else f"{known}{separator}{text}"
    return environ


@functools.lru_cache(1024)
def _variable(header: bytes) -> str | None:
    if b"_" in header:
        return None
    name = header.decode("latin-1").upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


async def _read_body(environ: Environ, receive: Receive, body: IO[bytes]) -> bool:
    """Read the body of a request into a file; return False if the client disconnected first.

    A body that is larger than ``MAX_BODY`` is not read to its end. The views reject it.
    """
    size = 0
    if not _exceeds_limit(environ.get("CONTENT_LENGTH", "")):
        more = True
        while more and size <= MAX_BODY:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            size += len(message["body"])
            body.write(message["body"])
            more = message["more_body"]
        body.seek(0)
        environ["CONTENT_LENGTH"] = str(size)
    environ["wsgi.input"] = body
    environ["wsgi.input_terminated"] = True
    return True


async def _disconnection(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _exceeds_limit(content_length: str) -> bool:
    # Views accept one byte more, and then reject it with their own message: see read_body().
    return content_length.isdecimal() and int(content_length) > MAX_BODY + 1


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def _send(send: Send, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    """Send a response that the Flask application has not created."""
    headers = [*headers, (request_ids.HEADER, request_ids.current.get() or "")]
    await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": body})
