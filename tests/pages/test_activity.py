"""The picture of the last 90 days on the page of a device."""

from datetime import timedelta

import pytest
from flask import Flask

from tests.conftest import NOON, Register, state_of
from tests.pages.test_details import section, table
from tests.pages.visitor import Visitor

pytestmark = pytest.mark.database("sqlite")

LIST = "/settings/api-devices"
DAY = timedelta(days=1)
TITLE = "Last 90 days"


def count(app: Flask, device_id: int, ago: int, *, requests: int = 0, denied: int = 0) -> None:
    """Count requests of a device, half of them uploads."""
    activity, at = state_of(app).activity, NOON - ago * DAY
    for number in range(requests):
        activity.record_request(device_id, None, at, upload=number % 2 == 0)
    for _ in range(denied):
        activity.record_denial(device_id, at)
    activity.flush(counts=True)


def test_picture_and_table_show_requests_uploads_and_denied_requests(
    app: Flask, admin: Visitor, phone: int
) -> None:
    count(app, phone, 100, requests=1)
    count(app, phone, 89, requests=1)
    count(app, phone, 2, requests=1200, denied=1)
    count(app, phone, 0, denied=40)
    shown = section(admin.get(f"{LIST}/{phone}"), TITLE)
    picture = shown.all("svg")[0]
    assert (picture["role"], picture["aria-labelledby"]) == ("img", "activity-title")
    title = picture.all("title")[0].text
    assert title.startswith("Requests per UTC day from 17 Feb 2030 to 17 May 2030: 1,201 allowed")
    assert "601 uploads among them, and 41 denied requests" in title
    heights = {
        kind: [float(bar["height"]) for bar in picture.all("rect", class_=kind)]
        for kind in ("requests", "uploads", "denied")
    }
    assert heights == {"requests": [3, 44], "uploads": [3, 22], "denied": [3, 16]}
    base = float(picture.one("rect", class_="base")["y"])
    assert all(float(bar["y"]) > base for bar in picture.all("rect", class_="denied"))
    assert table(shown) == [
        ["17 May 2030", "0", "0", "40"],
        ["15 May 2030", "1,200", "600", "1"],
        ["17 Feb 2030", "1", "1", "0"],
    ]
    assert "Days are UTC days" in shown.text
    assert "Counting began" not in shown.text


def test_page_says_since_when_requests_have_been_counted(
    app: Flask, admin: Visitor, phone: int, register: Register
) -> None:
    other = register("phone-2")
    assert section(admin.get(f"{LIST}/{other}"), TITLE).text.endswith(
        "No activity has been counted yet."
    )
    count(app, phone, 3, requests=1)
    for device_id in (phone, other):
        shown = section(admin.get(f"{LIST}/{device_id}"), TITLE)
        assert "Counting began on 14 May 2030." in shown.text


def test_history_shows_how_many_requests_were_denied_on_a_day(
    app: Flask, admin: Visitor, phone: int
) -> None:
    for seconds in (0, 90):
        state_of(app).activity.record_denial(
            phone, NOON - 3 * DAY + timedelta(seconds=seconds), None, "192.0.2.7"
        )
    state_of(app).activity.flush()
    page = admin.get(f"{LIST}/{phone}?kind=denied")
    [entry] = page.root.one("ol", class_="timeline").all("li")
    assert entry.one("strong").text == "Denied 2 requests"
    assert [time["datetime"] for time in entry.all("time")] == [
        "2030-05-14T12:01:30.000Z",
        "2030-05-14T12:00:00.000Z",
    ]
    assert "Most recently from 192.0.2.7" in entry.text
