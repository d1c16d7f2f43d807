"""Issue, list and revoke API tokens. ``tracking`` checks the tokens of requests."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, update

from apidevices import audit, revocation
from apidevices.database import Database, retried_with_reserve
from apidevices.errors import Conflict, InvalidInput, TokenNotFound
from apidevices.limits import MAX_NUMBER
from apidevices.models import ApiToken
from apidevices.text import MAX_LENGTH, clean_text

SCOPES = {
    "devices:read": "See devices and their history through the management API",
    "devices:write": "Rename, tag, block and delete devices through the management API",
    "metrics:read": "Read the metrics of the standalone application",
}
"""Scope -> description. Requests from devices need no scope."""

MAX_LIFETIME = timedelta(days=36_525)

SEALED_FOR = timedelta(minutes=5)
"""How long after its creation a sealed token can be shown."""

_PREFIX = "apd_"
_VISIBLE_LENGTH = 10  # leading characters that are stored to recognize a token


def digest(token: str) -> bytes:
    """Return the SHA-256 digest that is stored instead of the token.

    Tokens have 256 random bits, so a slow password hash would not add security.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def issue(
    db: Database,
    name: str,
    scopes: Iterable[str] = (),
    *,
    expires_at: datetime | None = None,
    requires_device_id: bool = False,
    new_devices_per_hour: int | None = None,
    actor: str,
    now: datetime,
) -> tuple[ApiToken, str]:
    """Create a token and return it with its plain text, which is not stored.

    Args:
        db: The database.
        name: The name of the token.
        scopes: The scopes of the token.
        expires_at: When the token expires, or None.
        requires_device_id: Whether requests with it need a device identifier, whatever the settings
            say.
        new_devices_per_hour: Overrides ``APIDEVICES_NEW_DEVICES_PER_HOUR``; 0 for no limit.
        actor: Who creates the token.
        now: The current time.

    Raises:
        InvalidInput: The name is empty or too long, a scope is unknown, the expiry is in the past
            or more than 100 years ahead, or the number of new devices is out of range.
    """
    name = clean_text(name)
    if not name:
        raise InvalidInput("name", "A token needs a name.")
    if len(name) > MAX_LENGTH:
        raise InvalidInput("name", f"A token name can have at most {MAX_LENGTH} characters.")
    requested = set(scopes)
    if unknown := requested - SCOPES.keys():
        raise InvalidInput(
            "scopes", f"Unknown scope {min(unknown)!r}. Scopes: {', '.join(SCOPES)}."
        )
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("expires_on", "The expiry date is in the past.")
    if expires_at is not None and expires_at > now + MAX_LIFETIME:
        raise InvalidInput(
            "expires_on", "Choose a date within 100 years, or leave it empty for no expiry."
        )
    if new_devices_per_hour is not None and not 0 <= new_devices_per_hour <= MAX_NUMBER:
        raise InvalidInput(
            "new_devices_per_hour",
            f"Enter a number up to {MAX_NUMBER:,}, or 0 for no limit.",
        )
    text = _PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        name=name,
        prefix=text[:_VISIBLE_LENGTH],
        digest=digest(text),
        scopes=[scope for scope in SCOPES if scope in requested],
        created_at=now,
        created_by=actor,
        expires_at=expires_at,
        requires_device_id=requires_device_id,
        new_devices_per_hour=new_devices_per_hour,
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
            **_restrictions(token),
        )
    return token, text


def _restrictions(token: ApiToken) -> dict[str, int]:
    """Return what a token requires and limits beyond the settings, for the audit log."""
    restrictions: dict[str, int] = {}
    if token.requires_device_id:
        restrictions["requires_device_id"] = True
    if token.new_devices_per_hour is not None:
        restrictions["new_devices_per_hour"] = token.new_devices_per_hour
    return restrictions


