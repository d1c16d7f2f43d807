"""Threads that run during a ``with`` block."""

import threading
from collections.abc import Callable, Iterable
from typing import Self


class Threads:
    """Run each target in its own thread. Targets must return once ``stopping`` is set."""

    def __init__(self, targets: Iterable[Callable[[], None]]) -> None:
        self.stopping = threading.Event()
        self._threads = [threading.Thread(target=target) for target in targets]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join()
