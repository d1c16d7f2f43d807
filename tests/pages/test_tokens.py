"""Settings > API Tokens: creating and revoking tokens."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from apidevices.database import Database
from apidevices.models import ApiToken
from tests.conftest import DEVICE, DEVICES, NOON, FakeClock, NewToken, as_device
from tests.pages.markup import Node
from tests.pages.visitor import Page, Visitor

TOKENS = "/settings/api-tokens"
NEW = f"{TOKENS}/new"
PLAIN_AND_HTMX = pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])


def rows(page: Page) -> list[Node]:
    tables = page.root.all("table", class_="tokens")
    return [row for table in tables for row in table.one("tbody").all("tr")]


def names(page: Page) -> list[str]:
    return [row.one("td", class_="name").all("bdi")[0].text for row in rows(page)]


def create(admin: Visitor, name: str = "box office", *, htmx: bool = False, **typed: str) -> Page:
    """Create a token and return the page that shows it."""
    response = admin.change(NEW, TOKENS, htmx=htmx, name=name, **typed)
    return response if htmx else admin.follow(response)


def token_text(page: Page) -> str:
    return page.root.one("pre", id="new-token").text


def status(page: Page) -> str:
    """The state of the only token."""
    return rows(page)[0].one("td", class_="validity").text


def expiry(page: Page) -> str | None:
    """When the only token expires, or None."""
    times = rows(page)[0].one("td", class_="validity").all("time")
    return times[0]["datetime"] if times else None


def call(app: Flask, token: str, path: str = DEVICE) -> int:
    return app.test_client().get(path, headers=as_device(token)).status_code


# --- create ------------------------------------------------------------------------------------


@PLAIN_AND_HTMX
def test_new_token_is_shown_and_works(app: Flask, admin: Visitor, htmx: bool) -> None:
    page = create(admin, htmx=htmx)
    assert page.announced == "The token “box office” was created."
    assert call(app, token_text(page)) == 200


@PLAIN_AND_HTMX
def test_new_token_is_shown_only_once(admin: Visitor, htmx: bool) -> None:
    token = token_text(create(admin, htmx=htmx))
    for _ in range(2):
        page = admin.get(TOKENS)
        assert token not in page.html
        assert page.root.all(id="new-token") == []


def test_new_token_comes_with_an_example_request(admin: Visitor) -> None:
    page = create(admin)
    curl = page.root.one(id="new-token-curl").text
    assert curl.startswith("curl http://localhost/api/v1/device")
    assert f'-H "Authorization: Bearer {token_text(page)}"' in curl


def test_list_shows_only_the_prefix_of_a_token(admin: Visitor) -> None:
    token = token_text(create(admin))
    [row] = rows(admin.get(TOKENS))
    prefix = row.one(class_="identifier muted").text.removesuffix("…")
    assert token.startswith(prefix)
    assert len(prefix) < len(token) / 2


def test_htmx_gets_the_token_section_and_the_status_message(admin: Visitor) -> None:
    section, status, _offer = create(admin, htmx=True).root.children
    assert section["id"] == "tokens"
    assert status["hx-target"] == "#apidevices-status"


def test_newest_token_is_listed_first(admin: Visitor) -> None:
    create(admin, "first")
    create(admin, "second")
    assert names(admin.get(TOKENS)) == ["second", "first"]


@pytest.mark.parametrize(
    ("scope", "status"), [("devices:read", 200), ("devices:write", 403), (None, 403)]
)
def test_token_has_the_selected_scope(
    app: Flask, admin: Visitor, scope: str | None, status: int
) -> None:
    fields: dict[str, Any] = {"scopes": scope} if scope else {}
    page = create(admin, **fields)
    assert call(app, token_text(page), DEVICES) == status
    assert rows(page)[0].one("td", class_="scopes").text == f"Scopes {scope or 'none'}"


def test_scopes_have_descriptions_and_are_unchecked(admin: Visitor) -> None:
    checks = admin.get(NEW).form(TOKENS).all("label", class_="check")
    labels = [label for label in checks if label.one("input")["name"] == "scopes"]
    scopes = ["devices:read", "devices:write", "metrics:read"]
    assert [label.one("code").text for label in labels] == scopes
    assert all(len(label.text) > len(label.one("code").text) + 10 for label in labels)
    assert [label.one("input").get("checked") for label in labels] == [None] * 3


def test_token_is_valid_until_the_end_of_its_expiry_date(
    app: Flask, admin: Visitor, fake_clock: FakeClock
) -> None:
    page = create(admin, expires="custom", expires_on="2030-05-17")
    assert expiry(page) == "2030-05-17T23:59:59.999Z"
    fake_clock.set(NOON + timedelta(hours=11, minutes=59))
    assert call(app, token_text(page)) == 200
    admin.get(TOKENS)  # keeps the session alive
    fake_clock.set(NOON + timedelta(hours=12))
    assert call(app, token_text(page)) == 401
    assert status(admin.get(TOKENS)).startswith("Expired just now")


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("typed", "last_day"),
    [
        ({}, None),
        ({"expires": "never", "expires_on": "2030-06-01"}, None),
        ({"expires": "30"}, "2030-06-16"),
        ({"expires": "90", "expires_on": "2030-06-01"}, "2030-08-15"),
        ({"expires": "365"}, "2031-05-17"),
        ({"expires": "custom", "expires_on": "2030-06-01"}, "2030-06-01"),
    ],
)
def test_token_expires_at_the_end_of_the_chosen_day(
    admin: Visitor, typed: dict[str, Any], last_day: str | None
) -> None:
    page = create(admin, **typed)
    assert expiry(page) == (f"{last_day}T23:59:59.999Z" if last_day else None)


@pytest.mark.database("sqlite")
def test_post_with_a_name_alone_creates_a_token(app: Flask, admin: Visitor) -> None:
    csrf = admin.get(TOKENS).root.all("input", name="csrf_token")[0]["value"]
    page = admin.follow(admin.post(TOKENS, name="box office", csrf_token=csrf))
    assert call(app, token_text(page)) == 200
    assert expiry(page) is None


@pytest.mark.database("sqlite")
def test_token_form_starts_at_the_required_name(admin: Visitor) -> None:
    form = admin.get(NEW).form(TOKENS)
    [focused] = form.all("input", autofocus="")
    assert (focused["name"], focused.get("required")) == ("name", "")
    assert form.one("details").get("open") is None


@pytest.mark.database("sqlite")
def test_list_shows_when_and_by_whom_a_token_was_created(admin: Visitor, db: Database) -> None:
    created = rows(create(admin))[0].one("td", class_="created")
    assert created.one("time")["datetime"] == "2030-05-17T12:00:00.000Z"
    assert created.one("bdi").text == "ann@example.org"
    with db.write() as session:
        session.execute(update(ApiToken).values(created_by=None))
    assert rows(admin.get(TOKENS))[0].one("td", class_="created").all("bdi") == []


@pytest.mark.database("sqlite")
@PLAIN_AND_HTMX
@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 256}, "255 characters"),
        ({"expires_on": "2030-05-16"}, "The expiry date is in the past."),
        ({"expires_on": "9999-12-31"}, "within 100 years"),
        ({"expires_on": "soon"}, "date"),
        ({"expires": "custom", "expires_on": ""}, "Choose a date."),
        ({"expires": "soon"}, "choice"),
        ({"scopes": "devices:everything"}, "devices:everything"),
        ({"new_devices_per_hour": "-1"}, "or 0 for no limit"),
        ({"new_devices_per_hour": "many"}, "integer"),
    ],
    ids=[
        "no name",
        "blank name",
        "long name",
        "past",
        "too far away",
        "no date",
        "custom without a date",
        "unknown expiry",
        "unknown scope",
        "negative limit",
        "no number",
    ],
)
def test_invalid_form_shows_the_error_and_keeps_the_input(
    admin: Visitor, typed: dict[str, str], message: str, htmx: bool
) -> None:
    fields = {"name": "box office", "expires": "custom", "expires_on": "2030-06-01", **typed}
    page = admin.change(NEW, TOKENS, htmx=htmx, **fields)
    assert page.status == 422
    assert page.is_full_page is not htmx
    form = page.form(TOKENS)
    [error] = form.all("p", class_="error")
    assert message in error.text
    assert form.one("input", name="name")["value"].strip() == fields["name"].strip()
    assert form.one("input", name="expires_on")["value"] == fields["expires_on"]
    assert "No tokens yet" in admin.get(TOKENS).text


@PLAIN_AND_HTMX
@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("", []),
        ("0", ["No limit for new devices"]),
        ("2500", ["At most 2,500 new devices per hour"]),
    ],
)
def test_list_shows_the_limit_of_a_token(
    admin: Visitor, htmx: bool, number: str, shown: list[str]
) -> None:
    page = create(admin, htmx=htmx, new_devices_per_hour=number)
    assert [node.text for node in rows(page)[0].all(class_="restriction")] == shown


@PLAIN_AND_HTMX
def test_token_can_require_a_device_identifier(app: Flask, admin: Visitor, htmx: bool) -> None:
    page = create(admin, htmx=htmx, requires_device_id="y")
    assert rows(page)[0].one(class_="restriction").text == "Requires a device identifier"
    headers = as_device(token_text(page), None)
    response = app.test_client().get("/api/v1/other", headers=headers)
    assert response.get_json(force=True)["code"] == "device_id_required"


def test_rejected_form_keeps_the_device_options(admin: Visitor) -> None:
    page = admin.change(NEW, TOKENS, name="", requires_device_id="y", new_devices_per_hour="7")
    form = page.form(TOKENS)
    assert form.one("details").get("open") is not None
    assert form.one("input", name="requires_device_id").get("checked") is not None
    assert form.one("input", name="new_devices_per_hour")["value"] == "7"


def test_form_error_is_linked_to_its_field(admin: Visitor) -> None:
    page = admin.change(NEW, TOKENS, name="box office", expires="custom", expires_on="2030-05-16")
    field = page.form(TOKENS).one("input", name="expires_on")
    assert field["aria-invalid"] == "true"
    descriptions = [page.root.one(id=name).text for name in field["aria-describedby"].split()]
    assert "The expiry date is in the past." in descriptions[-1]


def test_expiry_in_the_far_future_is_shown_as_a_date(admin: Visitor, db: Database) -> None:
    admin.change(NEW, TOKENS, name="forever")
    with db.write() as session:
        session.execute(update(ApiToken).values(expires_at=datetime.max.replace(tzinfo=UTC)))
    assert "9999-12-31 23:59:59 UTC" in admin.get(TOKENS).text


def test_creating_a_token_without_csrf_token_is_rejected(admin: Visitor) -> None:
    assert admin.post(TOKENS, name="box office").status == 400
    assert "No tokens yet" in admin.get(TOKENS).text


def test_markup_in_a_token_name_is_shown_as_text(admin: Visitor) -> None:
    page = create(admin, "<b onclick=x>'\"")
    assert page.root.all("b") == []
    assert names(page) == ["<b onclick=x>'\""]


# --- revoke ------------------------------------------------------------------------------------


@PLAIN_AND_HTMX
def test_revoked_token_is_denied_immediately(app: Flask, admin: Visitor, htmx: bool) -> None:
    page = create(admin)
    response = admin.submit(page, "/revoke", htmx=htmx)
    assert call(app, token_text(page)) == 401
    after = response if htmx else admin.follow(response)
    message = "The token “box office” is revoked. Requests with it are denied from now on."
    assert after.announced == message


@pytest.mark.database("sqlite")
def test_expired_token_is_listed_below_active_tokens(
    admin: Visitor, new_token: NewToken, fake_clock: FakeClock
) -> None:
    new_token(name="active")
    create(admin, "until tonight", expires="custom", expires_on="2030-05-17")
    fake_clock.set(NOON + timedelta(hours=11, minutes=59))
    admin.get(TOKENS)  # keeps the session alive
    fake_clock.set(NOON + timedelta(hours=12))
    page = admin.get(TOKENS)
    assert names(page) == ["active", "until tonight"]
    assert rows(page)[1].all("a") == []


def test_revoked_token_is_listed_below_active_tokens(admin: Visitor, new_token: NewToken) -> None:
    new_token(name="active")
    create(admin, "revoked soon")
    page = admin.get(TOKENS)
    [newest, _] = [row["id"].removeprefix("token-") for row in rows(page)]
    page = admin.submit(page, f"/{newest}/revoke", htmx=True)
    assert names(page) == ["active", "revoked soon"]
    assert rows(page)[1].one(class_="state revoked").text == "Revoked"
    assert rows(page)[1].all("a") == []


def test_revoking_a_new_token_hides_its_text(admin: Visitor) -> None:
    page = create(admin, htmx=True)
    assert token_text(page) not in admin.submit(page, "/revoke", htmx=True).html


def test_revoke_dialog_names_the_token(admin: Visitor, new_token: NewToken) -> None:
    new_token(name="ops")
    dialog = admin.open_form(admin.get(TOKENS), "/revoke", htmx=True)
    assert dialog.root.one("h2").text == "Revoke the token “ops”?"


def test_revoking_is_idempotent(admin: Visitor) -> None:
    page = create(admin)
    admin.submit(page, "/revoke")
    before = rows(admin.get(TOKENS))[0].text
    assert admin.submit(page, "/revoke").status == 303
    assert rows(admin.get(TOKENS))[0].text == before


def test_unknown_token_is_not_found(admin: Visitor) -> None:
    token = admin.get(NEW).form(TOKENS).one("input", name="csrf_token")["value"]
    assert admin.post(f"{TOKENS}/999/revoke", csrf_token=token).status == 404


def revoke_url(page: Page) -> str:
    [url] = [a["href"] for a in page.root.all("a") if (a.get("href") or "").endswith("/revoke")]
    return url


def test_revoking_without_csrf_token_is_rejected(app: Flask, admin: Visitor) -> None:
    page = create(admin)
    action = revoke_url(page)
    assert admin.post(action).status == 400
    assert call(app, token_text(page)) == 200


def test_get_request_does_not_revoke(app: Flask, admin: Visitor) -> None:
    page = create(admin)
    assert admin.get(revoke_url(page)).status == 200
    assert call(app, token_text(page)) == 200


def test_list_shows_when_a_token_was_last_used(app: Flask, admin: Visitor) -> None:
    page = create(admin)
    assert rows(page)[0].one("td", class_="used").text == "Last used never"
    call(app, token_text(page))
    app.extensions["apidevices"].activity.flush()
    used = rows(admin.get(TOKENS))[0].one("td", class_="used").one("time")
    assert used["datetime"] == "2030-05-17T12:00:00.000Z"
