"""Sign-ins in the audit log, refused and failed ones too."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from apidevices.standalone.accounts import addresses
from apidevices.standalone.accounts.actions import Action
from apidevices.standalone.accounts.attempts import Attempt
from apidevices.standalone.accounts.writes import try_to_write
from apidevices.standalone.models import User
from apidevices.toolkit import Database, LimitReached, audit, limits

ANONYMOUS = "not signed in"
"""The actor of attempts that fail."""

_ENTRY_PER_MINUTE = limits.Limit("sign_in_limited_entry", 1, timedelta(minutes=1))
_ENTRIES_PER_MINUTE = limits.Limit("sign_in_limited_entries", 60, timedelta(minutes=1))
"""For attempts with unknown accounts, from all addresses: a stranger may have many of them."""


def record_success(db: Database, user: User, address: str, now: datetime) -> None:
    """Record that an account signed in, and remember its address."""

    def write(session: Session) -> None:
        addresses.remember(db, session, user.id, address, now)
        record(session, Action.SIGNED_IN, user, address, now)

    try_to_write(db, write, "record a sign-in")


def record(session: Session, action: Action, user: User, address: str, now: datetime) -> None:
    """Record an action of an account, in the transaction of ``session``."""
    audit.record(session, action, f"user:{user.id}", actor=user.email, at=now, address=address)


def record_failure(db: Database, action: Action, attempt: Attempt, now: datetime) -> None:
    """Record an attempt with a wrong password."""

    def write(session: Session) -> None:
        _record_attempt(session, action, attempt, now)

    # Not essential: strangers could use up the disk reserve.
    try_to_write(db, write, "record an attempt", essential=False)


def record_refusal(db: Database, attempt: Attempt, limit: str, now: datetime) -> None:
    """Record an attempt that a limit refused; at most one entry per minute and subject."""
    counters = [(_ENTRY_PER_MINUTE, attempt.subject)]
    if attempt.email is None:
        counters.append((_ENTRIES_PER_MINUTE, "unknown"))

    def write(session: Session) -> None:
        for counter, subject in counters:
            limits.take(db, session, counter, subject, now)
        _record_attempt(session, Action.SIGN_IN_LIMITED, attempt, now, limit=limit)

    try:
        with db.read() as session:  # refusals are frequent: most must not write
            for counter, subject in counters:
                limits.check(session, counter, subject, now)
        try_to_write(db, write, "record an attempt", essential=False)
    except LimitReached:
        pass


def _record_attempt(
    session: Session, action: Action, attempt: Attempt, now: datetime, **details: str
) -> None:
    if attempt.email is not None:
        details["email"] = attempt.email
    audit.record(
        session,
        action,
        attempt.subject,
        actor=ANONYMOUS,
        at=now,
        address=attempt.address,
        **details,
    )
