"""Accounts in the database."""

import uuid
from datetime import datetime

from sqlalchemy import func, select

from apidevices.standalone.accounts import passwords
from apidevices.standalone.accounts.actions import Action
from apidevices.standalone.accounts.state import current_security
from apidevices.standalone.models import Role, User
from apidevices.toolkit import Conflict, Database, InvalidInput, audit

ADMIN = "admin"


def exists(db: Database) -> bool:
    """Return whether any account exists."""
    with db.read() as session:
        return session.scalar(select(User.id).limit(1)) is not None


def validate_email(email: str) -> str:
    """Return an email address in the form in which it is stored, by the rules of sign-in.

    Raises:
        InvalidInput: It is not an email address.
    """
    try:
        return str(current_security()._mail_util.validate(email))
    except ValueError:
        raise InvalidInput("email", "This is not an email address.") from None


def create(
    db: Database,
    email: str,
    password: str,
    *,
    role: str = ADMIN,
    only_first: bool = False,
    actor: str,
    now: datetime,
) -> User:
    """Create an account.

    Raises:
        InvalidInput: The address or password is invalid, or the role is unknown.
        Conflict: The account exists, or ``only_first`` is set and any account exists.
    """
    email = validate_email(email)
    hashed = passwords.hashed(passwords.check(password, email))
    with db.write() as session:
        # On PostgreSQL, the lock on the role's row serializes concurrent calls.
        found = session.scalar(select(Role).where(Role.name == role).with_for_update())
        if found is None:
            raise InvalidInput("role", f"Unknown role {role!r}. Available roles: {ADMIN}.")
        if only_first and session.scalar(select(User.id).limit(1)) is not None:
            raise Conflict("The first account already exists. Sign in with that account.")
        if session.scalar(select(User.id).where(func.lower(User.email) == email.lower())):
            raise Conflict("An account with this email address already exists.")
        user = User(
            email=email,
            password=hashed,
            active=True,
            fs_uniquifier=uuid.uuid4().hex,
            created_at=now,
            roles=[found],
        )
        session.add(user)
        session.flush()
        audit.record(
            session,
            Action.USER_CREATED,
            f"user:{user.id}",
            actor=actor,
            at=now,
            email=email,
            role=role,
        )
    return user
