"""Sign-ins, sign-outs and password changes in the audit log."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from apidevices import limits
from apidevices.database import DatabaseUnavailable
from apidevices.standalone.accounts import sign_in_log
from tests.conftest import NOON, FakeClock, state_of
from tests.pages.conftest import ANN, PASSWORD
from tests.pages.sign_in import KNOWN, STRANGER, audit_log, guess, make_hashes_cheap, sign_in
from tests.pages.visitor import Visitor

NEW = "another horse battery"

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture
def app(app: Flask) -> Flask:
    make_hashes_cheap(app)
    with state_of(app).db.write() as session:
        for entry in audit_log(app):
            session.delete(entry)
    return app


def entries(app: Flask) -> list[tuple[str, str, str, object]]:
    return [(entry.action, entry.actor, entry.subject, entry.details) for entry in audit_log(app)]


def test_sign_in_is_recorded(app: Flask) -> None:
    sign_in(app, "198.51.100.7")
    assert entries(app) == [("user.signed_in", ANN, "user:1", {"address": "198.51.100.7"})]


def test_every_wrong_password_is_recorded(app: Flask) -> None:
    guess(app, STRANGER, times=3)
    details = {"address": STRANGER, "email": ANN}
    assert entries(app) == [("user.sign_in_failed", "not signed in", "user:1", details)] * 3


def test_unknown_account_is_recorded_without_the_typed_email(app: Flask) -> None:
    guess(app, STRANGER, "nobody@example.org")
    [entry] = entries(app)
    subject, details = f"address:{STRANGER}", {"address": STRANGER}
    assert entry == ("user.sign_in_failed", "not signed in", subject, details)


def test_refused_attempts_are_recorded_once_a_minute(app: Flask, fake_clock: FakeClock) -> None:
    guess(app, STRANGER, times=10)
    for second in range(0, 80, 20):
        fake_clock.set(NOON + timedelta(seconds=second))
        assert guess(app, STRANGER, times=5) == [429] * 5
    limited = [entry for entry in audit_log(app) if entry.action == "user.sign_in_limited"]
    assert [entry.at for entry in limited] == [NOON, NOON + timedelta(seconds=60)]
    details = {"address": STRANGER, "email": ANN, "limit": "sign_in_account"}
    assert limited[0].details == details


def test_refused_attempts_from_many_addresses_have_a_common_limit(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = limits.Limit("sign_in_limited_entries", 2, timedelta(minutes=1))
    monkeypatch.setattr(sign_in_log, "_ENTRIES_PER_MINUTE", few)
    unknown = "nobody@example.org"
    guess(app, STRANGER, unknown, times=10)
    for number in range(4):
        assert guess(app, f"198.51.100.{number}", unknown) == [429]
    guess(app, STRANGER, times=10)
    assert guess(app, "198.51.100.9") == [429]
    limited = [entry for entry in audit_log(app) if entry.action == "user.sign_in_limited"]
    assert [entry.subject for entry in limited] == [
        "address:198.51.100.0",
        "address:198.51.100.1",
        "user:1",  # entries about an account don't count
    ]


def test_sign_out_is_recorded(app: Flask, admin: Visitor) -> None:
    admin.change("/settings/api-devices", "/logout")
    assert entries(app) == [("user.signed_out", ANN, "user:1", {"address": KNOWN})]


def test_password_change_is_recorded(app: Flask, admin: Visitor) -> None:
    page = "/settings/account"
    new: dict[str, Any] = {"new_password": NEW, "new_password_confirm": NEW}
    admin.change(page, page, password="not the password", **new)
    admin.change(page, page, password=PASSWORD, **new)
    assert [entry.action for entry in audit_log(app)] == [
        "user.password_check_failed",
        "user.password_changed",
    ]


def refuse_writes(app: Flask) -> None:
    """Make the database behave as on a full disk."""
    engine = state_of(app).db.engine

    @event.listens_for(engine, "connect")
    def _connect(connection: object, _record: object) -> None:
        connection.execute("PRAGMA query_only = 1")  # type: ignore[attr-defined]

    engine.dispose()


def test_sign_in_and_sign_out_work_without_writes(app: Flask) -> None:
    refuse_writes(app)
    visitor = Visitor(app.test_client())
    response = visitor.change("/login", "/login", email=ANN, password=PASSWORD)
    assert response.location == "/settings/api-devices"
    page = visitor.get(visitor.change(response.location, "/logout").location)
    assert "could not be ended" in page.announced
    assert visitor.get("/settings/api-devices").status == 303
    assert entries(app) == []


def test_guesses_from_new_addresses_are_refused_while_they_cannot_be_counted(app: Flask) -> None:
    refuse_writes(app)
    assert guess(app, STRANGER, times=3)[1:] == [429, 429]
    assert sign_in(app, KNOWN).status == 302


def test_wrong_passwords_do_not_use_the_disk_reserve(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise DatabaseUnavailable("The disk is full.")

    monkeypatch.setattr(state_of(app).db.reserve, "require", refuse)
    assert guess(app, STRANGER, times=11) == [200] * 10 + [429]
    assert entries(app) == []
    assert sign_in(app, KNOWN).status == 302
    assert [entry.action for entry in audit_log(app)] == ["user.signed_in"]
