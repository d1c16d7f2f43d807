"""Serve an application as a host is served: by gunicorn, with threads.

``python -m benchmarks.applications NAME [prepare]``
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from benchmarks.applications import THREADS, WORKERS


class _Server(BaseApplication):
    """gunicorn with its own threaded worker, on the port of the environment."""

    def __init__(self, create_app: Callable[[], Flask]) -> None:
        self._create_app = create_app
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": f"127.0.0.1:{os.environ['PORT']}",
            "worker_class": "gthread",
            "workers": WORKERS,
            "threads": THREADS,
            "control_socket_disable": True,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Create the application in each worker, after the fork."""
        return self._create_app()


def main() -> None:
    """Run the server. With ``prepare``, only create the application and its tables."""
    application = import_module(f"benchmarks.applications.{sys.argv[1]}")
    url = os.environ.get("DATABASE_URL", "")
    if "prepare" in sys.argv[2:]:
        application.create_app(url)
        return
    _Server(lambda: application.create_app(url)).run()


if __name__ == "__main__":
    main()
