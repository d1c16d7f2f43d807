"""API tokens: issue, find and revoke."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from apidevices import tokens
from apidevices.database import Database
from apidevices.errors import APIDevicesError, TokenNotFound
from apidevices.models import AuditEntry, Base
from tests.conftest import NOON


def issue(db: Database, name: str = "box office", *scopes: str) -> str:
    return tokens.issue(db, name, scopes, actor="ann", now=NOON)[1]


def test_plain_text_token_is_not_stored(db: Database) -> None:
    text = issue(db)
    with db.connect() as connection:
        for table in Base.metadata.sorted_tables:
            for row in connection.execute(select(table)):
                assert text not in repr(row)
                assert text.encode() not in row._mapping.values()


def test_tokens_with_the_same_name_differ(db: Database) -> None:
    assert issue(db) != issue(db)


def test_token_scopes_are_deduplicated_and_ordered(db: Database) -> None:
    token, _ = tokens.issue(
        db, "x", ["devices:write", "devices:read", "devices:write"], actor="ann", now=NOON
    )
    assert token.scopes == ["devices:read", "devices:write"]


@pytest.mark.parametrize("name", ["", " \n", "x" * 256], ids=["empty", "blank", "too long"])
def test_invalid_token_name_is_rejected(db: Database, name: str) -> None:
    with pytest.raises(APIDevicesError):
        issue(db, name)


def test_unknown_scope_is_rejected_by_name(db: Database) -> None:
    with pytest.raises(APIDevicesError, match="'devices:eat'"):
        issue(db, "x", "devices:eat", "devices:read")


@pytest.mark.parametrize(
    ("expires_at", "message"),
    [(NOON, "past"), (NOON + timedelta(days=36_526), "100 years")],
    ids=["now", "in over 100 years"],
)
def test_expiry_in_the_past_or_too_far_ahead_is_rejected(
    db: Database, expires_at: datetime, message: str
) -> None:
    with pytest.raises(APIDevicesError, match=message):
        tokens.issue(db, "x", expires_at=expires_at, actor="ann", now=NOON)


@pytest.mark.parametrize("number", [-1, 1_000_000_001])
def test_number_of_new_devices_out_of_range_is_rejected(db: Database, number: int) -> None:
    with pytest.raises(APIDevicesError, match="1,000,000,000"):
        tokens.issue(db, "x", new_devices_per_hour=number, actor="ann", now=NOON)


def test_audit_log_says_what_a_token_requires_and_limits(db: Database) -> None:
    tokens.issue(db, "x", requires_device_id=True, new_devices_per_hour=0, actor="ann", now=NOON)
    with db.read() as session:
        details = session.scalars(select(AuditEntry.details)).one()
    assert details["requires_device_id"] is True
    assert details["new_devices_per_hour"] == 0


def test_token_is_found_by_name_prefix_and_plain_text(db: Database) -> None:
    issue(db, "other")
    text = issue(db)
    token = tokens.find(db, text)
    assert token.prefix == text[: len(token.prefix)]
    assert tokens.find(db, "box office").id == tokens.find(db, token.prefix).id == token.id


def test_error_for_ambiguous_name_lists_the_prefixes(db: Database) -> None:
    first, second = issue(db), issue(db)
    with pytest.raises(APIDevicesError) as error:
        tokens.find(db, "box office")
    assert first[:10] in str(error.value)
    assert second[:10] in str(error.value)


def test_revoked_token_is_not_found(db: Database) -> None:
    token = tokens.find(db, issue(db))
    tokens.revoke(db, token.id, actor="ann", now=NOON)
    with pytest.raises(APIDevicesError):
        tokens.find(db, "box office")


def test_revoke_is_idempotent(db: Database) -> None:
    token = tokens.find(db, issue(db))
    tokens.revoke(db, token.id, actor="ann", now=NOON)
    again = tokens.revoke(db, token.id, actor="bob", now=NOON + timedelta(hours=1))
    assert again is not None
    assert again.revoked_at == NOON


def test_revoking_unknown_token_raises_not_found(db: Database) -> None:
    with pytest.raises(TokenNotFound):
        tokens.revoke(db, 7, actor="ann", now=NOON)


def test_token_status_follows_expiry_and_revocation(db: Database) -> None:
    evening = NOON + timedelta(hours=8)
    token, _ = tokens.issue(db, "x", expires_at=evening, actor="ann", now=NOON)
    assert token.status_at(NOON) == "active"
    assert token.status_at(evening) == "expired"
    revoked = tokens.revoke(db, token.id, actor="ann", now=NOON)
    assert revoked is not None
    assert revoked.status_at(evening) == "revoked"


def test_issue_and_revoke_are_audited(db: Database) -> None:
    token = tokens.find(db, issue(db, "box office", "devices:read"))
    tokens.revoke(db, token.id, actor="bob", now=NOON)
    with db.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(entry.actor, entry.action, entry.subject) for entry in entries] == [
        ("ann", "token.created", f"token:{token.id}"),
        ("bob", "token.revoked", f"token:{token.id}"),
    ]
