"""Pairs of devices are suggested if one began as the other, which is alike, fell silent."""

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from flask import Flask

from apidevices import devices, tokens
from apidevices.identity import DeviceIdentity
from tests.conftest import Administrator, state_of

TABLET = {"manufacturer": "Samsung", "model": "Tab 5", "os": "Android", "os_version": "15"}
HOME = "192.0.2.1"


class AddDevice(Protocol):
    """Add a device that called from one time to another, in days before now."""

    def __call__(
        self, identifier: str, first: float, last: float, address: str = HOME, **details: str
    ) -> int: ...


@pytest.fixture
def token_id(app: Flask) -> int:
    return tokens.issue(state_of(app).db, "tablets", actor="ann", now=datetime.now(UTC))[0].id


@pytest.fixture
def add(app: Flask, token_id: int) -> AddDevice:
    state, now = state_of(app), datetime.now(UTC)

    def device(
        identifier: str, first: float, last: float, address: str = HOME, **details: str
    ) -> int:
        reported = devices.report(
            state.db,
            DeviceIdentity(identifier, TABLET | details),
            token_id=token_id,
            address=address,
            now=now - timedelta(days=first),
        )
        at = now - timedelta(days=last)
        state.activity.record_request(reported.device_id, token_id, at, upload=False)
        state.activity.flush()
        return reported.device_id

    return device


def suggestions(app: Flask, administrator: Administrator) -> list[dict[str, Any]]:
    pruned = app.test_cli_runner().invoke(args=["apidevices", "prune"])
    assert pruned.exit_code == 0, pruned.output
    response = administrator.request("GET", "/api/v1/suggestions")
    found: list[dict[str, Any]] = response.get_json()["suggestions"]
    return found


MINUTES = 1 / (24 * 60)


def test_device_that_began_as_another_fell_silent_is_suggested(
    app: Flask, administrator: Administrator, add: AddDevice
) -> None:
    old = add("old", 90, 4 + 5 * MINUTES)
    new = add("new", 4, 0)
    [pair] = suggestions(app, administrator)
    assert (pair["kind"], pair["device_id"], pair["other_id"]) == ("twin", new, old)
    assert (pair["identifier"], pair["other_identifier"]) == ("new", "old")
    assert (pair["gap_seconds"], pair["address"]) == (300, HOME)
    assert pair["token"]["name"] == "tablets"


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((90, 4.5, {}), (4, 0, {})),
        ((90, 1 + MINUTES, {}), (1, 0, {})),
        ((90, 4 + MINUTES, {}), (4, 3.5, {})),
        ((90, 3, {}), (4, 0, {})),
        ((90, 4 + MINUTES, {}), (4, 0, {"model": "Tab 6"})),
        ((90, 4 + MINUTES, {}), (4, 0, {"application": "Kiosk"})),
        ((90, 4 + MINUTES, {}), (4, 0, {"os_version": "14"})),
    ],
    ids=["gap", "not settled", "silent", "overlap", "model", "application", "older system"],
)
def test_device_that_does_not_fit_is_not_suggested(
    app: Flask, administrator: Administrator, add: AddDevice, old: Any, new: Any
) -> None:
    add("old", *old[:2], **old[2])
    add("new", *new[:2], **new[2])
    assert suggestions(app, administrator) == []


@pytest.mark.database("sqlite")
def test_device_with_another_name_is_not_suggested(
    app: Flask, administrator: Administrator, add: AddDevice
) -> None:
    add("old", 90, 4 + MINUTES)
    add("new", 4, 0)
    administrator.rename("Door", "old")
    administrator.rename("Bar", "new")
    assert suggestions(app, administrator) == []


def test_ambiguous_pairs_are_suggested_only_if_networks_tell_them_apart(
    app: Flask, administrator: Administrator, add: AddDevice
) -> None:
    for number in range(3):
        add(f"old-{number}", 90, 4 + 5 * MINUTES, f"192.0.2.{number}")
    new = add("new", 4, 0, "192.0.2.1")
    add("other", 4, 0, "203.0.113.1")
    [pair] = suggestions(app, administrator)
    assert (pair["device_id"], pair["other_id"]) == (new, 2)


@pytest.mark.database("sqlite")
def test_identical_devices_in_one_network_are_not_suggested(
    app: Flask, administrator: Administrator, add: AddDevice
) -> None:
    for number in range(3):
        add(f"old-{number}", 90, 4 + 5 * MINUTES)
    add("new", 4, 0)
    assert suggestions(app, administrator) == []


def test_suggestion_is_withdrawn_when_the_old_device_calls_again(
    app: Flask, administrator: Administrator, add: AddDevice
) -> None:
    add("old", 90, 4 + MINUTES)
    add("new", 4, 0)
    assert suggestions(app, administrator)
    add("old", 0, 0)
    assert suggestions(app, administrator) == []


def test_dismissed_pair_is_not_suggested_again(
    app: Flask, administrator: Administrator, add: AddDevice
) -> None:
    add("old", 90, 4 + MINUTES)
    add("new", 4, 0)
    [pair] = suggestions(app, administrator)
    path = f"/api/v1/devices/{pair['other_id']}/marks/{pair['id']}/dismiss"
    assert administrator.request("POST", path).get_json() == {"marks": []}
    assert suggestions(app, administrator) == []


@pytest.mark.database("sqlite")
def test_command_lists_the_suggestions(
    app: Flask, administrator: Administrator, add: AddDevice
) -> None:
    add("old", 90, 4 + MINUTES)
    add("new", 4, 0)
    suggestions(app, administrator)
    printed = app.test_cli_runner().invoke(args=["apidevices", "suggestions"]).output
    assert "new may be old" in printed
    for identifier in ("new", "old"):
        printed = app.test_cli_runner().invoke(args=["apidevices", "marks", identifier]).output
        assert "new may be old" in printed
