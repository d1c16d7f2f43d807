"""The real WSGI server: gunicorn with threads."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from apidevices.standalone.settings import ServerSettings

LONGEST_HEADER = 128 * 1024
"""Bytes of one header at most: 10,000 characters outside ASCII, percent-encoded, fit."""


class Worker(ThreadWorker):
    """gunicorn's worker with threads, which leaves the port as soon as it is to end.

    gunicorn's own keeps the port until its last connection has ended. Meanwhile whoever connects
    waits, to be cut off in the end, and after the death of the master no other can start.
    """

    alive: bool
    sockets: list[Any]

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop to accept connections; to end, take those that wait and close the port."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        listeners, self.sockets = self.sockets, []
        for listener in listeners:
            connections = None
            while connections != self.nr_conns:
                connections = self.nr_conns
                self.accept(listener)  # counts it, or finds nobody
            listener.close()

    def is_parent_alive(self) -> bool:
        """Tell whether the master lives; without one, end as if it had said so."""
        self.alive = self.alive and super().is_parent_alive()
        return self.alive


class Server(BaseApplication):
    """gunicorn, configured by our settings alone.

    Args:
        create_app: makes the application, once in each worker process, after the fork: no
            connection, lock or thread is shared between processes.
        settings: where to listen, and with how many workers and threads.
    """

    def __init__(self, create_app: Callable[[], Flask], settings: ServerSettings) -> None:
        self._create_app = create_app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Set what gunicorn shall do."""
        options: dict[str, Any] = {
            "bind": self._settings.bind,
            "workers": self._settings.web_concurrency,
            "worker_class": Worker,
            "threads": self._settings.apidevices_threads,
            "limit_request_field_size": LONGEST_HEADER,
            "control_socket_disable": True,
            "proc_name": "apidevices",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the application of a worker."""
        return self._create_app()
