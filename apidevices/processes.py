"""What must happen when a process is forked or ends, to objects that live in it."""

import atexit
import os
import weakref
from collections.abc import Callable


def after_fork(method: Callable[[], None]) -> None:
    """Call a method in each child that this process forks, for as long as its object lives."""
    os.register_at_fork(after_in_child=_weak(method))


def at_exit(method: Callable[[], None]) -> None:
    """Call a method when this process ends, if its object still lives then."""
    atexit.register(_weak(method))


def _weak(method: Callable[[], None]) -> Callable[[], None]:
    reference = weakref.WeakMethod(method)

    def call() -> None:
        if (alive := reference()) is not None:
            alive()

    return call
