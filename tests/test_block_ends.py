"""Blocks with an end: requests, what is recorded, and several changes at the same time."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import audit, clock, devices, operations, signals
from apidevices.database import Database
from apidevices.devices import Matching, Until, ends, records
from apidevices.errors import InvalidInput
from apidevices.listing import Filters
from apidevices.models import Device
from tests.conftest import (
    DEVICE,
    DEVICES,
    NOON,
    VERIFY,
    Administrator,
    FakeClock,
    Register,
    as_device,
)

END = NOON + timedelta(hours=1)
LATER = END + timedelta(minutes=1)
TICK = timedelta(microseconds=1)


def block(db: Database, device_id: int, until: datetime | None = END, **options: Any) -> Device:
    options.setdefault("actor", "ann")
    options.setdefault("now", NOON)
    return devices.block(db, device_id, until=until, **options)


def kinds(db: Database, device_id: int) -> list[tuple[str, datetime, str | None]]:
    """Return the kind, time and actor of the entries after the registration, oldest first."""
    entries = devices.history(db, device_id)[-2::-1]
    return [(entry.kind, entry.at, entry.actor) for entry in entries]


BLOCKED = ("blocked", NOON, "ann")
ENDED = ("unblocked", END, audit.END_OF_BLOCK)


# --- requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [DEVICE, VERIFY])
def test_device_is_denied_until_the_end_and_served_from_then_on(
    client: FlaskClient, administrator: Administrator, token: str, fake_clock: FakeClock, path: str
) -> None:
    fake_clock.set(NOON)
    headers = as_device(token)
    assert client.get(path, headers=headers).status_code == 200
    url = f"{DEVICES}/{administrator.device()['id']}/block"
    blocked = administrator.request("POST", url, json={"until": "2030-05-17T15:00:00+02:00"})
    assert blocked.get_json()["blocked_until"] == "2030-05-17T13:00:00.000000Z"
    for moment, status in ((NOON, 403), (END - TICK, 403), (END, 200), (LATER, 200)):
        fake_clock.set(moment)
        assert client.get(path, headers=headers).status_code == status


def test_changed_details_are_stored_after_the_end(
    client: FlaskClient, administrator: Administrator, db: Database, token: str,
    register: Register, fake_clock: FakeClock,
) -> None:  # fmt: skip
    device_id = register("phone-1")
    block(db, device_id)
    fake_clock.set(LATER)
    assert client.get(DEVICE, headers=as_device(token, model="X")).status_code == 200
    assert kinds(db, device_id) == [BLOCKED, ENDED, ("changed", LATER, None)]


# --- what is recorded --------------------------------------------------------------------------


def test_ended_block_is_recorded_at_its_end(db: Database, register: Register) -> None:
    device_id, other = register("phone-1"), register("phone-2")
    block(db, device_id, reason="lost")
    block(db, other, None)
    assert devices.end_blocks(db, END - TICK) == 0
    assert devices.end_blocks(db, END) == 1
    assert devices.end_blocks(db, END) == 0
    assert kinds(db, device_id) == [BLOCKED, ENDED]
    device = devices.get(db, device_id)
    assert (device.status, device.blocked_until, device.block_reason) == ("active", None, None)
    assert device.activity.last_activity_at == device.activity.last_active_at == NOON
    entry = audit.latest(db, 1)[0]
    assert (entry.action, entry.at, entry.actor) == ("device.unblocked", END, audit.END_OF_BLOCK)
    assert devices.get(db, other).status == "blocked"


@pytest.mark.parametrize("view", ["list", "filtered", "device", "history"])
def test_ended_block_is_shown_as_ended_without_a_background_thread(
    administrator: Administrator, db: Database, register: Register, fake_clock: FakeClock, view: str
) -> None:
    device_id = register("phone-1")
    block(db, device_id)
    fake_clock.set(END)
    if view == "history":
        entries = administrator.request("GET", f"{DEVICES}/{device_id}/history").get_json()
        assert [entry["kind"] for entry in entries["history"]][:1] == ["unblocked"]
        return
    path = {"list": "", "filtered": "?status=active", "device": f"/{device_id}"}[view]
    body = administrator.request("GET", f"{DEVICES}{path}").get_json()
    [device] = [body] if view == "device" else body["devices"]
    assert (device["status"], device["blocked_at"]) == ("active", None)
    assert device["last_activity_at"] == device["last_active_at"]


def test_many_ended_blocks_are_recorded_in_steps(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "STEP", 2)
    monkeypatch.setattr(records, "MAX_ENTRIES", 1)
    ids = [register(f"phone-{number}") for number in range(3)]
    devices.block_all(db, ids, reason=None, until=END, actor="ann", now=NOON)
    assert devices.end_blocks(db, END) == 3
    assert [kinds(db, device_id) for device_id in ids] == [[BLOCKED, ENDED]] * 3
    actions = [(entry.action, entry.details.get("number")) for entry in audit.latest(db, 2)]
    assert actions == [("device.unblocked", None), ("devices.unblocked", 2)]


def test_end_of_a_block_sends_the_signal(app: Flask, db: Database, register: Register) -> None:
    block(db, register("phone-1"))
    received = []

    def receive(_: Flask, device: Device) -> None:
        received.append((device.identifier, device.status))

    with app.app_context(), signals.device_unblocked.connected_to(receive, sender=app):
        devices.end_blocks(db, END)
    assert received == [("phone-1", "active")]


def test_host_whose_clock_is_ahead_does_not_end_the_blocks_of_others(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "MAX_SKEW", timedelta(seconds=5))
    block(db, register("phone-1"))
    assert devices.end_blocks(db, LATER) == 0  # the database's clock is years before the end


# --- changes -----------------------------------------------------------------------------------


def test_blocking_again_keeps_the_end(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    block(db, device_id, reason="lost")
    again = devices.block(db, device_id, reason="other", actor="bob", now=NOON)
    assert (again.blocked_until, again.block_reason) == (END, "lost")
    assert kinds(db, device_id) == [BLOCKED]


@pytest.mark.parametrize("until", [LATER, None])
def test_blocking_again_with_an_end_changes_it(
    db: Database, register: Register, until: datetime | None
) -> None:
    device_id = register("phone-1")
    block(db, device_id, reason="lost")
    changed = block(db, device_id, until, reason="stolen", actor="bob", now=NOON + TICK)
    assert (changed.blocked_at, changed.blocked_until) == (NOON, until)
    assert (changed.block_reason, changed.blocked_by) == ("stolen", "ann")
    assert kinds(db, device_id) == [BLOCKED, ("blocked", NOON + TICK, "bob")]
    block(db, device_id, until, actor="bob", now=NOON + TICK)
    assert len(kinds(db, device_id)) == 2


@pytest.mark.parametrize("until", [NOON, NOON - TICK, NOON.replace(tzinfo=None), NOON.max])
def test_invalid_end_is_rejected(db: Database, register: Register, until: datetime) -> None:
    device_id = register("phone-1")
    for change in (
        lambda: block(db, device_id, until),
        lambda: devices.block_all(db, [device_id], reason="", until=until, actor="a", now=NOON),
    ):
        with pytest.raises(InvalidInput) as error:
            change()
        assert error.value.field == "until"
    assert devices.get(db, device_id).status == "active"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda db, id_: block(db, id_, None, now=LATER), id="single"),
        pytest.param(
            lambda db, id_: devices.block_all(db, [id_], reason=None, actor="ann", now=LATER),
            id="bulk",
        ),
    ],
)
def test_blocking_after_the_end_starts_a_new_block(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Database, int], object],
) -> None:  # fmt: skip
    device_id = register("phone-1")
    block(db, device_id)
    monkeypatch.setattr(ends, "end_blocks_if_possible", lambda *_: None)  # not swept yet
    change(db, device_id)
    assert kinds(db, device_id) == [BLOCKED, ENDED, ("blocked", LATER, "ann")]
    device = devices.get(db, device_id)
    assert (device.blocked_at, device.blocked_until, device.activity.blocked) == (LATER, None, True)


def test_unblocking_after_the_end_records_the_end_only(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    block(db, device_id)
    devices.unblock(db, device_id, actor="bob", now=LATER)
    assert kinds(db, device_id) == [BLOCKED, ENDED]


def test_bulk_unblocking_removes_the_end(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    block(db, device_id)
    devices.unblock_all(db, Matching(Filters(), 1), actor="bob", now=NOON)
    assert kinds(db, device_id) == [BLOCKED, ("unblocked", NOON, "bob")]
    assert devices.end_blocks(db, LATER) == 0


def test_concurrent_sweeps_blocks_and_unblocks_leave_one_consistent_state(
    db: Database, register: Register
) -> None:
    ids = [register(f"phone-{number}") for number in range(6)]
    devices.block_all(db, ids, reason=None, until=END, actor="ann", now=NOON)
    with ThreadPoolExecutor(6) as pool:
        calls: list[Future[Any]] = [pool.submit(devices.end_blocks, db, END) for _ in range(3)]
        calls += [pool.submit(block, db, ids[0], None, now=LATER)]
        calls += [pool.submit(devices.unblock, db, ids[1], actor="bob", now=LATER)]
        for call in calls:
            call.result()
    devices.end_blocks(db, END)
    assert kinds(db, ids[0]) == [BLOCKED, ENDED, ("blocked", LATER, "ann")]
    assert [kinds(db, device_id) for device_id in ids[1:]] == [[BLOCKED, ENDED]] * 5
    assert [devices.get(db, device_id).status for device_id in ids[:2]] == ["blocked", "active"]


def test_until_unchanged_means_no_end_for_a_new_block(db: Database, register: Register) -> None:
    blocked = devices.block(db, register("phone-1"), until=Until.UNCHANGED, actor="a", now=NOON)
    assert blocked.blocked_until is None


@pytest.mark.parametrize("is_bulk", [False, True])
def test_undoing_a_new_block_does_not_return_to_one_that_has_ended(
    db: Database, register: Register, is_bulk: bool
) -> None:
    device_id, other = register("phone-1"), register("phone-2")
    block(db, device_id)
    if is_bulk:
        arguments = {"reason": None, "until": None}
        ids = {device_id, other}
        operations.begin(db, "block", ids, arguments=arguments, actor="ann", now=LATER)
    else:
        change = partial(devices.block, db, device_id)
        operations.record(db, "block", change, actor="ann", now=LATER)
    latest = operations.latest(db, "ann", LATER)
    assert latest is not None
    undone = operations.undo(db, latest.id, actor="ann", now=LATER)
    assert (undone.changed, undone.unchanged) == (latest.total, 0)
    assert kinds(db, device_id)[2:] == [("blocked", LATER, "ann"), ("unblocked", LATER, "ann")]
    for found in (device_id, other):
        device = devices.get(db, found)
        assert (device.blocked_at, device.activity.blocked) == (None, False)


def test_undoing_an_unblock_does_not_return_to_a_block_that_would_have_ended(
    db: Database, register: Register
) -> None:
    device_id = register("phone-1")
    block(db, device_id)
    unblocked = END - TICK
    begun = operations.begin(db, "unblock", {device_id}, arguments={}, actor="bob", now=unblocked)
    undone = operations.undo(db, begun.id, actor="bob", now=END)
    assert (undone.changed, undone.unchanged) == (0, 1)
    assert kinds(db, device_id) == [BLOCKED, ("unblocked", unblocked, "bob")]
