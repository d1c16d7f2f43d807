"""The real WSGI server: gunicorn with threads."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from apidevices.config import ServerSettings

LONGEST_HEADER = 128 * 1024
"""Bytes of one header at most: 10,000 characters outside ASCII, percent-encoded, fit."""


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
            "worker_class": "gthread",
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
