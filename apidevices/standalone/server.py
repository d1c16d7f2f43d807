"""The production server: gunicorn's processes, with uvicorn's HTTP protocol in each of them.

gunicorn starts the workers, replaces those that die, passes signals on, and on SIGUSR2 starts a new
server on the same port. uvicorn reads and writes in an event loop, so slow or silent clients don't
occupy threads.
"""

import asyncio
import contextlib
import fcntl
import functools
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import uvicorn
from gunicorn import systemd
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from uvicorn_worker import UvicornWorker

from apidevices.standalone import logs
from apidevices.standalone.asgi import Application
from apidevices.standalone.process_metrics import ROWS, SharedTable
from apidevices.standalone.protocol import KEEP_ALIVE, Protocol
from apidevices.standalone.settings import ServerSettings

logger = logging.getLogger("apidevices.server")

SEND_BUFFER = 256 * 1024
"""Bytes that the kernel buffers for a client. By default, it may be several megabytes."""

SWITCH_INTERVAL = 0.0005
"""Seconds for which a thread may keep the interpreter lock while the event loop waits for it. With
Python's default of 5 ms, activity writes and pages would delay the gate."""

RESERVED_FILES = 64
"""Open files of a worker besides its connections and those of its threads."""

GRACEFUL_TIMEOUT = 30
"""Seconds for requests in flight to complete when the server stops."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


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
        asyncio.get_running_loop().call_later(GRACEFUL_TIMEOUT - 6, self._disconnect)
        await asyncio.sleep(0.1)
        await super().shutdown()

    def _disconnect(self) -> None:
        """Close the connections of clients that are too slow for the server to wait any longer."""
        for connection in list(self.server_state.connections):
            connection.disconnect()


class Worker(UvicornWorker):
    """A worker process. It stops if the master process dies, so that a new server can start."""

    metrics_row: int

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
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
        self._replaces_server = "GUNICORN_PID" in os.environ

    def init_signals(self) -> None:
        """Set the signal handlers of a worker, then receive the signals sent since the fork."""
        super().init_signals()
        _receive_stop_signals()

    async def callback_notify(self) -> None:
        """Tell the master that this process is alive, and disconnect clients that are overdue."""
        self.notify()
        await asyncio.to_thread(self.wsgi.metrics.publish)  # it may wait for a flush
        if self.metrics_row == 0:  # one of the workers
            await asyncio.to_thread(self.wsgi.disk.check)
        if self._replaces_server:
            self._stop_old_server()
        if os.getppid() != self.ppid:
            self._server.should_exit = True
        now = asyncio.get_running_loop().time()
        for connection in list(self._server.server_state.connections):
            if connection.is_overdue(now):
                connection.disconnect()

    def _stop_old_server(self) -> None:
        """Stop the server that this one replaces, as soon as all workers of this one serve."""
        if len(self.app.metrics.used_rows()) >= self.cfg.workers:
            self._replaces_server = False
            if self.metrics_row > 0:
                return  # a second signal would kill the old server while it stops
            systemd.sd_notify(f"MAINPID={self.ppid}", self.log)
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(os.environ["GUNICORN_PID"]), signal.SIGTERM)

    async def _serve(self) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL)
        self.wsgi.metrics.share(self.app.metrics, self.metrics_row)
        self.config.app = self.wsgi
        listeners = [listener.sock for listener in self.sockets]
        for listener in listeners:  # accepted connections inherit it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        await self._server.serve(sockets=listeners)
        if not self._server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


def _receive_stop_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _prepare_replacement(arbiter: Arbiter) -> None:
    """Correct what gunicorn would pass to the server that replaces this one."""
    arbiter.START_CTX["args"] = sys.orig_argv  # gunicorn's guess is wrong for python -m apidevices
    if arbiter.systemd:
        # gunicorn announces sockets from systemd, but has moved them to other file descriptors.
        first = systemd.SD_LISTEN_FDS_START
        copies = [
            fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD, 64) for listener in arbiter.LISTENERS
        ]
        for number, copy in enumerate(copies, first):
            os.dup2(copy, number)


def _prepare_worker(arbiter: Arbiter, worker: Worker) -> None:
    """Prepare the fork of a worker.

    The worker gets a row of the metrics that no living worker uses. Signals to stop wait until it
    can receive them: gunicorn's handlers, which it inherits, would lose them.
    """
    used = {other.metrics_row for other in arbiter.WORKERS.values()}
    worker.metrics_row = min(set(range(ROWS)) - used)
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)


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
        os.register_at_fork(after_in_parent=_receive_stop_signals)

    def load_config(self) -> None:
        """Pass the settings to gunicorn."""
        options: dict[str, Any] = {
            "bind": self.settings.bind,
            "workers": self.settings.web_concurrency,
            "worker_class": Worker,
            "keepalive": KEEP_ALIVE,
            "graceful_timeout": GRACEFUL_TIMEOUT,
            "control_socket_disable": True,
            "pre_exec": _prepare_replacement,
            "proc_name": "apidevices",
            "logconfig_dict": logs.configuration(self.settings),
            "pre_fork": _prepare_worker,
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
        available = limit - RESERVED_FILES - 4 * self.settings.apidevices_threads
        if limit != resource.RLIM_INFINITY and available < self.settings.apidevices_connections:
            connections = max(available, 1)
            logger.warning(
                "The system permits %d open files per process, so each worker accepts %d"
                " connections instead of APIDEVICES_CONNECTIONS=%d. Raise the limit (ulimit -n).",
                limit,
                connections,
                self.settings.apidevices_connections,
            )
            self.settings = self.settings.model_copy(update={"apidevices_connections": connections})
        super().run()
