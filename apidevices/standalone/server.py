"""The production server: gunicorn's processes, with uvicorn's HTTP protocol in each of them.

gunicorn starts the workers, replaces those that die, passes signals on, and on SIGUSR2 starts a new
server on the same port. uvicorn reads and writes in an event loop, so slow or silent clients don't
occupy threads. ``Protocol`` adds the limits that uvicorn leaves to a proxy.
"""

import asyncio
import contextlib
import functools
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from gunicorn import systemd
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

from apidevices.standalone import logs
from apidevices.standalone.asgi import Application
from apidevices.standalone.process_metrics import ROWS, SharedTable
from apidevices.standalone.settings import ServerSettings

MAX_HEADER_BYTES = 128 * 1024
"""Maximum size of the headers: enough for 10,000 percent-encoded characters outside ASCII."""

MAX_HEADERS = 100
"""Maximum number of headers."""

KEEP_ALIVE = 75
"""Seconds to keep an idle connection open: longer than proxies do, so that they close it first."""

GRACEFUL_TIMEOUT = 30
"""Seconds for requests in flight to complete when the server stops."""

_HEADERS_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with limits on time, connections and headers.

    ``waiting_since`` is when the server began to wait for a request, or for the rest of one. It is
    None while the server handles a request.
    """

    def __init__(self, settings: ServerSettings, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.waiting_since: float | None = None
        self._settings = settings
        self._is_idle = False  # between two requests
        self._unsent_since: float | None = None
        self._header_bytes: int | None = 0  # of an incomplete header section
        self._headers_too_large = False

    def connection_made(self, transport: Any) -> None:
        """Accept a connection. At the limit, close the one that has waited longest instead."""
        super().connection_made(transport)
        self.waiting_since = self.loop.time()
        if len(self.connections) > self._settings.apidevices_connections:
            waiting = [other for other in self.connections if other.waiting_since is not None]
            min(waiting, key=lambda other: other.waiting_since).transport.abort()

    def is_overdue(self, now: float) -> bool:
        """Return whether the client exceeds a time limit."""
        if self.transport.get_write_buffer_size():
            self._unsent_since = self._unsent_since or now
            return now - self._unsent_since > self._settings.apidevices_send_timeout
        self._unsent_since = None
        if self.waiting_since is None:
            return False
        limit = KEEP_ALIVE if self._is_idle else self._settings.apidevices_read_timeout
        return now - self.waiting_since > limit

    def data_received(self, data: bytes) -> None:
        """Parse what the client has sent."""
        if self._is_idle:
            self._is_idle = False
            self.waiting_since = self.loop.time()
        super().data_received(data)
        if self._header_bytes is not None:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._headers_too_large = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._header_bytes = 0

    def on_headers_complete(self) -> None:
        """Begin to handle a request."""
        self._header_bytes = None
        if len(self.headers) > MAX_HEADERS:
            self._headers_too_large = True
            raise ValueError("too many headers")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End reading a request."""
        super().on_message_complete()
        self.waiting_since = None
        if self.cycle.response_complete:
            self._begin_idling()

    def on_response_complete(self) -> None:
        """End a response."""
        super().on_response_complete()
        if not self.cycle.more_body:
            self._begin_idling()

    def send_400_response(self, msg: str) -> None:
        """Reject a malformed request, or one with too many or too large headers."""
        if not self._headers_too_large:
            super().send_400_response(msg)
        elif not self.transport.is_closing():
            self.transport.write(_HEADERS_TOO_LARGE)
            self.transport.close()

    def _begin_idling(self) -> None:
        if self.cycle.response_complete:
            self._is_idle = True
            self.waiting_since = self.loop.time()

    def _unsupported_upgrade_warning(self) -> None:
        """Don't log requests to upgrade a connection. They are handled as if they hadn't asked."""


class _Server(uvicorn.Server):
    """uvicorn's server, except that it leaves the process alive when it has stopped."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal. Unlike uvicorn, don't raise the signal again, to run exit handlers."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, self.handle_exit)
        yield

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Close the port, let requests that have already arrived begin, and complete them."""
        for server in self.servers:
            server.close()  # closes its socket, too
        await asyncio.sleep(0.1)
        await super().shutdown()


class Worker(UvicornWorker):
    """A worker process. It stops if the master process dies, so that a new server can start.

    The last worker that a new server starts after SIGUSR2 stops the old server.
    """

    metrics_row: int

    CONFIG_KWARGS = {  # noqa: RUF012 - as uvicorn_worker declares it
        "interface": "asgi3",
        "lifespan": "on",
        "ws": "none",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": GRACEFUL_TIMEOUT - 5,
        "timeout_notify": 0.5,
    }

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # gunicorn logs the rest
        self.config.http = functools.partial(Protocol, self.app.settings)
        self._server = _Server(self.config)
        self._is_serving = False

    async def callback_notify(self) -> None:
        """Tell the master that this process is alive, and disconnect clients that are overdue."""
        self.notify()
        self.wsgi.metrics.publish()
        if not self._is_serving:
            self._is_serving = True
            self._stop_old_server()
        if os.getppid() != self.ppid:
            self._server.should_exit = True
        now = asyncio.get_running_loop().time()
        for connection in list(self._server.server_state.connections):
            if connection.is_overdue(now):
                connection.transport.abort()

    def _stop_old_server(self) -> None:
        old_master = os.environ.get("GUNICORN_PID")
        if old_master and self.age == self.cfg.workers:
            systemd.sd_notify(f"MAINPID={self.ppid}", self.log)
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(old_master), signal.SIGTERM)

    async def _serve(self) -> None:
        self.wsgi.metrics.share(self.app.metrics, self.metrics_row)
        self.config.app = self.wsgi
        await self._server.serve(sockets=self.sockets)
        if not self._server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


def _assign_metrics_row(arbiter: Arbiter, worker: Worker) -> None:
    """Give a new worker a row of the metrics that no living worker uses."""
    used = {other.metrics_row for other in arbiter.WORKERS.values()}
    worker.metrics_row = min(set(range(ROWS)) - used)


class Server(BaseApplication):
    """gunicorn, configured only by the settings of the application.

    Args:
        create_app: Creates the application. Each worker process calls it after the fork, so that
            processes share no connection, lock or thread.
        settings: The address to listen on, and the number of workers and connections.
    """

    def __init__(self, create_app: Callable[[], Application], settings: ServerSettings) -> None:
        self.settings = settings
        self.metrics = SharedTable()
        self._create_app = create_app
        super().__init__()

    def load_config(self) -> None:
        """Pass the settings to gunicorn."""
        options: dict[str, Any] = {
            "bind": self.settings.bind,
            "workers": self.settings.web_concurrency,
            "worker_class": Worker,
            "keepalive": KEEP_ALIVE,
            "graceful_timeout": GRACEFUL_TIMEOUT,
            "control_socket_disable": True,
            # gunicorn's own guess is wrong for `python -m apidevices`.
            "pre_exec": lambda arbiter: arbiter.START_CTX.update(args=sys.orig_argv),
            "proc_name": "apidevices",
            "logconfig_dict": logs.configuration(self.settings),
            "pre_fork": _assign_metrics_row,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """Create the application of a worker."""
        return self._create_app()

    def run(self) -> None:
        """Serve until stopped. Allow as many open files as the system permits."""
        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        super().run()
