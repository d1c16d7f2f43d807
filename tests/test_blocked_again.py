"""A new device that looks like one that was just blocked is marked when it registers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import upkeep
from tests.conftest import (
    DEVICE,
    DEVICES,
    NOON,
    Administrator,
    FakeClock,
    NewToken,
    as_device,
    state_of,
)

PHONE = {"manufacturer": "Samsung", "model": "Tab 5"}

Call = Callable[..., int]


@pytest.fixture
def call(client: FlaskClient, token: str, fake_clock: FakeClock) -> Call:
    """Send a request some hours after noon."""

    def send(
        identifier: str,
        hours: float,
        address: str = "192.0.2.1",
        with_token: str = "",
        **details: str,
    ) -> int:
        fake_clock.set(NOON + timedelta(hours=hours))
        headers = as_device(with_token or token, identifier, **PHONE | details)
        response = client.get(DEVICE, headers=headers, environ_overrides={"REMOTE_ADDR": address})
        return response.status_code

    return send


@pytest.fixture
def blocked(app: Flask, call: Call, administrator: Administrator) -> int:
    """The id of a device that has moved to another address and was blocked there."""
    call("phone-1", 0)
    administrator.block()
    assert call("phone-1", 1, "198.51.100.7") == 403
    state_of(app).activity.flush()
    device_id: int = administrator.device()["id"]
    return device_id


def marks(administrator: Administrator, identifier: str = "new") -> list[dict[str, Any]]:
    path = f"{DEVICES}/{administrator.device(identifier)['id']}/marks"
    found: list[dict[str, Any]] = administrator.request("GET", path).get_json()["marks"]
    return found


def test_device_after_a_denied_request_at_the_same_address_is_marked(
    call: Call, blocked: int, administrator: Administrator
) -> None:
    assert call("new", 2, "198.51.100.7") == 200
    [mark] = marks(administrator)
    assert (mark["kind"], mark["other_id"]) == ("blocked_again", blocked)
    assert marks(administrator, "phone-1") == [mark]


def test_device_at_the_last_address_in_the_history_is_marked(
    call: Call, blocked: int, administrator: Administrator
) -> None:
    call("new", 2)
    assert [mark["other_id"] for mark in marks(administrator)] == [blocked]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("hours", "options"),
    [
        (2, {"model": "Tab 6"}),
        (2, {"manufacturer": "Zebra"}),
        (2, {"address": "203.0.113.1"}),
        (25, {}),
    ],
    ids=["model", "manufacturer", "address", "later"],
)
def test_other_device_is_not_marked(
    call: Call, blocked: int, administrator: Administrator, hours: float, options: dict[str, str]
) -> None:
    call("new", hours, **options)
    assert marks(administrator) == []


@pytest.mark.database("sqlite")
def test_device_with_another_token_is_not_marked(
    call: Call, blocked: int, administrator: Administrator, new_token: NewToken
) -> None:
    call("new", 2, with_token=new_token(name="other"))
    assert marks(administrator) == []


@pytest.mark.database("sqlite")
def test_device_after_an_unblock_is_not_marked(
    call: Call, blocked: int, administrator: Administrator
) -> None:
    administrator.unblock()
    call("new", 2)
    assert marks(administrator) == []


DAY = 24.0


@pytest.fixture
def start(call: Call, administrator: Administrator) -> float:
    """The hours from noon to noon 14 days ago, when a device was blocked and a new one marked."""
    days = (datetime.now(UTC).date() - NOON.date()).days - 14
    start = days * DAY
    call("phone-1", start)
    administrator.block()
    call("phone-1", start + 1)
    call("new", start + 2)
    assert marks(administrator)
    return start


def call_on(days: dict[str, list[int]], app: Flask, call: Call, start: float) -> None:
    for identifier, numbers in days.items():
        for number in numbers:
            call(identifier, start + number * DAY)
    state_of(app).activity.flush(counts=True)


def test_mark_is_withdrawn_if_both_devices_call_for_days(
    app: Flask, call: Call, administrator: Administrator, start: float
) -> None:
    call_on({"phone-1": [1, 3, 7], "new": [1, 2, 3, 7]}, app, call, start)
    app.test_cli_runner().invoke(args=["apidevices", "prune"])
    assert not marks(administrator)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "days",
    [
        {"phone-1": [], "new": [1, 2, 3, 13]},
        {"phone-1": [12, 13], "new": [1, 2, 3, 12, 13]},
        {"phone-1": [9, 10, 11], "new": [12, 13]},
        {"phone-1": [1, 2, 3], "new": [1, 2, 3, 13]},
        {"phone-1": [1, 2, 3, 13], "new": [1, 2, 3]},
    ],
    ids=["silent", "few days", "no alternation", "old fell silent", "new fell silent"],
)
def test_mark_of_a_device_that_may_be_the_blocked_one_stays(
    app: Flask,
    call: Call,
    administrator: Administrator,
    start: float,
    days: dict[str, list[int]],
) -> None:
    call_on(days, app, call, start)
    db = state_of(app).db
    upkeep.run(db, upkeep.replacement_tasks(), now=upkeep.database_time(db))
    assert marks(administrator)


def test_mark_is_deleted_with_the_blocked_device(
    call: Call, blocked: int, administrator: Administrator
) -> None:
    call("new", 2)
    administrator.request("DELETE", f"{DEVICES}/{blocked}")
    assert marks(administrator) == []
