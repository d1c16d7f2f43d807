"""Track the devices that call an API, and block individual ones.

These names are public. Everything else may change in any version.
"""

from apidevices import signals
from apidevices.calls import Caller
from apidevices.embedding import Account, Link, Panel
from apidevices.errors import ConfigError
from apidevices.extension import APIDevices
from apidevices.models import Device
from apidevices.problems import ProblemDetails

__all__ = [
    "APIDevices",
    "Account",
    "Caller",
    "ConfigError",
    "Device",
    "Link",
    "Panel",
    "ProblemDetails",
    "signals",
]
