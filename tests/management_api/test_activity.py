"""The daily counts of a device in the API and on the command line."""

from datetime import timedelta

import pytest
from flask import Flask

from tests.command_line import Cli
from tests.conftest import DEVICES, NOON, Administrator, FakeClock, Register, state_of

DAY = timedelta(days=1)


@pytest.fixture
def busy(app: Flask, register: Register, fake_clock: FakeClock) -> int:
    """The id of a device with 3 requests and 2 denied ones within 90 days."""
    fake_clock.set(NOON)
    device_id, activity = register("phone-1"), state_of(app).activity
    for ago, upload in ((0, True), (0, False), (89, False), (90, True)):
        activity.record_request(device_id, None, NOON - ago * DAY, upload=upload)
    for ago in (1, 1, 90):
        activity.record_denial(device_id, NOON - ago * DAY)
    activity.flush(counts=True)
    return device_id


def test_api_and_command_have_the_last_90_days(
    app: Flask, administrator: Administrator, busy: int
) -> None:
    response = administrator.request("GET", f"{DEVICES}/{busy}/activity")
    days = response.get_json()["days"]
    assert (len(days), days[0]["day"], days[-1]["day"]) == (90, "2030-02-17", "2030-05-17")
    assert [list(day.values()) for day in days if day["requests"] or day["denied"]] == [
        ["2030-02-17", 1, 0, 0],
        ["2030-05-16", 0, 0, 2],
        ["2030-05-17", 2, 1, 0],
    ]
    assert Cli(app).json("activity", "phone-1") == response.get_json()
    table = [line.split() for line in Cli(app).succeed("activity", "phone-1").splitlines()]
    assert table[0] == ["Day", "(UTC)", "Requests", "Uploads", "Denied"]
    assert table[2:] == [
        ["2030-05-17", "2", "1", "0"],
        ["2030-05-16", "0", "0", "2"],
        ["2030-02-17", "1", "0", "0"],
    ]


@pytest.mark.database("sqlite")
def test_activity_of_a_device_without_requests_is_zero(
    app: Flask, administrator: Administrator, register: Register
) -> None:
    device_id = register("phone-1")
    days = administrator.request("GET", f"{DEVICES}/{device_id}/activity").get_json()["days"]
    assert {(day["requests"], day["uploads"], day["denied"]) for day in days} == {(0, 0, 0)}
    assert "No activity has been counted" in Cli(app).succeed("activity", "phone-1")


@pytest.mark.database("sqlite")
def test_activity_of_an_unknown_device_and_unknown_parameters_are_rejected(
    app: Flask, administrator: Administrator, busy: int
) -> None:
    assert administrator.request("GET", f"{DEVICES}/{busy + 1}/activity").status_code == 404
    response = administrator.request("GET", f"{DEVICES}/{busy}/activity?days=3")
    assert (response.status_code, response.get_json()["code"]) == (422, "invalid_request")
    assert Cli(app).run("activity", "phone-2").exit_code == 1
