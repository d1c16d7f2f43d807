"""Limits on failed sign-ins, by account and by address, in all processes together.

An attempt counts before its password is hashed, and is uncounted if the password is right. An
account that doesn't exist is treated as one that does.

Strangers share the limit of an account, so they could lock its owner out. From an address that the
account has signed in from, attempts therefore count separately.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from apidevices.standalone.accounts.writes import try_to_write
from apidevices.standalone.models import User, UserAddress
from apidevices.toolkit import Database, LimitReached, limits

_PERIOD = timedelta(minutes=15)

ACCOUNT = limits.Limit("sign_in_account", 10, _PERIOD)
ADDRESS = limits.Limit("sign_in_address", 30, _PERIOD)
KNOWN_ADDRESS = limits.Limit("sign_in_known_address", 10, _PERIOD)
PASSWORD_CHECK = limits.Limit("password_check", 10, _PERIOD)
"""Failed attempts to enter the current password while signed in, by account."""

UNCOUNTED_PAUSE = 10
"""Seconds between a process's attempts from unknown addresses while the database is read-only."""


@dataclass(frozen=True)
class Attempt:
    """An attempt to sign in, or to enter the current password.

    ``subject`` names the account, or the address if no account exists; ``email`` is the account's.
    """

    subject: str
    email: str | None
    address: str
    is_known: bool
    counters: tuple[tuple[limits.Limit, str], ...]

    def check(self, db: Database, now: datetime) -> None:
        """Raise ``LimitReached`` if the attempt is not allowed. Cheap: it writes nothing."""
        with db.read() as session:
            for limit, key in self.counters:
                limits.check(session, limit, key, now)

    def count(self, db: Database, now: datetime) -> None:
        """Count the attempt.

        Raises:
            LimitReached: The attempt is not allowed. Nothing is counted.
        """

        def take(session: Session) -> None:
            for limit, key in self.counters:
                limits.take(db, session, limit, key, now)

        if not try_to_write(db, take, "count a sign-in") and not self.is_known:
            _uncounted.take()

    def uncount(self, db: Database) -> None:
        """Undo ``count``, because the password is right."""

        def give_back(session: Session) -> None:
            for limit, key in self.counters:
                limits.give_back(session, limit, key)

        try_to_write(db, give_back, "uncount a sign-in")


def sign_in(db: Database, email: str, address: str, secret_key: str) -> Attempt:
    """Return an attempt to sign in with an email address as typed."""
    is_here = and_(UserAddress.user_id == User.id, UserAddress.address == address)
    query = select(User.id, User.email, UserAddress.user_id.is_not(None))
    query = query.outerjoin(UserAddress, is_here).where(func.lower(User.email) == func.lower(email))
    with db.read() as session:
        found = session.execute(query).first()
    if found is None:
        # People type passwords into this field: store only a digest.
        key = secret_key.encode()[:64]
        digest = hashlib.blake2b(email.lower().encode(), key=key, digest_size=16).hexdigest()
        return Attempt(
            f"address:{address}",
            None,
            address,
            False,
            ((ACCOUNT, f"unknown:{digest}"), (ADDRESS, address)),
        )
    user_id, stored_email, is_known = found
    subject = f"user:{user_id}"
    counters = (
        ((KNOWN_ADDRESS, f"{subject}:{address}"),)
        if is_known
        else ((ACCOUNT, subject), (ADDRESS, address))
    )
    return Attempt(subject, stored_email, address, is_known, counters)


def password_check(user: User, address: str) -> Attempt:
    """Return an attempt to enter the current password while signed in."""
    subject = f"user:{user.id}"
    return Attempt(subject, user.email, address, True, ((PASSWORD_CHECK, subject),))


class _Uncounted:
    """Lets few attempts from unknown addresses pass while they can't be counted."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def take(self) -> None:
        wait = self._next_at - time.monotonic()
        if wait > 0:
            raise LimitReached(ACCOUNT.name, UNCOUNTED_PAUSE)
        self._next_at = time.monotonic() + UNCOUNTED_PAUSE


_uncounted = _Uncounted()
