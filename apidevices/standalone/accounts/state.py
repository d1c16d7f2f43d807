"""Flask-Security in the current application."""

from flask import current_app
from flask_security import Security
from sqlalchemy.orm import Session


def current_security() -> Security:
    """Return the Flask-Security extension of the current application."""
    security: Security = current_app.extensions["security"]
    return security


def current_session() -> Session:
    """Return the session in which Flask-Security changes accounts, within the current request."""
    session: Session = current_app.extensions["security"].datastore.db.session
    return session
