"""A device whose details swing between two sets is marked: it may be several devices."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from apidevices.devices import known_sets
from tests.conftest import (
    DEVICE,
    DEVICES,
    NOON,
    Administrator,
    FakeClock,
    Register,
    as_device,
    state_of,
)

PHONE = {"manufacturer": "Samsung", "model": "Tab 5", "os": "Android", "os_version": "15"}
OTHER = {"manufacturer": "Google", "model": "Pixel 8", "os": "Android", "os_version": "16"}
THIRD = {"manufacturer": "Zebra", "model": "TC58", "os": "Android", "os_version": "13"}

Call = Callable[..., int]


@pytest.fixture
def call(client: FlaskClient, token: str, fake_clock: FakeClock) -> Call:
    """Send a request with these details some minutes after noon."""

    def send(details: dict[str, str], minutes: float = 0, **more: str) -> int:
        fake_clock.set(NOON + timedelta(minutes=minutes))
        return client.get(DEVICE, headers=as_device(token, **details | more)).status_code

    return send


@pytest.fixture
def shared(call: Call) -> None:
    """Two devices with the same identifier have taken turns."""
    for minutes, details in enumerate((PHONE, OTHER, PHONE)):
        assert call(details, minutes) == 200


def marks(administrator: Administrator) -> list[dict[str, Any]]:
    path = f"{DEVICES}/{administrator.device()['id']}/marks"
    found: list[dict[str, Any]] = administrator.request("GET", path).get_json()["marks"]
    return found


def dismiss(administrator: Administrator) -> None:
    [mark] = marks(administrator)
    path = f"{DEVICES}/{mark['device_id']}/marks/{mark['id']}/dismiss"
    assert administrator.request("POST", path).get_json() == {"marks": []}


def is_shared(administrator: Administrator) -> bool:
    listed = administrator.devices("?shared=1")
    assert bool(listed) == administrator.device()["shared"]
    return bool(listed)


# --- marking -----------------------------------------------------------------------------------


def test_device_is_marked_when_it_swings_back(call: Call, administrator: Administrator) -> None:
    found = []
    for minutes, details in enumerate((PHONE, OTHER, PHONE)):
        call(details, minutes)
        found.append(is_shared(administrator))
    assert found == [False, False, True]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "reports",
    [
        [PHONE, PHONE | {"os_version": "16"}, PHONE],
        [PHONE, {"model": "Tab 6"}, {"model": "TAB 5"}],
        [PHONE, OTHER, THIRD, PHONE],
        [PHONE, OTHER, PHONE | {"application": "Kiosk"}],
    ],
    ids=["system", "model in another case", "with a third", "other application"],
)
def test_swing_of_hardware_or_system_marks(
    call: Call, administrator: Administrator, reports: list[dict[str, str]]
) -> None:
    assert [call(details, minutes) for minutes, details in enumerate(reports)]
    assert is_shared(administrator)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "reports",
    [
        [PHONE, OTHER],
        [PHONE, OTHER, THIRD],
        [PHONE | {"application_version": version} for version in ("1", "2", "1")],
        [PHONE, {}, {"os": "Android"}, PHONE],
        [PHONE, PHONE | {"model": "TAB 5"}, PHONE],
        [PHONE, PHONE | {"model": "SM-X520", "application": "Guide"}, PHONE | {"application": "B"}],
        [PHONE, PHONE | {"model": "Tab %EF%BC%95"}, PHONE],
    ],
    ids=[
        "update",
        "two updates",
        "application version",
        "missing headers",
        "case",
        "other spelling",
        "width",
    ],
)
def test_ordinary_changes_do_not_mark(
    call: Call, administrator: Administrator, reports: list[dict[str, str]]
) -> None:
    for minutes, details in enumerate(reports):
        call(details, minutes)
    assert not is_shared(administrator)


@pytest.mark.database("sqlite")
def test_return_to_an_earlier_system_after_a_day_does_not_mark(
    call: Call, administrator: Administrator
) -> None:
    for hours, details in ((0, PHONE), (1, OTHER), (26, PHONE)):
        call(details, hours * 60)
    assert not is_shared(administrator)


def test_mark_has_the_sets_with_their_origin_and_the_number_of_swings(
    call: Call, administrator: Administrator, shared: None
) -> None:
    [mark] = marks(administrator)
    assert (mark["kind"], mark["count"]) == ("shared", 1)
    assert [each["details"]["model"] for each in mark["sets"]] == ["Tab 5", "Pixel 8"]
    latest = mark["sets"][0]
    assert latest["last_seen_at"] == "2030-05-17T12:02:00.000000Z"
    assert (latest["address"], latest["token"]["name"]) == ("127.0.0.1", "test")


@pytest.mark.database("sqlite")
def test_mark_is_withdrawn_if_the_system_was_only_set_back(
    app: Flask, administrator: Administrator, register: Register
) -> None:
    now = datetime.now(UTC)
    for minutes, version in enumerate(("15", "16", "15")):
        at = now - timedelta(days=4, minutes=-minutes)
        register("phone-1", at, **PHONE | {"os_version": version})
    assert is_shared(administrator)
    app.test_cli_runner().invoke(args=["apidevices", "prune"])
    assert not is_shared(administrator)


# --- afterwards --------------------------------------------------------------------------------


def test_swings_of_a_marked_device_write_no_history(
    call: Call, administrator: Administrator, shared: None
) -> None:
    entries = len(administrator.history())
    assert {call(details, 3) for details in [OTHER, PHONE] * 10} == {200}
    assert len(administrator.history()) == entries
    assert administrator.device()["model"] == "Tab 5"


def test_slow_swings_of_a_marked_device_write_no_history(
    call: Call, administrator: Administrator, shared: None
) -> None:
    entries = len(administrator.history())
    for turn in range(1, 13):
        assert call((PHONE, OTHER)[turn % 2], turn * 20 * 60) == 200
    assert len(administrator.history()) == entries
    seen = [each["last_seen_at"] for each in marks(administrator)[0]["sets"]]
    assert seen == ["2030-05-27T12:00:00.000000Z", "2030-05-26T16:00:00.000000Z"]


def test_new_set_of_a_marked_device_is_a_change(
    call: Call, administrator: Administrator, shared: None
) -> None:
    call(OTHER, 3)
    call(THIRD, 4)
    assert administrator.history()[0]["changes"]["model"] == {"old": "Tab 5", "new": "TC58"}
    assert len(marks(administrator)[0]["sets"]) == 3


def test_mark_stays_small_if_details_are_long(
    call: Call, administrator: Administrator, shared: None
) -> None:
    fields = ("manufacturer", "model", "os", "os_version")
    statuses = {call({field: str(n) * 255 for field in fields}, 3) for n in range(10, 20)}
    details = [each["details"].values() for each in marks(administrator)[0]["sets"]]
    sizes = [sum(len(value or "") for value in values) for values in details]
    assert (statuses, len(sizes)) == ({200}, 9)
    assert sum(sizes) <= 8_000


def test_blocked_device_that_swings_is_denied(
    call: Call, administrator: Administrator, shared: None
) -> None:
    call(OTHER, 3)
    administrator.block()
    assert [call(details, 4) for details in (OTHER, PHONE, THIRD)] == [403] * 3


def test_details_follow_when_only_one_of_the_devices_is_left(
    call: Call, administrator: Administrator, shared: None
) -> None:
    call(OTHER, 3)
    call(OTHER, 26 * 60)
    assert administrator.device()["model"] == "Pixel 8"
    assert administrator.history()[0]["kind"] == "changed"


@pytest.fixture
def writes(app: Flask) -> Iterator[list[str]]:
    """The statements of requests that write marks."""
    statements: list[str] = []

    def record(*arguments: object) -> None:
        statement = str(arguments[2])
        if statement.startswith("UPDATE apidevices_device_marks"):
            statements.append(statement)

    engine = state_of(app).db.engine
    event.listen(engine, "before_cursor_execute", record)
    yield statements
    event.remove(engine, "before_cursor_execute", record)


@pytest.fixture
def three_shared(call: Call, shared: None, monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """Three devices that are several ones each, in a process that can remember one."""
    monkeypatch.setattr(known_sets, "MAX_DEVICES", 1)
    identifiers = ("phone-1", "phone-2", "phone-3")
    for identifier in identifiers[1:]:
        for minutes, details in enumerate((PHONE, OTHER, PHONE)):
            assert call(details, minutes, identifier=identifier) == 200
    return identifiers


def test_more_devices_than_a_process_remembers_do_not_write_with_each_request(
    call: Call, three_shared: Sequence[str], writes: list[str]
) -> None:
    for details in [OTHER, PHONE] * 10:
        for identifier in three_shared:
            assert call(details, 3, identifier=identifier) == 200
    assert len(writes) == 2


def test_mark_of_a_device_that_no_process_remembers_is_written_after_hours(
    call: Call, three_shared: Sequence[str], administrator: Administrator
) -> None:
    for hours in (1, 7):
        for identifier in reversed(three_shared):
            assert call(OTHER, hours * 60, identifier=identifier) == 200
    assert marks(administrator)[0]["sets"][0]["last_seen_at"] == "2030-05-17T19:00:00.000000Z"


# --- dismissal ---------------------------------------------------------------------------------


def test_dismissed_mark_does_not_come_back_for_the_same_sets(
    call: Call, administrator: Administrator, shared: None
) -> None:
    dismiss(administrator)
    entries = len(administrator.history())
    assert {call(details, 3) for details in [OTHER, PHONE] * 10} == {200}
    assert not is_shared(administrator)
    assert len(administrator.history()) == entries


def test_dismissed_mark_comes_back_for_a_set_that_was_not_known(
    call: Call, administrator: Administrator, shared: None
) -> None:
    dismiss(administrator)
    call(THIRD, 3)
    assert not is_shared(administrator)
    call(PHONE, 4)
    assert is_shared(administrator)


@pytest.mark.database("sqlite")
def test_dismissal_is_in_the_audit_log(
    app: Flask, administrator: Administrator, shared: None
) -> None:
    dismiss(administrator)
    printed = app.test_cli_runner().invoke(args=["apidevices", "audit-log"]).output
    assert "mark: may be several devices" in printed


@pytest.mark.database("sqlite")
def test_commands_show_and_dismiss_a_mark(
    app: Flask, administrator: Administrator, shared: None
) -> None:
    run = app.test_cli_runner().invoke
    assert "phone-1" in run(args=["apidevices", "list", "--shared"]).output
    [row] = csv.DictReader(StringIO(run(args=["apidevices", "list", "--csv"]).output))
    assert row["shared"] == "true"
    assert re.search("shared +yes", run(args=["apidevices", "show", "phone-1"]).output)
    assert "Google Pixel 8, Android 16" in run(args=["apidevices", "marks", "phone-1"]).output
    dismissed = run(args=["apidevices", "dismiss", "phone-1", "shared"])
    assert dismissed.output == "phone-1 is no longer marked as shared\n"
    assert run(args=["apidevices", "marks", "phone-1", "--json"]).output == "[]\n"


def test_mark_is_deleted_with_its_device(administrator: Administrator, shared: None) -> None:
    path = f"{DEVICES}/{administrator.device()['id']}"
    assert administrator.request("DELETE", path).status_code == 204
    assert administrator.devices("?shared=1") == []


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("path", ["0/marks/1/dismiss", "1/marks/99/dismiss"])
def test_unknown_mark_is_not_found(administrator: Administrator, shared: None, path: str) -> None:
    assert administrator.request("POST", f"{DEVICES}/{path}").status_code == 404


@pytest.mark.database("sqlite")
def test_parameters_of_marks_are_refused(administrator: Administrator, shared: None) -> None:
    assert administrator.request("GET", f"{DEVICES}/1/marks?kind=shared").status_code == 422
