"""Functions of the devices package, called without a request."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from apidevices import devices, tokens
from apidevices.database import Database
from apidevices.errors import DeviceNotFound, InvalidInput
from apidevices.identity import DeviceIdentity
from apidevices.listing import PAGE_SIZE
from apidevices.models import AuditEntry, Device
from tests.conftest import NOON, Register

LATER = NOON + timedelta(hours=1)


def audit_log(db: Database, action: str) -> list[AuditEntry]:
    with db.read() as session:
        query = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
        return list(session.scalars(query))


# --- renaming ----------------------------------------------------------------------------------


def test_name_replaces_identifier_as_display_name(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    assert devices.get(db, device_id).display_name == "phone-1"
    devices.rename(db, device_id, "Box Office", actor="ann", now=NOON)
    renamed = devices.get(db, device_id)
    assert (renamed.display_name, renamed.identifier) == ("Box Office", "phone-1")


def test_empty_name_restores_identifier_as_display_name(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.rename(db, device_id, "Box Office", actor="ann", now=NOON)
    devices.rename(db, device_id, "  ", actor="ann", now=NOON)
    assert devices.get(db, device_id).display_name == "phone-1"


def test_whitespace_and_control_characters_in_a_name_are_cleaned(
    db: Database, register: Register
) -> None:
    renamed = devices.rename(db, register("phone-1"), " Box \n\x00Office ", actor="ann", now=NOON)
    assert renamed.name == "Box Office"


def test_name_longer_than_255_characters_is_rejected(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.rename(db, device_id, "é" * 255, actor="ann", now=NOON)
    with pytest.raises(InvalidInput, match="255"):
        devices.rename(db, device_id, "é" * 256, actor="ann", now=NOON)
    assert devices.get(db, device_id).name == "é" * 255


def test_name_without_visible_characters_is_rejected(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    with pytest.raises(InvalidInput, match="no visible characters"):
        devices.rename(db, device_id, "\u200b\u3164", actor="ann", now=NOON)
    assert devices.get(db, device_id).name is None


def test_rename_is_audited_once(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    for _ in range(2):
        devices.rename(db, device_id, "Box Office", actor="ann", now=LATER)
    [entry] = audit_log(db, "device.renamed")
    assert (entry.actor, entry.subject, entry.at) == ("ann", f"device:{device_id}", LATER)
    assert entry.details == {"old": None, "new": "Box Office"}


# --- blocking ----------------------------------------------------------------------------------


def blocked_fields(device: Device) -> tuple[object, ...]:
    return device.status, device.blocked_at, device.block_reason, device.blocked_by


def test_block_stores_time_reason_and_actor(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.block(db, device_id, reason=" stolen\n", actor="ann", now=LATER)
    device = devices.get(db, device_id)
    assert blocked_fields(device) == ("blocked", LATER, "stolen", "ann")
    assert device.activity.last_activity_at == LATER
    assert device.activity.last_active_at == NOON


def test_block_is_idempotent(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.block(db, device_id, reason="stolen", actor="ann", now=LATER)
    devices.block(db, device_id, actor="bob", now=LATER + timedelta(hours=1))
    device = devices.get(db, device_id)
    assert blocked_fields(device) == ("blocked", LATER, "stolen", "ann")
    assert len(audit_log(db, "device.blocked")) == 1


def test_unblock_clears_all_block_fields(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.block(db, device_id, reason="lost", actor="ann", now=LATER)
    devices.unblock(db, device_id, actor="ann", now=LATER)
    device = devices.get(db, device_id)
    assert blocked_fields(device) == ("active", None, None, None)
    assert device.activity.last_activity_at == NOON


def test_unblock_of_active_device_changes_nothing(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.unblock(db, device_id, actor="ann", now=LATER)
    assert devices.get(db, device_id).activity.last_activity_at == NOON
    assert audit_log(db, "device.unblocked") == []


def test_block_and_unblock_are_audited(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.block(db, device_id, reason="lost", actor="ann", now=NOON)
    devices.unblock(db, device_id, actor="bob", now=LATER)
    [blocked] = audit_log(db, "device.blocked")
    [unblocked] = audit_log(db, "device.unblocked")
    assert (blocked.actor, blocked.at, blocked.details) == ("ann", NOON, {"reason": "lost"})
    assert (unblocked.actor, unblocked.at, unblocked.details) == ("bob", LATER, {})


def test_report_from_blocked_device_changes_nothing(db: Database, register: Register) -> None:
    device_id = register("phone-1", model="iPhone 14")
    devices.block(db, device_id, actor="ann", now=LATER)
    token = tokens.issue(db, "test", actor="ann", now=NOON)[0]
    identity = DeviceIdentity("phone-1", {"model": "iPhone 15"})
    reported = devices.report(db, identity, token_id=token.id, address=None, now=LATER)
    assert (reported.device_id, reported.blocked) == (device_id, True)
    assert devices.get(db, device_id).model == "iPhone 14"
    assert [entry.kind for entry in devices.history(db, device_id)] == ["blocked", "registered"]


def test_reason_longer_than_1000_characters_is_rejected(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    with pytest.raises(InvalidInput, match="1,000"):
        devices.block(db, device_id, reason="x" * 1001, actor="ann", now=LATER)
    assert devices.get(db, device_id).status == "active"
    devices.block(db, device_id, reason="x" * 1000, actor="ann", now=LATER)
    assert devices.get(db, device_id).block_reason == "x" * 1000


# --- lookups and history -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda db: devices.get(db, 7), id="get"),
        pytest.param(lambda db: devices.by_identifier(db, "phone-1"), id="by identifier"),
        pytest.param(lambda db: devices.rename(db, 7, "x", actor="ann", now=NOON), id="rename"),
        pytest.param(lambda db: devices.block(db, 7, actor="ann", now=NOON), id="block"),
        pytest.param(lambda db: devices.unblock(db, 7, actor="ann", now=NOON), id="unblock"),
    ],
)
def test_unknown_device_raises_not_found(db: Database, act: Callable[[Database], Device]) -> None:
    with pytest.raises(DeviceNotFound):
        act(db)


def test_identifiers_are_case_sensitive(db: Database, register: Register) -> None:
    assert register("phone-1") != register("PHONE-1")
    assert devices.by_identifier(db, "PHONE-1").identifier == "PHONE-1"


def test_history_that_exactly_fills_a_page_has_no_next_page(
    db: Database, register: Register
) -> None:
    for number in range(PAGE_SIZE):
        device_id = register("phone-1", application_version=str(number))
    entries, older = devices.history_page(db, device_id)
    assert (len(entries), older) == (PAGE_SIZE, None)
    register("phone-1", application_version="one more")
    entries, older = devices.history_page(db, device_id)
    assert (len(entries), older) == (PAGE_SIZE, devices.HistoryCursor(entries[-1].id))
    [first] = devices.history_page(db, device_id, older)[0]
    assert first.kind == "registered"
