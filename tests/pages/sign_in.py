"""Sign-ins from several addresses, with hashes that are cheap to compute."""

from typing import Any

from flask import Flask
from sqlalchemy import select

from apidevices.models import AuditEntry
from apidevices.standalone.accounts import passwords
from tests.conftest import state_of
from tests.pages.conftest import ANN, PASSWORD
from tests.pages.visitor import Page, Visitor

WRONG = "not the password"
KNOWN = "127.0.0.1"
"""The address that the fixtures' account has signed in from."""

STRANGER = "203.0.113.66"


def make_hashes_cheap(app: Flask) -> None:
    """Use cheap hashes in an application, for the fixtures' account too."""
    security = app.extensions["security"]
    security.pwd_context.update(argon2__memory_cost=8, argon2__time_cost=1)
    with app.app_context():
        security.datastore.find_user(email=ANN).password = passwords.hashed(PASSWORD)
        security.datastore.commit()


def visitor_from(app: Flask, address: str) -> Visitor:
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = address
    return Visitor(client)


def sign_in(app: Flask, address: str, **typed: str) -> Page:
    """Sign in with a fresh browser, by default as Ann with the right password."""
    fields: dict[str, Any] = {"email": ANN, "password": PASSWORD, **typed}
    return visitor_from(app, address).change("/login", "/login", **fields)


def guess(app: Flask, address: str, email: str = ANN, times: int = 1) -> list[int]:
    """Try wrong passwords and return the status of each response."""
    visitor = visitor_from(app, address)
    page = visitor.get("/login")
    return [
        visitor.submit(page, "/login", email=email, password=WRONG).status for _ in range(times)
    ]


def audit_log(app: Flask, prefix: str = "user.") -> list[AuditEntry]:
    """Return the entries of the audit log whose action starts with ``prefix``, oldest first."""
    with state_of(app).db.read() as session:
        query = select(AuditEntry).where(AuditEntry.action.startswith(prefix))
        return list(session.scalars(query.order_by(AuditEntry.id)))
