"""Callbacks that run after a fork or at exit, without keeping their objects alive."""

import atexit
import os
import weakref
from collections.abc import Callable


def after_fork(method: Callable[[], None]) -> None:
    """Call a bound method in each forked child, unless its object was garbage-collected."""
    os.register_at_fork(after_in_child=_weak_callback(method))


def at_exit(method: Callable[[], None]) -> None:
    """Call a bound method when the process exits, unless its object was garbage-collected."""
    atexit.register(_weak_callback(method))


def _weak_callback(method: Callable[[], None]) -> Callable[[], None]:
    reference = weakref.WeakMethod(method)

    def callback() -> None:
        if (alive := reference()) is not None:
            alive()

    return callback
