"""Which devices use my API, and how do I shut this one out, now?

The public names; everything else may change from one version to the next.
"""

from apidevices import signals
from apidevices.config import ConfigError
from apidevices.errors import ProblemDetails
from apidevices.extension import APIDevices
from apidevices.models import Device
from apidevices.tracking import Caller

__all__ = ["APIDevices", "Caller", "ConfigError", "Device", "ProblemDetails", "signals"]
