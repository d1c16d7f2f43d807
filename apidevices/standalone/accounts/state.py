"""Flask-Security in the current application."""

from flask import current_app
from flask_security import Security


def current_security() -> Security:
    """Return the Flask-Security extension of the current application."""
    security: Security = current_app.extensions["security"]
    return security
