"""The production WSGI server: gunicorn with threads."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from apidevices.standalone.settings import ServerSettings

MAX_HEADER_BYTES = 128 * 1024
"""Maximum size of a header: enough for 10,000 percent-encoded characters outside ASCII."""


class Worker(ThreadWorker):
    """gunicorn's threaded worker, except that it closes the port as soon as it begins to stop.

    gunicorn's own worker keeps the port open until its last connection has ended. In the meantime,
    new clients would connect, wait, and then be cut off. If the master process was killed, a new
    server could not start.
    """

    alive: bool
    sockets: list[Any]

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting. On shutdown, accept the backlog and close the port."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        listeners, self.sockets = self.sockets, []
        for listener in listeners:
            connections = None
            while connections != self.nr_conns:
                connections = self.nr_conns
                self.accept(listener)  # increments nr_conns if a connection was waiting
            listener.close()

    def is_parent_alive(self) -> bool:
        """Return whether the master process is alive. If it is not, begin to stop."""
        self.alive = self.alive and super().is_parent_alive()
        return self.alive


class Server(BaseApplication):
    """gunicorn, configured only by the settings of the application.

    Args:
        create_app: Creates the application. Each worker process calls it after the fork, so that
            processes share no connection, lock or thread.
        settings: The address to listen on, and the number of workers and threads.
    """

    def __init__(self, create_app: Callable[[], Flask], settings: ServerSettings) -> None:
        self._create_app = create_app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Pass the settings to gunicorn."""
        options: dict[str, Any] = {
            "bind": self._settings.bind,
            "workers": self._settings.web_concurrency,
            "worker_class": Worker,
            "threads": self._settings.apidevices_threads,
            "limit_request_field_size": MAX_HEADER_BYTES,
            "control_socket_disable": True,
            "proc_name": "apidevices",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Create the application of a worker."""
        return self._create_app()
