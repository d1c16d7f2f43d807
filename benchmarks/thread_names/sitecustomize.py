"""Give each Python thread its name in the kernel too, as Python 3.14 does by itself.

With this folder in ``PYTHONPATH``, a server of any revision shows in /proc which of its threads
writes the activity. Only the start of a thread takes longer.
"""

import ctypes
import sys
import threading
from typing import Any

_PR_SET_NAME = 15

if sys.platform == "linux" and sys.version_info < (3, 14):
    # A thread can name only itself, so this must run inside it. threading has no public hook that
    # runs in each thread without slowing it down, so replace a private method.
    _Thread: Any = threading.Thread
    _bootstrap = _Thread._bootstrap_inner
    _prctl = ctypes.CDLL(None).prctl

    def _set_name_and_bootstrap(thread: threading.Thread) -> None:
        _prctl(_PR_SET_NAME, thread.name.encode()[:15], 0, 0, 0)
        _bootstrap(thread)

    _Thread._bootstrap_inner = _set_name_and_bootstrap
