"""Ends of blocks, revoked tokens, tags, notes and the deletion of a device, on its page."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from tests.conftest import DEVICE, NOON, Administrator, FakeClock, NewToken, as_device, state_of
from tests.pages.device_changes import plain_and_htmx
from tests.pages.device_list import LIST
from tests.pages.visitor import Visitor

# --- block -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "until"),
    [
        ({"ends": "never"}, None),
        ({"ends": "hour"}, "2030-05-17T13:00:00.000000Z"),
        ({"ends": "week"}, "2030-05-24T12:00:00.000000Z"),
        ({"ends": "custom", "until": "2030-05-18T09:30"}, "2030-05-18T09:30:00.000000Z"),
        (
            {"ends": "custom", "until": "2030-05-18T09:30", "zone": "+02:00"},
            "2030-05-18T07:30:00.000000Z",
        ),
    ],
    ids=["never", "hour", "week", "UTC", "local time"],
)
def test_block_has_the_chosen_end(
    admin: Visitor,
    administrator: Administrator,
    phone: int,
    typed: dict[str, Any],
    until: str | None,
) -> None:
    admin.change(f"{LIST}/{phone}", "/block", **typed)
    assert administrator.device()["blocked_until"] == until


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "Choose when the block ends."),
        ("2030-05-17T11:59", "The end of the block must be in the future."),
    ],
    ids=["missing", "past"],
)
@plain_and_htmx
def test_invalid_end_is_rejected_and_the_reason_stays_in_the_form(
    admin: Visitor, administrator: Administrator, phone: int, typed: str, message: str, htmx: bool
) -> None:
    response = admin.change(
        f"{LIST}/{phone}", "/block", htmx=htmx, reason="Lost", ends="custom", until=typed
    )
    assert response.status == 422
    form = response.form("/block")
    field = form.one("input", autofocus="")
    assert field["name"] == "until"
    assert message in [form.one(id=name).text for name in field["aria-describedby"].split()]
    assert form.one("input", name="reason")["value"] == "Lost"
    assert form.one("input", name="ends", checked="")["value"] == "custom"
    assert administrator.device()["status"] == "active"


def test_end_of_a_block_can_be_changed(
    admin: Visitor, administrator: Administrator, fake_clock: FakeClock, phone: int
) -> None:
    admin.change(f"{LIST}/{phone}", "/block", ends="day", reason="Lost")
    fake_clock.set(NOON + timedelta(hours=1))
    form = admin.get(f"{LIST}/{phone}/block").form("/block")
    assert form.one("input", name="until")["value"] == "2030-05-18T12:00"
    admin.change(f"{LIST}/{phone}", "/block", ends="never", reason="Stolen")
    device = administrator.device()
    assert (device["blocked_until"], device["block_reason"]) == (None, "Stolen")
    assert device["blocked_at"] == "2030-05-17T12:00:00.000000Z"


def test_token_that_no_other_device_uses_can_be_revoked_with_the_block(
    app: Flask, admin: Visitor, new_token: NewToken
) -> None:
    own, shared = new_token(name="own"), new_token(name="shared")

    def call(token: str, identifier: str) -> int:
        response = app.test_client().get(DEVICE, headers=as_device(token, identifier))
        state_of(app).activity.flush()
        return response.status_code

    for token, identifier in ((own, "phone-1"), (shared, "phone-1"), (shared, "phone-2")):
        assert call(token, identifier) == 200
    form = admin.open_form(admin.get(f"{LIST}?name=phone-1"), "/block")
    [choice] = form.root.all("input", name="revoke_tokens")
    assert "shared · 1 other device would lose access" in form.text
    page = admin.follow(admin.submit(form, "/block", revoke_tokens=choice["value"]))
    assert "You can't undo that." in page.announced
    assert page.root.one(id="apidevices-offer").text == ""
    assert call(own, "phone-2") == 401
    assert call(shared, "phone-2") == 200


# --- tags and note -----------------------------------------------------------------------------


@plain_and_htmx
def test_tags_are_separated_by_commas(
    admin: Visitor, administrator: Administrator, phone: int, htmx: bool
) -> None:
    page = admin.change(f"{LIST}/{phone}", "/tags", htmx=htmx, tags="Team A,, main entrance ,")
    shown = page if htmx else admin.follow(page)
    assert [tag.text for tag in shown.root.all("span", class_="tag")] == ["main entrance", "Team A"]
    assert administrator.device()["tags"] == ["main entrance", "Team A"]
    field = admin.get(f"{LIST}/{phone}/tags").form("/tags").one("input", name="tags")
    assert field["value"] == "main entrance, Team A"


def test_too_long_tag_is_rejected_and_stays_in_the_form(admin: Visitor, phone: int) -> None:
    response = admin.change(f"{LIST}/{phone}", "/tags", htmx=True, tags="x" * 51)
    assert response.status == 422
    assert response.form("/tags").one("input", name="tags")["value"] == "x" * 51
    assert "A tag can have at most 50 characters." in response.text


def test_note_keeps_its_lines_and_can_be_removed(
    admin: Visitor, administrator: Administrator, phone: int
) -> None:
    page = admin.follow(admin.change(f"{LIST}/{phone}", "/note", note="Drawer 3\nKey: Ann"))
    assert page.root.one("p", class_="note").exact_text == "Drawer 3\nKey: Ann"
    admin.submit(page, "/note", note="")
    assert administrator.device()["note"] is None


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(("action", "shown"), [("note", "Key: Ann"), ("tags", "Door, Team A")])
@plain_and_htmx
def test_text_of_another_administrator_is_replaced_only_on_purpose(
    admin: Visitor, administrator: Administrator, phone: int, action: str, shown: str, htmx: bool
) -> None:
    form = admin.open_form(admin.get(f"{LIST}/{phone}"), f"/{action}", htmx=htmx)
    described = {"note": "Key: Ann", "tags": ["Door", "Team A"]}
    administrator.request("PATCH", f"/api/v1/devices/{phone}", json=described)
    page = admin.submit(form, f"/{action}", htmx=htmx, **{action: "Mine"})
    assert page.status == 422
    assert f"It is now: “{shown}”. Save again to replace it." in page.text
    assert administrator.device()[action] == described[action]
    admin.submit(page, f"/{action}", htmx=htmx)
    assert administrator.device()[action] == ("Mine" if action == "note" else ["Mine"])


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("action", ["note", "tags"])
def test_form_without_its_field_removes_nothing(
    admin: Visitor, administrator: Administrator, phone: int, action: str
) -> None:
    described = {"note": "Key: Ann", "tags": ["Door"]}
    administrator.request("PATCH", f"/api/v1/devices/{phone}", json=described)
    url = f"{LIST}/{phone}/{action}"
    token = admin.get(url).form(f"/{action}").one(name="csrf_token")["value"]
    assert admin.post(url, csrf_token=token).status == 422
    assert administrator.device()[action] == described[action]


# --- delete ------------------------------------------------------------------------------------


@plain_and_htmx
def test_deleted_device_is_gone_and_the_list_says_so(
    admin: Visitor, phone: int, htmx: bool
) -> None:
    response = admin.change(f"{LIST}/{phone}?name=phone", "/delete", htmx=htmx)
    url = response.headers["HX-Redirect"] if htmx else response.location
    assert url == f"{LIST}?name=phone"
    assert admin.get(url).announced == "“phone-1” and everything stored about it was deleted."
    assert admin.get(f"{LIST}/{phone}").status == 404


@pytest.mark.parametrize("keep", [True, False])
def test_deleting_a_blocked_device_offers_to_keep_the_block(
    app: Flask, admin: Visitor, administrator: Administrator, token: str, phone: int, keep: bool
) -> None:
    administrator.block()
    form = admin.open_form(admin.get(f"{LIST}/{phone}"), "/delete")
    assert form.root.one("input", name="keep_block").get("checked") is not None
    admin.submit(form, "/delete", keep_block="y" if keep else "")
    status = app.test_client().get(DEVICE, headers=as_device(token, "phone-1")).status_code
    assert status == (403 if keep else 200)


# --- back to the list --------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["name", "block", "tags", "note", "delete"])
def test_forms_and_the_page_lead_back_to_the_filtered_list(
    admin: Visitor, phone: int, action: str
) -> None:
    [link] = [
        link["href"]
        for link in admin.get(f"{LIST}?name=phone").root.all("a")
        if (link.get("href") or "").startswith(f"{LIST}/{phone}?")
    ]
    page = admin.get(link)
    form = admin.open_form(page, f"/{action}")
    page = admin.get(form.root.one("p", class_="back").one("a")["href"])
    assert page.root.one("p", class_="back").one("a")["href"] == f"{LIST}?name=phone"
