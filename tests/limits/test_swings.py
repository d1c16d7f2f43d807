"""A device that swings between known sets of details uses up neither limits nor the database."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from tests.conftest import DEVICE, NOON, FakeClock, as_device

SETS = [{"model": "Tab 5", "os": "Android"}, {"model": "Pixel 8", "os": "Android"}]


@pytest.fixture
def statuses(client: FlaskClient, token: str, fake_clock: FakeClock) -> list[int]:
    """The responses to two devices with the same identifier that take turns for four minutes."""
    statuses = []
    for second in range(0, 240, 3):
        fake_clock.set(NOON + timedelta(seconds=second))
        response = client.get(DEVICE, headers=as_device(token, **SETS[second % 2]))
        statuses.append(response.status_code)
    return statuses


def test_swings_are_not_limited(statuses: list[int]) -> None:
    assert set(statuses) == {200}


def test_each_set_is_written_once_a_minute(statements: list[str], statuses: list[int]) -> None:
    writes = [each for each in statements if each.startswith("UPDATE apidevices_device_marks")]
    assert 4 <= len(writes) <= 8
    changes = [each for each in statements if each.startswith("UPDATE apidevices_devices ")]
    assert len(changes) == 2


def test_many_sets_are_not_written_more_often(
    client: FlaskClient, token: str, fake_clock: FakeClock, statements: list[str]
) -> None:
    def send(number: int, later: timedelta) -> int:
        fake_clock.set(NOON + later)
        headers = as_device(token, model=f"Tab {number % 6}")
        return client.get(DEVICE, headers=headers).status_code

    interval = timedelta(minutes=40)  # the limit on changes allows that
    assert {send(number, number * interval) for number in range(7)} == {200}
    del statements[:]
    last = 7 * interval
    assert {send(number, last + timedelta(seconds=3 * number)) for number in range(80)} == {200}
    writes = [each for each in statements if each.startswith("UPDATE apidevices_device_marks")]
    assert 4 <= len(writes) <= 12
