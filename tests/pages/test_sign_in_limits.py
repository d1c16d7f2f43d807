"""Limits on failed sign-ins, by account and by address."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from tests.conftest import NOON, FakeClock, MakeApp, state_of
from tests.pages.conftest import ANN, PASSWORD, SECRET_KEY, create_account
from tests.pages.sign_in import (
    KNOWN,
    STRANGER,
    WRONG,
    guess,
    make_hashes_cheap,
    sign_in,
    visitor_from,
)
from tests.pages.visitor import Visitor

PER_ACCOUNT = 10
PER_ADDRESS = 30
ACCOUNT = "/settings/account"


@pytest.fixture
def app(app: Flask) -> Flask:
    make_hashes_cheap(app)
    return app


def addresses(number: int) -> list[str]:
    return [f"198.51.100.{index}" for index in range(number)]


def test_account_limit_counts_over_all_addresses_and_processes(
    app: Flask, make_app: MakeApp
) -> None:
    other = make_app(SECRET_KEY=SECRET_KEY)
    make_hashes_cheap(other)
    apps = [app, other] * 6
    statuses = [guess(apps[index], address)[0] for index, address in enumerate(addresses(12))]
    assert statuses == [200] * PER_ACCOUNT + [429] * 2


def test_address_limit_counts_over_all_accounts_and_processes(
    app: Flask, make_app: MakeApp
) -> None:
    other = make_app(SECRET_KEY=SECRET_KEY)
    make_hashes_cheap(other)
    for index in range(PER_ADDRESS):
        target = [app, other][index % 2]
        assert guess(target, STRANGER, f"user{index}@example.org") == [200]
    assert guess(app, STRANGER, "one-more@example.org") == [429]
    assert guess(other, STRANGER, "one-more@example.org") == [429]
    assert guess(other, "198.51.100.1", "one-more@example.org") == [200]


def test_right_password_is_refused_from_a_new_address_once_the_limit_is_reached(app: Flask) -> None:
    guess(app, STRANGER, times=PER_ACCOUNT)
    assert sign_in(app, "198.51.100.1").status == 429


def test_owner_signs_in_from_a_known_address_after_strangers_reached_the_limit(app: Flask) -> None:
    assert guess(app, STRANGER, times=PER_ACCOUNT + 1)[-1] == 429
    assert sign_in(app, KNOWN).status == 302


@pytest.mark.database("sqlite")
def test_wrong_passwords_from_a_known_address_are_limited(app: Flask) -> None:
    assert guess(app, KNOWN, times=PER_ACCOUNT + 1) == [200] * PER_ACCOUNT + [429]


def test_address_is_known_after_the_first_sign_in_from_it(app: Flask) -> None:
    assert sign_in(app, "198.51.100.1").status == 302
    guess(app, STRANGER, times=PER_ACCOUNT)
    assert sign_in(app, "198.51.100.1").status == 302
    assert sign_in(app, "198.51.100.2").status == 429


def test_account_keeps_its_twenty_latest_addresses(app: Flask, fake_clock: FakeClock) -> None:
    for minute, address in enumerate(addresses(21)):
        fake_clock.set(NOON + timedelta(minutes=minute))
        sign_in(app, address)
    with state_of(app).db.connect() as connection:
        found = connection.exec_driver_sql("SELECT address FROM apidevices_user_addresses")
        assert {row.address for row in found} == set(addresses(21)[1:])


@pytest.mark.database("sqlite")
def test_ipv6_addresses_count_by_their_64_bit_network(app: Flask) -> None:
    sign_in(app, "2001:db8:1:2::1")
    guess(app, STRANGER, times=PER_ACCOUNT)
    assert sign_in(app, "2001:db8:1:2:ffff::9").status == 302
    assert sign_in(app, "2001:db8:1:3::1").status == 429


@pytest.mark.database("sqlite")
def test_forwarded_address_counts_only_behind_a_trusted_proxy(
    make_app: MakeApp, app: Flask
) -> None:
    proxied = make_app(SECRET_KEY=SECRET_KEY, APIDEVICES_PROXIES="1")
    guess(app, STRANGER, times=PER_ACCOUNT)
    for target, status in ((app, 429), (proxied, 302)):
        visitor = visitor_from(target, STRANGER)
        visitor.client.environ_base["HTTP_X_FORWARDED_FOR"] = KNOWN
        page = visitor.change("/login", "/login", email=ANN, password=PASSWORD)
        assert page.status == status


@pytest.mark.parametrize("email", [ANN, "nobody@example.org"])
def test_refusal_is_the_same_for_unknown_accounts(app: Flask, email: str) -> None:
    *wrong, refused = guess(app, STRANGER, email, times=PER_ACCOUNT + 1)
    assert (set(wrong), refused) == ({200}, 429)
    page = sign_in(app, STRANGER, email=email, password=WRONG)
    assert page.headers["Retry-After"] == "90"
    assert page.root.one(role="alert").text == (
        "Too many failed sign-ins. Try again in 90 seconds."
    )
    assert page.form("/login").one("input", name="email")["value"] == email


def test_spellings_of_an_email_address_share_one_limit(app: Flask) -> None:
    guess(app, STRANGER, ANN, times=PER_ACCOUNT)
    assert guess(app, STRANGER, ANN.upper()) == [429]
    guess(app, KNOWN, "nobody@example.org", times=PER_ACCOUNT)
    assert guess(app, KNOWN, "NOBODY@example.org") == [429]


@pytest.mark.database("sqlite")
def test_sign_ins_do_not_count_towards_the_limit(app: Flask) -> None:
    for _ in range(2 * PER_ACCOUNT):
        assert sign_in(app, KNOWN).status == 302


@pytest.mark.database("sqlite")
def test_limit_recovers_evenly(app: Flask, fake_clock: FakeClock) -> None:
    guess(app, STRANGER, times=PER_ACCOUNT)
    fake_clock.set(NOON + timedelta(seconds=90))
    assert guess(app, STRANGER, times=2) == [200, 429]


def test_no_email_address_as_typed_is_stored(app: Flask) -> None:
    guess(app, STRANGER, "Tr0ub4dor@typed-password")
    with state_of(app).db.connect() as connection:
        for table in ("rate_limits", "audit_log"):
            rows = connection.exec_driver_sql(f"SELECT * FROM apidevices_{table}").all()  # noqa: S608
            assert "typed-password" not in str(rows).lower()


@pytest.mark.database("sqlite")
def test_current_password_on_the_account_page_is_limited(app: Flask, admin: Visitor) -> None:
    new: dict[str, Any] = {"new_password": "new battery", "new_password_confirm": "new battery"}
    for _ in range(PER_ACCOUNT):
        assert admin.change(ACCOUNT, ACCOUNT, password=WRONG, **new).status == 200
    page = admin.change(ACCOUNT, ACCOUNT, password=PASSWORD, **new)
    assert page.status == 429
    assert "Too many wrong passwords. Try again in 90 seconds." in page.text
    assert sign_in(app, KNOWN).status == 302  # with the password that has not changed


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("password", ["x" * 5_000, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 4_000])
def test_very_long_password_is_wrong(app: Flask, password: str) -> None:
    page = sign_in(app, KNOWN, password=password)
    assert page.root.one(role="alert").text == "The email address or password is wrong."


@pytest.mark.database("sqlite")
def test_limits_of_accounts_are_independent(app: Flask) -> None:
    create_account(app, "bob@example.org")
    guess(app, STRANGER, times=PER_ACCOUNT + 1)
    assert sign_in(app, STRANGER, email="bob@example.org").status == 302
