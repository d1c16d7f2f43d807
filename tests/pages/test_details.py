"""The details of a device: everything that is known of it."""

from datetime import datetime, timedelta

import pytest
from flask import Flask

from tests.conftest import DEVICE, NOON, UPLOADS, Clock, NewToken, Register, as_device, state_of
from tests.pages.conftest import ANN
from tests.pages.markup import Node
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"
HOUR = timedelta(hours=1)


def fact(page: Page, name: str) -> Node:
    """Return what the details say under a name."""
    [found] = [row for row in page.root.one("dl", class_="facts").children if says(row, name)]
    return found.one("dd")


def says(row: Node, name: str) -> bool:
    return row.one("dt").text == name


def moment(node: Node) -> str:
    return node.one("time")["datetime"]


def section(page: Page, title: str) -> Node:
    [found] = [node for node in page.root.all("section") if node.one("h2").text == title]
    return found


def table(node: Node) -> list[list[str]]:
    return [[cell.text for cell in row.all("td")] for row in node.one("tbody").all("tr")]


def history(page: Page) -> list[Node]:
    return page.root.one("ol", class_="timeline").all("li")


class Phone:
    """A device that calls at set times."""

    def __init__(self, app: Flask, the_clock: Clock, token: str) -> None:
        self._app = app
        self._clock = the_clock
        self.token = token

    def calls(self, at: datetime = NOON, *, body: str | None = None, **details: str) -> int:
        self._clock.set(at)
        headers = as_device(self.token, "phone-1", **details)
        client = self._app.test_client()
        if body is None:
            status = client.get(DEVICE, headers=headers).status_code
        else:
            status = client.post(
                UPLOADS, data=body, headers=headers, content_type="application/json"
            ).status_code
        state_of(self._app).activity.flush()
        return status


@pytest.fixture
def phone(app: Flask, the_clock: Clock, new_token: NewToken) -> Phone:
    return Phone(app, the_clock, new_token(name="box office"))


def details(admin: Visitor) -> Page:
    """Open the details of the only device, from the list."""
    [row] = admin.get(LIST).root.one("tbody").all("tr")
    return admin.get(row.one("td", class_="name").one("a")["href"])


def test_every_field_is_shown(admin: Visitor, phone: Phone) -> None:
    phone.calls(
        manufacturer="Apple",
        model="iPad 9",
        application="Box Office",
        application_version="2.1",
        os="iPadOS",
        os_version="19.1",
    )
    page = details(admin)
    assert page.root.one("h1").text == "phone-1"
    assert fact(page, "Identifier").text == "phone-1"
    assert fact(page, "Manufacturer").text == "Apple"
    assert fact(page, "Model").text == "iPad 9"
    assert fact(page, "Application").text == "Box Office 2.1"
    assert fact(page, "Operating system").text == "iPadOS 19.1"
    assert fact(page, "Blocked at").text == "not blocked"


def test_times_of_activity_are_shown(admin: Visitor, phone: Phone) -> None:
    phone.calls(NOON - 3 * HOUR)
    phone.calls(NOON - 2 * HOUR, body="{}")
    phone.calls(NOON - HOUR)
    page = details(admin)
    assert moment(fact(page, "First seen")) == "2030-05-17T09:00:00.000000Z"
    assert moment(fact(page, "Last data upload")) == "2030-05-17T10:00:00.000000Z"
    assert moment(fact(page, "Last active")) == "2030-05-17T11:00:00.000000Z"


def test_a_device_that_said_little_has_dashes(admin: Visitor, phone: Phone) -> None:
    phone.calls()
    page = details(admin)
    assert {fact(page, name).text for name in ("Manufacturer", "Model", "Application")} == {"–"}
    assert fact(page, "Last data upload").text == "never"
    assert "This device has uploaded nothing yet." in page.text


def test_a_block_is_told_with_when_by_whom_and_why(
    admin: Visitor, phone: Phone, the_clock: Clock
) -> None:
    phone.calls()
    the_clock.set(NOON + HOUR)
    page = admin.submit(details(admin), "/block", reason="Lost on the train")
    page = admin.follow(page)
    assert moment(fact(page, "Blocked at")) == "2030-05-17T13:00:00.000000Z"
    assert fact(page, "Blocked at").text.endswith(f"by {ANN}")
    assert fact(page, "Reason").text == "Lost on the train"
    assert page.root.one("h1").text == "phone-1 Blocked"


