"""Serve an application with the server of the standalone application.

``python -m benchmarks.applications NAME [prepare]``
"""

import sys
from importlib import import_module

from apidevices.standalone.server import Server
from apidevices.standalone.settings import ServerSettings


def main() -> None:
    """Run the server. With ``prepare``, only create the application and its tables."""
    settings = ServerSettings.from_environ()
    application = import_module(f"benchmarks.applications.{sys.argv[1]}")
    if "prepare" in sys.argv[2:]:
        application.create_app(settings)
        return
    Server(lambda: application.create_app(settings), settings).run()


if __name__ == "__main__":
    main()
