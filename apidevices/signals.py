"""What happened, for whoever wants to know: blinker signals, sent once it is durable.

Each is sent by the Flask application, with ``device``, a ``Device``; ``device_changed`` with
``changes`` as well: field -> [old, new].
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
device_blocked = _signals.signal("device-blocked")
device_unblocked = _signals.signal("device-unblocked")
device_denied = _signals.signal("device-denied")


def send(signal: Signal, device: Callable[[], Any], **details: Any) -> None:
    """Tell who listens; the device is only looked for where somebody does.

    What has happened has happened: a receiver that fails is logged, and stops nothing.
    """
    if not signal.receivers:
        return
    try:
        signal.send(app_ctx.app, device=device(), **details)
    except Exception:
        logger.exception("A receiver of the signal %s failed", signal)
