"""The page of a device: its details, tokens, uploads and history."""

from datetime import datetime, timedelta

import pytest
from flask import Flask

from apidevices import devices
from apidevices.database import Database
from tests.conftest import DEVICE, NOON, UPLOADS, FakeClock, NewToken, Register, as_device, state_of
from tests.pages.conftest import ANN
from tests.pages.markup import Node
from tests.pages.visitor import HTMX, Page, Visitor

LIST = "/settings/api-devices"
HOUR = timedelta(hours=1)


def fact(page: Page, name: str) -> Node:
    """Return the value of a detail by its label."""
    lists = [*page.root.all("dl", class_="lead"), *page.root.all("dl", class_="facts")]
    rows = [row for each in lists for row in each.children]
    [found] = [row for row in rows if row.one("dt").text == name]
    return found.one("dd")


def timestamp(node: Node) -> str:
    return node.one("time")["datetime"]


def section(page: Page, title: str) -> Node:
    [found] = [node for node in page.root.all("section") if node.one("h2").text == title]
    return found


def table(node: Node) -> list[list[str]]:
    return [[cell.text for cell in row.all("td")] for row in node.one("tbody").all("tr")]


def history(page: Page) -> list[Node]:
    return page.root.one("ol", class_="timeline").all("li")


class Phone:
    """A device that calls the API at given times."""

    def __init__(self, app: Flask, fake_clock: FakeClock, token: str) -> None:
        self._app = app
        self._clock = fake_clock
        self.token = token

    def call(self, at: datetime = NOON, *, body: str | None = None, **details: str) -> int:
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
def phone(app: Flask, fake_clock: FakeClock, new_token: NewToken) -> Phone:
    return Phone(app, fake_clock, new_token(name="box office"))


def details(admin: Visitor) -> Page:
    """Follow the link from the list to the page of the only device."""
    [row] = admin.get(LIST).root.one("tbody").all("tr")
    return admin.get(row.one("td", class_="name").all("a")[0]["href"])


