"""The admin pages: Settings > API Devices and API Tokens, server-rendered, updated by HTMX."""

from apidevices.admin import devices, tokens
from apidevices.admin.frame import blueprint

__all__ = ["blueprint", "devices", "tokens"]
