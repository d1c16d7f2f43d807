"""Free disk space in /readyz, in the log and in the metrics."""

import logging
from types import SimpleNamespace

import pytest

from apidevices.standalone.disk import Disk, DiskWatch
from tests.conftest import MakeApp

GB = 1024**3


class FakeUsage:
    """Replaces the size and free space of all disks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 50 * GB
        monkeypatch.setattr(
            "shutil.disk_usage", lambda _path: SimpleNamespace(total=100 * GB, free=self.free)
        )


@pytest.fixture
def usage(monkeypatch: pytest.MonkeyPatch) -> FakeUsage:
    return FakeUsage(monkeypatch)


@pytest.mark.parametrize(
    ("size", "free", "is_low"),
    [
        (100 * GB, 1 * GB, False),
        (100 * GB, 1 * GB - 1, True),
        (1 * GB, 0.11 * GB, False),
        (1 * GB, 0.09 * GB, True),
        (1 * GB, 0, True),
    ],
)
def test_space_is_low_below_a_tenth_and_at_most_one_gib(
    size: int, free: float, is_low: bool
) -> None:
    assert bool(Disk(size, int(free)).shortage) == is_low


@pytest.mark.database("sqlite")
def test_readyz_stays_200_and_tells_how_much_space_is_left(
    make_app: MakeApp, usage: FakeUsage
) -> None:
    client = make_app().test_client()
    assert client.get("/readyz").text == "ok\n"
    usage.free = 120_400_000
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.text == "ok, but only 120 MB of disk space are left\n"


@pytest.mark.database("postgresql")
def test_readyz_ignores_the_disk_of_the_instance_folder_with_postgresql(
    make_app: MakeApp, usage: FakeUsage
) -> None:
    usage.free = 0
    assert make_app().test_client().get("/readyz").text == "ok\n"


@pytest.mark.database("sqlite")
def test_low_space_is_logged_once_each_time_the_limit_is_crossed(
    make_app: MakeApp, usage: FakeUsage, caplog: pytest.LogCaptureFixture
) -> None:
    watch = DiskWatch(make_app())
    caplog.set_level(logging.WARNING)
    for usage.free in (50 * GB, GB - 1, GB // 2, GB + 1, GB // 2, 2 * GB, GB // 2):
        watch.check()
    assert [record.getMessage() for record in caplog.records] == [
        "Disk space is low: only 1,073 MB of disk space are left.",
        "Disk space is no longer low.",
        "Disk space is low: only 536 MB of disk space are left.",
    ]
