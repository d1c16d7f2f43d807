"""The JSON API of the standalone application, below ``/api``."""

from apidevices.api import client, management, openapi
from apidevices.api.root import blueprint

__all__ = ["blueprint", "client", "management", "openapi"]
