"""Which devices use my API, and how do I shut this one out, now?

The public names; everything else may change from one version to the next.
"""

from apidevices import signals
from apidevices.embedding import Account, Link, Panel
from apidevices.errors import ConfigError
from apidevices.extension import APIDevices
from apidevices.models import Device
from apidevices.problems import ProblemDetails
from apidevices.tracking import Caller

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
