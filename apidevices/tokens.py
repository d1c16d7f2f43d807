"""API tokens: issue, list, revoke. How a request is checked against them is in ``tracking``."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update

from apidevices import audit
from apidevices.database import Database
from apidevices.models import ApiToken
from apidevices.text import MAX_LENGTH, clean_text

SCOPES = {
    "devices:read": "See devices and their history through the management API",
    "devices:write": "Rename, block and unblock devices through the management API",
}
"""Scope -> what it allows. Calling the API as a device needs none."""

LONGEST_LIFE = timedelta(days=36_525)

_MARK = "apd_"
_SHOWN = 10  # characters of a token that are stored, to recognise it by


class TokenError(ValueError):
    """A token can't be made or found; the message says why and what to do, ``field`` where."""

    def __init__(self, message: str, field: str = "name") -> None:
        super().__init__(message)
        self.field = field


def digest(token: str) -> bytes:
    """Return the SHA-256 of a token, by which it is stored and found.

    A token has 256 random bits, so a slow hash would add nothing but time.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def issue(
    db: Database,
    name: str,
    scopes: Iterable[str] = (),
    *,
    expires_at: datetime | None = None,
    actor: str,
    now: datetime,
) -> tuple[ApiToken, str]:
    """Create a token and return it with its text, which is nowhere stored.

    Raises:
        TokenError: the name is empty or too long, a scope is unknown, or the expiry has passed.
    """
    name = clean_text(name)
    if not name:
        raise TokenError("A token needs a name.")
    if len(name) > MAX_LENGTH:
        raise TokenError(f"The name of a token has {MAX_LENGTH} characters at most.")
    wanted = set(scopes)
    if unknown := wanted - SCOPES.keys():
        raise TokenError(
            f"Unknown scope {min(unknown)!r}; known are: {', '.join(SCOPES)}.", "scopes"
        )
    if expires_at is not None and expires_at <= now:
        raise TokenError("The expiry has already passed.", "expires_on")
    if expires_at is not None and expires_at > now + LONGEST_LIFE:
        raise TokenError(
            "Choose a day within 100 years, or none: then it never expires.", "expires_on"
        )
    text = _MARK + secrets.token_urlsafe(32)
    token = ApiToken(
        name=name,
        prefix=text[:_SHOWN],
        digest=digest(text),
        scopes=[scope for scope in SCOPES if scope in wanted],
        created_at=now,
        expires_at=expires_at,
    )
    with db.write() as session:
        session.add(token)
        session.flush()
        audit.record(
            session,
            audit.Action.TOKEN_CREATED,
            f"token:{token.id}",
            actor=actor,
            at=now,
            name=name,
            scopes=token.scopes,
        )
    return token, text


def all_tokens(db: Database) -> Sequence[ApiToken]:
    """Return every token, those in use first, newest first."""
    with db.read() as session:
        return session.scalars(
            select(ApiToken).order_by(ApiToken.revoked_at.is_not(None), ApiToken.id.desc())
        ).all()


def find(db: Database, reference: str) -> ApiToken:
    """Return the one token in use that has this name or prefix, or is this token.

    Raises:
        TokenError: there is none, or more than one.
    """
    named = (
        (ApiToken.name == reference)
        | (ApiToken.prefix == reference)
        | (ApiToken.digest == digest(reference))
    )
    with db.read() as session:
        found = session.scalars(
            select(ApiToken).where(named, ApiToken.revoked_at.is_(None)).limit(10)
        ).all()
    if not found:
        raise TokenError("No token in use has this name or prefix.")
    if len(found) > 1:
        prefixes = ", ".join(token.prefix for token in found)
        raise TokenError(f"Several tokens have this name; say which by its prefix: {prefixes}.")
    return found[0]


def revoke(db: Database, token_id: int, *, actor: str, now: datetime) -> ApiToken | None:
    """Revoke a token: its next request is refused. A token that is revoked already stays so.

    Returns the token, or None where there is no such token.
    """
    with db.write() as session:
        changed = session.execute(
            update(ApiToken)
            .where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None))
            .values(revoked_at=now)
            .returning(ApiToken.name)
        ).first()
        if changed:
            audit.record(
                session,
                audit.Action.TOKEN_REVOKED,
                f"token:{token_id}",
                actor=actor,
                at=now,
                name=changed.name,
            )
        return session.get(ApiToken, token_id)
