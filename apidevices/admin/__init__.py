"""The admin pages: server-rendered HTML that HTMX updates in place."""

from apidevices.admin import device, device_actions, device_list, preferences, tokens, views
from apidevices.admin.frame import blueprint

__all__ = ["blueprint", "device", "device_actions", "device_list", "preferences", "tokens", "views"]