def test_details_show_every_reported_field(admin: Visitor, phone: Phone) -> None:
    phone.call(
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
    assert fact(page, "Status").text == "Active"


def test_details_show_activity_times(admin: Visitor, phone: Phone) -> None:
    phone.call(NOON - 3 * HOUR)
    phone.call(NOON - 2 * HOUR, body="{}")
    phone.call(NOON - HOUR)
    page = details(admin)
    assert timestamp(fact(page, "First seen")) == "2030-05-17T09:00:00.000Z"
    assert timestamp(fact(page, "Last data upload")) == "2030-05-17T10:00:00.000Z"
    assert timestamp(fact(page, "Last active")) == "2030-05-17T11:00:00.000Z"


def test_missing_details_are_shown_as_dashes(admin: Visitor, phone: Phone) -> None:
    phone.call()
    page = details(admin)
    assert {fact(page, name).text for name in ("Manufacturer", "Model", "Application")} == {"–"}
    assert fact(page, "Last data upload").text == "never"
    assert "No uploads yet." in page.text


def test_details_show_when_by_whom_and_why_a_device_was_blocked(
    admin: Visitor, phone: Phone, fake_clock: FakeClock
) -> None:
    phone.call()
    fake_clock.set(NOON + HOUR)
    page = admin.submit(details(admin), "/block", reason="Lost on the train")
    page = admin.follow(page)
    assert timestamp(fact(page, "Blocked at")) == "2030-05-17T13:00:00.000Z"
    assert fact(page, "Blocked at").text.endswith(f"by {ANN}")
    assert fact(page, "Reason").text == "Lost on the train"
    assert fact(page, "Status").text == "Blocked no end"


def test_details_name_the_command_line_that_blocked_a_device(
    app: Flask, admin: Visitor, phone: Phone
) -> None:
    phone.call()
    blocked = app.test_cli_runner().invoke(args=["apidevices", "block", "phone-1"])
    assert blocked.exit_code == 0, blocked.output
    text = fact(details(admin), "Blocked at").text
    assert text.startswith("just now")
    assert text.endswith("by the command line")


def test_details_show_the_number_of_denied_requests(
    admin: Visitor, phone: Phone, fake_clock: FakeClock
) -> None:
    phone.call()
    admin.submit(details(admin), "/block")
    for minute in (1, 2):
        assert phone.call(NOON + timedelta(minutes=minute)) == 403
    shown = fact(details(admin), "Denied requests")
    assert shown.text.startswith("2, most recently")
    assert timestamp(shown) == "2030-05-17T12:02:00.000Z"
    assert fact(details(admin), "Denied since the block").text == "2 requests"
    admin.submit(details(admin), "/unblock")
    fake_clock.set(NOON + timedelta(minutes=3))
    admin.submit(details(admin), "/block")
    assert phone.call(NOON + timedelta(minutes=4)) == 403
    shown = fact(details(admin), "Denied since the block")
    assert shown.text.split() == ["1", "request", "3", "in", "total"]


def test_denied_requests_are_counted_since_the_block_of_many_devices(
    admin: Visitor, phone: Phone
) -> None:
    phone.call()
    admin.submit(details(admin), "/block")
    phone.call(NOON + timedelta(minutes=1))
    admin.submit(details(admin), "/unblock")
    bulk = "/settings/api-devices/bulk?action=block&all=1"
    admin.submit(admin.get(bulk), "/bulk")
    phone.call(NOON + timedelta(minutes=2))
    assert fact(details(admin), "Denied since the block").text.split()[0] == "1"


def test_used_tokens_link_to_the_tokens_page(
    admin: Visitor, phone: Phone, new_token: NewToken
) -> None:
    phone.call(NOON - HOUR)
    phone.token = new_token(name="ticket scan")
    phone.call(NOON)
    used = section(details(admin), "API tokens used")
    assert [row[0].split()[:2] for row in table(used)] == [["ticket", "scan"], ["box", "office"]]
    assert "no other device" in table(used)[0][0]
    assert [time["datetime"][11:16] for time in used.all("time")] == ["12:00", "11:00"]
    page = admin.get("/settings/api-tokens")
    for link in used.all("a"):
        path, _, anchor = link["href"].partition("#")
        assert path == page.path
        assert page.root.one("tr", id=anchor)


def test_revoked_token_is_marked_and_has_no_link(admin: Visitor, phone: Phone) -> None:
    phone.call()
    admin.change("/settings/api-tokens", "/revoke")
    used = section(details(admin), "API tokens used")
    assert table(used)[0][2] == "revoked"
    assert used.all("a") == []


def test_details_show_the_ten_latest_uploads(admin: Visitor, phone: Phone) -> None:
    for minute in range(12):
        phone.call(NOON + timedelta(minutes=minute), body=f'"{"x" * 100 * minute}"')
    uploads = section(details(admin), "Latest uploads")
    assert len(table(uploads)) == 10
    assert timestamp(uploads.one("tbody").all("tr")[0]) == "2030-05-17T12:11:00.000Z"
    assert table(uploads)[0][1:] == ["1.1 KiB", "box office"]


# --- history -----------------------------------------------------------------------------------


def test_history_shows_old_and_new_values(admin: Visitor, phone: Phone) -> None:
    phone.call(NOON - HOUR, application="Box Office", application_version="2.1")
    phone.call(NOON, application="Box Office", application_version="2.2")
    changed, registered = history(details(admin))
    assert changed.one("strong").text == "Changed"
    assert timestamp(changed) == "2030-05-17T12:00:00.000Z"
    [change] = changed.one("dl").children
    assert change.one("dt").text == "Application version"
    assert change.one("dd").text == "from 2.1 → to 2.2"
    assert (change.one("del").text, change.one("ins").text) == ("2.1", "2.2")
    assert registered.one("strong").text == "Registered"
    assert timestamp(registered) == "2030-05-17T11:00:00.000Z"
    assert [row.text for row in registered.one("dl").children] == [
        "Application Box Office",
        "Application version 2.1",
    ]
    assert registered.all("del") == []


def test_history_shows_token_and_address(admin: Visitor, phone: Phone) -> None:
    phone.call()
    [entry] = history(details(admin))
    assert (
        entry.one("p", class_="muted source").text
        == "Reported with token box office from 127.0.0.1"
    )


def test_history_shows_blocks_with_reason_end_and_actor(
    admin: Visitor, db: Database, register: Register
) -> None:
    until = NOON + timedelta(days=1)
    device_id = register("phone-1")
    devices.block(db, device_id, reason="Left in a taxi", until=until, actor="ann", now=NOON)
    devices.unblock(db, device_id, actor="bob", now=NOON)
    unblocked, blocked, _ = history(details(admin))
    for entry, texts in (
        (unblocked, ("Unblocked", "bob")),
        (blocked, ("Blocked", "Left in a taxi", "ann", "2030-05-18")),
    ):
        for shown in texts:
            assert shown in entry.text


def test_history_can_be_filtered_by_kind(admin: Visitor, db: Database, register: Register) -> None:
    for version in range(60):
        device = register("phone-1", application_version=str(version))
    devices.describe(db, device, name="Door", tags=["Gate"], actor="ann", now=NOON)
    page = admin.get(f"{LIST}/{device}?kind=tagged&name=phone")
    assert [entry.text for entry in history(page)] == [
        "Tagged just now (2030-05-17 12:00:00 UTC) Gate By ann"
    ]
    assert page.root.one("a", href="/settings/audit-log?actor=ann").text == "ann"
    chosen = page.root.one("select", name="kind").one("option", selected="")
    assert chosen.text == "Tagged"
    changed = admin.get(f"{LIST}/{device}?kind=changed")
    [older] = [link for link in changed.root.all("a") if link.text == "Older entries"]
    assert len(history(admin.get(older["href"]))) == 9
    sent = f"{LIST}/{device}?filtered=1&kind=renamed&name=phone"
    response = admin.client.get(sent, headers=HTMX)
    assert response.headers["HX-Push-Url"] == f"{LIST}/{device}?kind=renamed&name=phone"
    assert response.text.count("<li>") == 3  # one entry, and two downloads
    assert admin.client.get(sent).location == f"{LIST}/{device}?kind=renamed&name=phone"
    download = admin.client.get(f"{LIST}/{device}/history.csv?kind=renamed")
    assert download.text.count("\n") == 2
    assert "→ Door" in download.text


def test_long_history_continues_on_another_page(admin: Visitor, register: Register) -> None:
    for version in range(60):
        device = register("phone-1", application_version=str(version))
    page = admin.get(f"{LIST}/{device}")
    [older] = [link for link in page.root.all("a") if link.text == "Older entries"]
    second_page = admin.get(older["href"])
    assert len(history(page)) == 50
    assert len(history(second_page)) == 10
    assert [entry.one("ins").text for entry in history(second_page)][-1] == "0"
    assert "Older entries" not in second_page.text


@pytest.mark.parametrize("before", ["x", "-1", "99999999999999999999"])
def test_history_with_an_invalid_position_starts_at_the_newest_entry(
    admin: Visitor, register: Register, before: str
) -> None:
    device = register("phone-1")
    assert len(history(admin.get(f"{LIST}/{device}/history?before={before}"))) == 1


@pytest.mark.parametrize("path", ["", "/history"])
@pytest.mark.parametrize("device", ["999", "0", "-1", "9223372036854775808", "x"])
def test_unknown_device_is_not_found(admin: Visitor, device: str, path: str) -> None:
    page = admin.get(f"{LIST}/{device}{path}")
    assert page.status == 404
    assert page.is_full_page


def test_details_link_back_to_the_list(admin: Visitor, register: Register) -> None:
    page = admin.get(f"{LIST}/{register('phone-1')}")
    assert page.root.one("p", class_="back").one("a")["href"] == LIST
