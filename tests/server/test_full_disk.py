"""A full disk under SQLite: blocks and sign-ins work, known devices are served, and it recovers.

The disk is mounted for the test, which needs the privileges of root.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.real_server import RealServer, wait_until
from harness.small_disk import SmallDisk, mounted
from tests.conftest import DEVICE, DEVICES, UPLOADS, VERIFY, as_device

pytestmark = pytest.mark.database("sqlite")

NUMBER = 100
RESERVE = 16


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with pytest.MonkeyPatch.context(), ThreadPoolExecutor(1):
        try:
            context = mounted(tmp_path / "disk", RESERVE + 16)
            disk = context.__enter__()
        except OSError as error:
            pytest.skip(f"can't mount a disk: {error}")
        yield disk
        context.__exit__(None, None, None)
