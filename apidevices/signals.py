"""Blinker signals for device events. A change is committed before its signal is sent.

The sender is the Flask application. Every signal carries ``device``, a ``Device``;
``device_changed`` also carries ``changes``: field -> [old, new]. ``device_tagged`` and
``device_untagged`` carry ``tags``, the tags that the device has gained or lost. ``device_merged``
carries ``merged``, the device as it was before it was merged into ``device``.
"""

import logging
from collections.abc import Callable
from typing import Any

from blinker import Namespace, Signal
from flask.globals import app_ctx

logger = logging.getLogger(__name__)

_signals = Namespace()

device_registered = _signals.signal("device-registered")
device_changed = _signals.signal("device-changed")
device_renamed = _signals.signal("device-renamed")
device_annotated = _signals.signal("device-annotated")
device_tagged = _signals.signal("device-tagged")
device_untagged = _signals.signal("device-untagged")
device_blocked = _signals.signal("device-blocked")
device_unblocked = _signals.signal("device-unblocked")
device_merged = _signals.signal("device-merged")
device_archived = _signals.signal("device-archived")
device_unarchived = _signals.signal("device-unarchived")
device_deleted = _signals.signal("device-deleted")
device_shared = _signals.signal("device-shared")
device_denied = _signals.signal("device-denied")


def send(signal: Signal, device: Callable[[], Any], **details: Any) -> None:
    """Send a signal; ``device`` is called only if the signal has receivers.

    Any change is already committed, so an exception in a receiver is logged, not raised.
    """
    if not signal.receivers:
        return
    try:
        signal.send(app_ctx.app, device=device(), **details)
    except Exception:
        logger.exception("A receiver of the signal %s failed", signal)


def send_for(signal: Signal, device: Any, **details: Any) -> None:
    """Send a signal about a device that has been loaded: see ``send``."""
    send(signal, lambda: device, **details)


def has_receivers() -> bool:
    """Return whether any signal has receivers."""
    return any(signal.receivers for signal in _signals.values())
