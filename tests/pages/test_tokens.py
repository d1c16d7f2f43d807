"""Settings > API Tokens: create, shown once; revoke."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from apidevices.database import Database
from apidevices.models import ApiToken
from tests.conftest import DEVICE, DEVICES, NOON, Clock, NewToken, as_device
from tests.pages.markup import Node
from tests.pages.visitor import Page, Visitor

TOKENS = "/settings/api-tokens"
BOTH = pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])


def rows(page: Page) -> list[Node]:
    return page.root.one("table", class_="tokens").one("tbody").all("tr")


def names(page: Page) -> list[str]:
    return [row.one("td", class_="name").all("bdi")[0].text for row in rows(page)]


def create(admin: Visitor, name: str = "box office", *, htmx: bool = False, **typed: str) -> Page:
    """Create a token and return the page that shows it."""
    answer = admin.change(TOKENS, TOKENS, htmx=htmx, name=name, **typed)
    return answer if htmx else admin.follow(answer)


def shown(page: Page) -> str:
    return page.root.one("pre", id="new-token").text


def call(app: Flask, token: str, path: str = DEVICE) -> int:
    return app.test_client().get(path, headers=as_device(token)).status_code


# --- create ------------------------------------------------------------------------------------


@BOTH
def test_a_new_token_is_shown_and_works(app: Flask, admin: Visitor, htmx: bool) -> None:
    page = create(admin, htmx=htmx)
    assert page.announced == "Created the token “box office”."
    assert call(app, shown(page)) == 200


@BOTH
def test_a_new_token_is_shown_once(admin: Visitor, htmx: bool) -> None:
    token = shown(create(admin, htmx=htmx))
    for _ in range(2):
        page = admin.get(TOKENS)
        assert token not in page.html
        assert page.root.all(id="new-token") == []


def test_a_new_token_comes_with_a_call_to_try_it(admin: Visitor) -> None:
    page = create(admin)
    curl = page.root.one(id="new-token-curl").text
    assert curl.startswith("curl http://localhost/api/v1/device")
    assert f'-H "Authorization: Bearer {shown(page)}"' in curl


def test_the_list_tells_a_token_by_its_beginning_alone(admin: Visitor) -> None:
    token = shown(create(admin))
    [row] = rows(admin.get(TOKENS))
    mark = row.one(class_="identifier muted").text.removesuffix("…")
    assert token.startswith(mark)
    assert len(mark) < len(token) / 2


def test_htmx_gets_one_element_and_the_message(admin: Visitor) -> None:
    section, status = create(admin, htmx=True).root.children
    assert section["id"] == "tokens"
    assert status["hx-target"] == "#apidevices-status"


def test_the_newest_token_comes_first(admin: Visitor) -> None:
    create(admin, "first")
    create(admin, "second")
    assert names(admin.get(TOKENS)) == ["second", "first"]


@pytest.mark.parametrize(
    ("scope", "status"), [("devices:read", 200), ("devices:write", 403), (None, 403)]
)
def test_a_token_may_do_what_was_ticked(
    app: Flask, admin: Visitor, scope: str | None, status: int
) -> None:
    ticked: dict[str, Any] = {"scopes": scope} if scope else {}
    page = create(admin, **ticked)
    assert call(app, shown(page), DEVICES) == status
    assert rows(page)[0].one("td", class_="scopes").text == f"Scopes {scope or 'none'}"


def test_the_scopes_are_offered_with_what_they_allow(admin: Visitor) -> None:
    offered = admin.get(TOKENS).form(TOKENS).all("label", class_="check")
    assert [label.one("code").text for label in offered] == ["devices:read", "devices:write"]
    assert all(len(label.text) > len(label.one("code").text) + 10 for label in offered)
    assert [label.one("input").get("checked") for label in offered] == [None, None]


def test_a_token_is_valid_to_the_end_of_its_last_day(
    app: Flask, admin: Visitor, the_clock: Clock
) -> None:
    page = create(admin, expires_on="2030-05-17")
    assert rows(page)[0].all("td")[3].one("time")["datetime"] == "2030-05-17T23:59:59.999999Z"
    the_clock.set(NOON + timedelta(hours=11, minutes=59))
    assert call(app, shown(page)) == 200
    the_clock.set(NOON + timedelta(hours=12))
    assert call(app, shown(page)) == 401
    assert "Expired" in rows(admin.get(TOKENS))[0].one("td", class_="name").text


@BOTH
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 256}, "255 characters"),
        ({"expires_on": "2030-05-16"}, "The expiry date is in the past."),
        ({"expires_on": "9999-12-31"}, "within 100 years"),
        ({"expires_on": "soon"}, "date"),
        ({"scopes": "devices:everything"}, "devices:everything"),
    ],
    ids=["no name", "blank name", "long name", "past", "far away", "no date", "unknown scope"],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(
    admin: Visitor, typed: dict[str, str], said: str, htmx: bool
) -> None:
    whole = {"name": "box office", "expires_on": "2030-06-01", **typed}
    page = admin.change(TOKENS, TOKENS, htmx=htmx, **whole)
    assert page.status == 422
    assert page.is_whole is not htmx
    [error] = page.form(TOKENS).all("p", class_="error")
    assert said in error.text
    form = page.form(TOKENS)
    assert form.one("input", name="name")["value"].strip() == whole["name"].strip()
    assert form.one("input", name="expires_on")["value"] == whole["expires_on"]
    assert "There is no token yet." in page.text


def test_an_error_is_told_with_its_field(admin: Visitor) -> None:
    page = admin.change(TOKENS, TOKENS, name="box office", expires_on="2030-05-16")
    field = page.form(TOKENS).one("input", name="expires_on")
    assert field["aria-invalid"] == "true"
    told = [page.root.one(id=name).text for name in field["aria-describedby"].split()]
    assert "The expiry date is in the past." in told[-1]


def test_a_time_that_is_too_far_away_to_be_counted_breaks_no_page(
    admin: Visitor, db: Database
) -> None:
    admin.change(TOKENS, TOKENS, name="for ever")
    with db.write() as session:
        session.execute(update(ApiToken).values(expires_at=datetime.max.replace(tzinfo=UTC)))
    assert "9999-12-31 23:59:59 UTC" in admin.get(TOKENS).text


def test_a_token_needs_the_token_of_the_form(admin: Visitor) -> None:
    assert admin.post(TOKENS, name="box office").status == 400
    assert "There is no token yet." in admin.get(TOKENS).text


def test_markup_in_a_name_is_shown_as_text(admin: Visitor) -> None:
    page = create(admin, "<b onclick=x>'\"")
    assert page.root.all("b") == []
    assert names(page) == ["<b onclick=x>'\""]


# --- revoke ------------------------------------------------------------------------------------


@BOTH
def test_a_revoked_token_is_refused_at_once(app: Flask, admin: Visitor, htmx: bool) -> None:
    page = create(admin)
    answer = admin.submit(page, "/revoke", htmx=htmx)
    assert call(app, shown(page)) == 401
    after = answer if htmx else admin.follow(answer)
    assert after.announced == "Revoked the token “box office”: its next request is refused."


def test_a_revoked_token_stays_in_the_list_below_those_in_use(
    admin: Visitor, new_token: NewToken
) -> None:
    new_token(name="in use")
    create(admin, "not for long")
    page = admin.get(TOKENS)
    [newest, _] = [row["id"].removeprefix("token-") for row in rows(page)]
    page = admin.submit(page, f"/{newest}/revoke", htmx=True)
    assert names(page) == ["in use", "not for long"]
    assert "Revoked" in rows(page)[1].one("td", class_="name").text
    assert rows(page)[1].all("form") == []


def test_revoking_takes_a_new_token_out_of_sight(admin: Visitor) -> None:
    page = create(admin, htmx=True)
    assert shown(page) not in admin.submit(page, "/revoke", htmx=True).html


def test_revoking_twice_is_fine(admin: Visitor) -> None:
    page = create(admin)
    admin.submit(page, "/revoke")
    before = rows(admin.get(TOKENS))[0].text
    assert admin.submit(page, "/revoke").status == 303
    assert rows(admin.get(TOKENS))[0].text == before


def test_an_unknown_token_is_not_found(admin: Visitor) -> None:
    token = admin.get(TOKENS).form(TOKENS).one("input", name="csrf_token")["value"]
    assert admin.post(f"{TOKENS}/999/revoke", csrf_token=token).status == 404


def test_revoking_needs_the_token_of_the_form(app: Flask, admin: Visitor) -> None:
    page = create(admin)
    action = page.form("/revoke")["action"]
    assert admin.post(action).status == 400
    assert call(app, shown(page)) == 200


def test_nothing_is_revoked_by_opening_an_address(app: Flask, admin: Visitor) -> None:
    page = create(admin)
    assert admin.get(page.form("/revoke")["action"]).status == 405
    assert call(app, shown(page)) == 200


def test_the_last_use_is_told(app: Flask, admin: Visitor) -> None:
    page = create(admin)
    assert rows(page)[0].all("td")[2].text == "Last used never"
    call(app, shown(page))
    app.extensions["apidevices"].activity.flush()
    used = rows(admin.get(TOKENS))[0].all("td")[2].one("time")
    assert used["datetime"] == "2030-05-17T12:00:00.000000Z"
