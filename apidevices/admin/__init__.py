"""The admin pages: server-rendered HTML that HTMX updates in place."""

from apidevices.admin import devices, tokens
from apidevices.admin.frame import blueprint

__all__ = ["blueprint", "devices", "tokens"]
