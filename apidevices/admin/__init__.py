"""The admin pages: server-rendered HTML that HTMX updates in place."""

from apidevices.admin import (
    audit_log,
    bulk,
    device,
    device_actions,
    device_list,
    export,
    marks,
    merging,
    overview,
    preferences,
    storage,
    tokens,
    undo,
    views,
)
from apidevices.admin.frame import blueprint

__all__ = [
    "audit_log",
    "blueprint",
    "bulk",
    "device",
    "device_actions",
    "device_list",
    "export",
    "marks",
    "merging",
    "overview",
    "preferences",
    "storage",
    "tokens",
    "undo",
    "views",
]
