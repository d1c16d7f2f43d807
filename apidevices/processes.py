"""Callbacks for when a process forks or exits, which don't keep their objects alive."""

import atexit
import os
import weakref
from collections.abc import Callable


def after_fork(method: Callable[[], None]) -> None:
    """Call a bound method in each forked child process, unless its object is gone by then."""
    os.register_at_fork(after_in_child=_weak_callback(method))


def at_exit(method: Callable[[], None]) -> None:
    """Call a bound method when this process exits, unless its object is gone by then."""
    atexit.register(_weak_callback(method))


def _weak_callback(method: Callable[[], None]) -> Callable[[], None]:
    reference = weakref.WeakMethod(method)

    def callback() -> None:
        if (alive := reference()) is not None:
            alive()

    return callback
