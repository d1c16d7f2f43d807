"""``python -m benchmarks.applications NAME``: serve one of them as the product serves itself."""

import sys
from importlib import import_module

from apidevices.standalone.server import Server
from apidevices.standalone.settings import ServerSettings


def main() -> None:
    """Become the server; with ``prepare`` behind the name, only make the application once."""
    settings = ServerSettings.from_environ()
    application = import_module(f"benchmarks.applications.{sys.argv[1]}")
    if "prepare" in sys.argv[2:]:
        application.create_app(settings)
        return
    Server(lambda: application.create_app(settings), settings).run()


if __name__ == "__main__":
    main()