def test_denied_requests_are_counted(admin: Visitor, phone: Phone) -> None:
    phone.calls()
    admin.submit(details(admin), "/block")
    for minute in (1, 2):
        assert phone.calls(NOON + timedelta(minutes=minute)) == 403
    shown = fact(details(admin), "Denied requests")
    assert shown.text.startswith("2, last")
    assert moment(shown) == "2030-05-17T12:02:00.000000Z"


def test_tokens_that_were_used_are_shown_with_the_way_to_revoke_them(
    admin: Visitor, phone: Phone, new_token: NewToken
) -> None:
    phone.calls(NOON - HOUR)
    phone.token = new_token(name="ticket scan")
    phone.calls(NOON)
    used = section(details(admin), "API tokens it has used")
    assert [row[0].split()[:2] for row in table(used)] == [["ticket", "scan"], ["box", "office"]]
    assert [when["datetime"][11:16] for when in used.all("time")] == ["12:00", "11:00"]
    page = admin.get("/settings/api-tokens")
    for link in used.all("a"):
        address, _, anchor = link["href"].partition("#")
        assert address == page.path
        assert page.root.one("tr", id=anchor)


def test_a_revoked_token_is_told_to_be_revoked(admin: Visitor, phone: Phone) -> None:
    phone.calls()
    admin.change("/settings/api-tokens", "/revoke")
    used = section(details(admin), "API tokens it has used")
    assert table(used)[0][2] == "revoked"
    assert used.all("a") == []


def test_the_latest_uploads_are_shown(admin: Visitor, phone: Phone) -> None:
    for minute in range(12):
        phone.calls(NOON + timedelta(minutes=minute), body=f'"{"x" * 100 * minute}"')
    uploads = section(details(admin), "Latest uploads")
    assert len(table(uploads)) == 10
    assert moment(uploads.one("tbody").all("tr")[0]) == "2030-05-17T12:11:00.000000Z"
    assert table(uploads)[0][1:] == ["1.1 KiB", "box office"]


# --- history -----------------------------------------------------------------------------------


def test_history_tells_what_changed_from_what_to_what(admin: Visitor, phone: Phone) -> None:
    phone.calls(NOON - HOUR, application="Box Office", application_version="2.1")
    phone.calls(NOON, application="Box Office", application_version="2.2")
    changed, registered = history(details(admin))
    assert changed.one("strong").text == "Changed"
    assert moment(changed) == "2030-05-17T12:00:00.000000Z"
    [change] = changed.one("dl").children
    assert change.one("dt").text == "Application version"
    assert change.one("dd").text == "from 2.1 → to 2.2"
    assert (change.one("del").text, change.one("ins").text) == ("2.1", "2.2")
    assert registered.one("strong").text == "Registered"
    assert moment(registered) == "2030-05-17T11:00:00.000000Z"
    assert [row.text for row in registered.one("dl").children] == [
        "Application Box Office",
        "Application version 2.1",
    ]
    assert registered.all("del") == []


def test_history_tells_where_news_came_from(admin: Visitor, phone: Phone) -> None:
    phone.calls()
    [entry] = history(details(admin))
    assert entry.one("p", class_="muted source").text == "with token box office from 127.0.0.1"


def test_long_history_goes_on_behind_a_link(admin: Visitor, register: Register) -> None:
    for version in range(60):
        device = register("phone-1", application_version=str(version))
    page = admin.get(f"{LIST}/{device}")
    [older] = [link for link in page.root.all("a") if link.text == "Older entries"]
    rest = admin.get(older["href"])
    assert len(history(page)) == 50
    assert len(history(rest)) == 10
    assert [entry.one("ins").text for entry in history(rest)][-1] == "0"
    assert "Older entries" not in rest.text


@pytest.mark.parametrize("before", ["x", "-1", "99999999999999999999"])
def test_history_with_a_broken_address_starts_at_the_newest(
    admin: Visitor, register: Register, before: str
) -> None:
    device = register("phone-1")
    assert len(history(admin.get(f"{LIST}/{device}/history?before={before}"))) == 1


@pytest.mark.parametrize("path", ["", "/history"])
@pytest.mark.parametrize("device", ["999", "0", "-1", "9223372036854775808", "x"])
def test_an_unknown_device_is_not_found(admin: Visitor, device: str, path: str) -> None:
    page = admin.get(f"{LIST}/{device}{path}")
    assert page.status == 404
    assert page.is_whole


def test_details_lead_back_to_the_list(admin: Visitor, register: Register) -> None:
    page = admin.get(f"{LIST}/{register('phone-1')}")
    assert page.root.one("p", class_="back").one("a")["href"] == LIST
