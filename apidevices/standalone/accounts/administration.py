"""Changes of accounts by administrators. Each of them ends all sessions of the account."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from apidevices.standalone.accounts import passwords, users
from apidevices.standalone.accounts.actions import Action
from apidevices.standalone.models import Role, User
from apidevices.toolkit import (
    Conflict,
    Database,
    InvalidInput,
    NotFound,
    audit,
    retried_with_reserve,
)


class UserNotFound(NotFound):
    """The account does not exist."""

    def __init__(self) -> None:
        super().__init__("No account has this email address.")


def all_users(db: Database) -> Sequence[User]:
    """Return all accounts with their roles, in the order of their addresses."""
    with db.read() as session:
        return session.scalars(
            select(User).options(selectinload(User.roles)).order_by(func.lower(User.email))
        ).all()


def find(db: Database, email: str) -> User:
    """Return the account with an email address, in any case.

    Raises:
        UserNotFound: There is none.
    """
    with db.read() as session:
        return _find(session, email)


@retried_with_reserve
def disable(db: Database, email: str, *, actor: str, now: datetime) -> User:
    """Keep an account from signing in, and end its sessions. Idempotent.

    Raises:
        UserNotFound: The account does not exist.
        Conflict: No other account could sign in then.
    """
    with db.write() as session:
        user = lock(session, email)
        if user.active:
            _keep_one_account(session, user)
            user.active = False
            end_sessions(user)
            record(session, Action.USER_DISABLED, user, actor, now)
    return user


def enable(db: Database, email: str, *, actor: str, now: datetime) -> User:
    """Let a disabled account sign in again. Idempotent.

    Raises:
        UserNotFound: The account does not exist.
    """
    with db.write() as session:
        user = lock(session, email)
        if not user.active:
            user.active = True
            record(session, Action.USER_ENABLED, user, actor, now)
    return user


@retried_with_reserve
def delete(db: Database, email: str, *, actor: str, now: datetime) -> User:
    """Delete an account. Its entries in the audit log remain.

    Raises:
        UserNotFound: The account does not exist.
        Conflict: No other account could sign in then.
    """
    with db.write() as session:
        user = lock(session, email)
        if user.active:
            _keep_one_account(session, user)
        record(session, Action.USER_DELETED, user, actor, now)
        session.delete(user)
    return user


def set_password(db: Database, email: str, password: str, *, actor: str, now: datetime) -> User:
    """Set the password of an account, and end its sessions.

    Raises:
        UserNotFound: The account does not exist.
        InvalidInput: The password breaks a rule.
    """
    hashed = passwords.hashed(passwords.check(password, find(db, email).email))
    with db.write() as session:
        user = lock(session, email)
        user.password = hashed
        end_sessions(user)
        record(session, Action.PASSWORD_SET, user, actor, now)
    return user


def end_sessions(user: User) -> None:
    """End all sessions of an account, and make its reset link invalid."""
    user.fs_uniquifier = uuid.uuid4().hex
    user.reset_digest = user.reset_expires_at = None


def record(
    session: Session, action: Action, user: User, actor: str, now: datetime, **details: Any
) -> None:
    """Record an action on an account, in the transaction of ``session``."""
    audit.record(
        session, action, f"user:{user.id}", actor=actor, at=now, email=user.email, **details
    )


def lock(session: Session, email: str) -> User:
    """Return an account, and wait for other changes of accounts until the transaction ends."""
    # As in users.create(): on SQLite, the transaction itself excludes others.
    session.scalars(select(Role.id).with_for_update()).all()
    return _find(session, email)


def _find(session: Session, email: str) -> User:
    try:
        email = users.validate_email(email)
    except InvalidInput:
        raise UserNotFound from None
    user = session.scalar(select(User).where(func.lower(User.email) == email.lower()))
    if user is None:
        raise UserNotFound
    return user


def _keep_one_account(session: Session, user: User) -> None:
    others = select(User.id).where(User.id != user.id, User.active, User.password.is_not(None))
    if session.scalar(others.limit(1)) is None:
        raise Conflict(
            f"{user.email} is the only account that can sign in. Create or enable another account"
            " first."
        )
