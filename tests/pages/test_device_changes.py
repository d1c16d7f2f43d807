"""Renaming, blocking and unblocking a device, from the list and from its page."""

from datetime import timedelta

from flask import Flask

from tests.conftest import DEVICE, NOON, Administrator, FakeClock, as_device
from tests.pages.device_changes import from_both_pages, page_path, plain_and_htmx
from tests.pages.device_list import LIST
from tests.pages.visitor import Visitor

# --- rename ------------------------------------------------------------------------------------


@from_both_pages
def test_whitespace_in_a_name_is_collapsed(
    admin: Visitor, administrator: Administrator, phone: int, source: str
) -> None:
    admin.change(page_path(source, phone), "/name", name="  Front \t desk\n")
    assert administrator.device()["name"] == "Front desk"


def test_empty_name_removes_the_name(
    admin: Visitor, administrator: Administrator, phone: int
) -> None:
    administrator.rename("Front desk")
    page = admin.follow(admin.change(f"{LIST}/{phone}", "/name", name=" "))
    assert page.root.one("h1").text == "phone-1"
    assert page.announced == "The name was removed. The device is now listed as “phone-1”."
    assert administrator.device()["name"] is None


def test_longest_allowed_name_is_stored(
    admin: Visitor, administrator: Administrator, phone: int
) -> None:
    assert admin.change(LIST, f"/{phone}/name", name="x" * 255).status == 303
    assert administrator.device()["name"] == "x" * 255


@from_both_pages
@plain_and_htmx
def test_too_long_name_is_rejected_and_stays_in_the_form(
    admin: Visitor, administrator: Administrator, phone: int, source: str, htmx: bool
) -> None:
    administrator.rename("Before")
    response = admin.change(page_path(source, phone), f"/{phone}/name", htmx=htmx, name="x" * 256)
    assert response.status == 422
    assert response.is_full_page is not htmx
    field = response.form("/name").one("input", name="name")
    assert field["value"] == "x" * 256
    assert field["aria-invalid"] == "true"
    assert (
        response.root.one(id=field["aria-describedby"]).text
        == "A name can have at most 255 characters."
    )
    assert administrator.device()["name"] == "Before"


def test_form_without_name_field_is_rejected_and_keeps_the_name(admin: Visitor, phone: int) -> None:
    admin.change(LIST, f"{LIST}/{phone}/name", name="Front desk")
    token = admin.get(f"{LIST}/{phone}/name").form("/name").one("input", name="csrf_token")["value"]
    assert admin.post(f"{LIST}/{phone}/name", csrf_token=token).status == 422
    assert "Front desk" in admin.get(LIST).text


# --- block and unblock -------------------------------------------------------------------------


@from_both_pages
def test_blocked_device_is_denied_until_it_is_unblocked(
    admin: Visitor, app: Flask, token: str, source: str
) -> None:
    def call() -> int:
        return app.test_client().get(DEVICE, headers=as_device(token)).status_code

    assert call() == 200
    [row] = admin.get(LIST).root.one("tbody").all("tr")
    page = page_path(source, int(row["id"].removeprefix("device-")))
    admin.change(page, "/block", reason="Lost")
    assert call() == 403
    admin.change(page, "/unblock")
    assert call() == 200


@plain_and_htmx
def test_blocking_a_blocked_device_keeps_the_first_time_and_reason(
    admin: Visitor, administrator: Administrator, fake_clock: FakeClock, phone: int, htmx: bool
) -> None:
    page = admin.open_form(admin.get(LIST), f"/{phone}/block", htmx=htmx)
    admin.submit(page, f"/{phone}/block", htmx=htmx, reason="First")
    before = administrator.device()
    fake_clock.set(NOON + timedelta(hours=1))
    again = admin.submit(page, f"/{phone}/block", htmx=htmx, reason="Second")
    assert again.status == (200 if htmx else 303)
    assert administrator.device() == before


def test_unblocking_is_idempotent(admin: Visitor, administrator: Administrator, phone: int) -> None:
    administrator.block()
    page = admin.get(LIST)
    assert admin.submit(page, f"/{phone}/unblock").status == 303
    before = administrator.device()
    assert admin.submit(page, f"/{phone}/unblock").status == 303
    assert administrator.device() == before


@from_both_pages
@plain_and_htmx
def test_too_long_reason_is_rejected_and_stays_in_the_form(
    admin: Visitor, administrator: Administrator, phone: int, source: str, htmx: bool
) -> None:
    page = admin.get(page_path(source, phone))
    response = admin.submit(page, f"/{phone}/block", htmx=htmx, reason="x" * 1001)
    assert response.status == 422
    assert response.is_full_page is not htmx
    field = response.form("/block").one("input", name="reason")
    assert field["value"] == "x" * 1001
    error = response.root.one(id=field["aria-describedby"])
    assert error.text == "A reason can have at most 1,000 characters."
    assert administrator.device()["status"] == "active"