def seal(db: Database, token_id: int, text: str) -> str:
    """Store the text of a new token so that only the returned key can reveal it, once.

    The key is a one-time pad: random bytes of the same length. Neither the key nor the database
    alone says anything about the token.
    """
    pad = secrets.token_bytes(len(text))
    with db.write() as session:
        session.execute(
            update(ApiToken)
            .where(ApiToken.id == token_id)
            .values(sealed_text=_xor(text.encode("ascii"), pad))
        )
    return pad.hex()


def reveal(db: Database, token_id: int, key: str, *, now: datetime) -> tuple[ApiToken, str] | None:
    """Return a sealed token and its text, and delete what is stored.

    Returns None if the token has been revealed before, is revoked, or is older than ``SEALED_FOR``.
    """
    with db.write() as session:
        token = session.get(ApiToken, token_id, with_for_update=True)
        sealed = token.sealed_text if token is not None else None
        is_shown_late = ApiToken.created_at <= now - SEALED_FOR
        session.execute(
            update(ApiToken)
            .where(ApiToken.sealed_text.is_not(None), is_shown_late | (ApiToken.id == token_id))
            .values(sealed_text=None)
        )
    if token is None or sealed is None or token.created_at <= now - SEALED_FOR:
        return None
    text = _xor(sealed, bytes.fromhex(key)).decode("ascii", "replace")
    return (token, text) if token.revoked_at is None and digest(text) == token.digest else None


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))


def all_tokens(db: Database) -> Sequence[ApiToken]:
    """Return all tokens: those not revoked first, then newest first."""
    with db.read() as session:
        return session.scalars(
            select(ApiToken).order_by(ApiToken.revoked_at.is_not(None), ApiToken.id.desc())
        ).all()


def get(db: Database, token_id: int) -> ApiToken:
    """Return a token by its id.

    Raises:
        TokenNotFound: No token has this id.
    """
    with db.read() as session:
        token = session.get(ApiToken, token_id)
    if token is None:
        raise TokenNotFound
    return token


def find(db: Database, reference: str) -> ApiToken:
    """Return the unrevoked token with this name, prefix or plain text.

    Raises:
        TokenNotFound: No such token matches.
        Conflict: Several tokens match.
    """
    matches = (_refers_to(reference), ApiToken.revoked_at.is_(None))
    return _find_one(db, *matches, missing="No active token has this name or prefix.")


def find_any(db: Database, reference: str) -> ApiToken:
    """Return the token with this id, name, prefix or plain text, revoked or not.

    Raises:
        TokenNotFound: No token matches.
        Conflict: Several tokens match.
    """
    if re.fullmatch("[0-9]{1,18}", reference):
        with db.read() as session:
            if token := session.get(ApiToken, int(reference)):
                return token
    missing = "No token has this id, name or prefix."
    return _find_one(db, _refers_to(reference), missing=missing)


def _refers_to(reference: str) -> ColumnElement[bool]:
    return (
        (ApiToken.name == reference)
        | (ApiToken.prefix == reference)
        | (ApiToken.digest == digest(reference))
    )


def _find_one(db: Database, *conditions: ColumnElement[bool], missing: str) -> ApiToken:
    with db.read() as session:
        found = session.scalars(select(ApiToken).where(*conditions).limit(10)).all()
    if not found:
        raise TokenNotFound(missing)
    if len(found) > 1:
        prefixes = ", ".join(token.prefix for token in found)
        raise Conflict(
            f"Several tokens have this name. Use one of their prefixes instead: {prefixes}."
        )
    return found[0]


@retried_with_reserve
def revoke(db: Database, token_id: int, *, actor: str, now: datetime) -> ApiToken:
    """Revoke a token: the next request with it is denied. Idempotent.

    Raises:
        TokenNotFound: No token has this id.
    """
    with db.write() as session:
        revocation.revoke(db, session, [token_id], actor=actor, now=now)
        token = session.get(ApiToken, token_id)
    if token is None:
        raise TokenNotFound
    return token
