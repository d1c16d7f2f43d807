"""Revoke API tokens within the transaction of another change."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from apidevices import audit
from apidevices.database import Database
from apidevices.models import ApiToken


def revoke(
    db: Database, session: Session, token_ids: Collection[int], *, actor: str, now: datetime
) -> None:
    """Revoke tokens, with an audit entry for each. Those that are revoked already stay as they are.

    Args:
        db: The database.
        session: The session, which holds no locks on tokens yet.
        token_ids: The ids of the tokens. Unknown ones are ignored.
        actor: Who revokes them.
        now: The current time.
    """
    connection = session.connection()
    db.lock(connection, ApiToken.id, token_ids)
    revoked = connection.execute(
        update(ApiToken)
        .where(ApiToken.id.in_(db.id_list(token_ids)), ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(ApiToken.id, ApiToken.name)
    ).all()
    for token in sorted(revoked):
        audit.record(
            session,
            audit.Action.TOKEN_REVOKED,
            f"token:{token.id}",
            actor=actor,
            at=now,
            name=token.name,
        )
