"""Health checks: liveness and readiness."""

from concurrent.futures import ThreadPoolExecutor

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from apidevices.standalone.migrations import is_current
from apidevices.toolkit import LOCK_TIMEOUT, database

blueprint = Blueprint("health", __name__)

_checks = ThreadPoolExecutor(1, "apidevices-health")


@blueprint.get("/livez")
def livez() -> ResponseReturnValue:
    """Return 200 while the process runs."""
    return _plain("ok")


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Return 200 if the database is available and migrated to this version, else 503.

    The check runs in its own thread with a timeout. A database server that hangs blocks only this
    thread, not those that serve requests.
    """
    check = _checks.submit(is_current, database())
    try:
        current = check.result(LOCK_TIMEOUT)
    except (SQLAlchemyError, TimeoutError):
        check.cancel()
        return _plain("the database is unavailable", 503)
    if not current:
        return _plain("the database is not migrated: run 'flask apidevices upgrade'", 503)
    return _plain("ok")


def _plain(message: str, status: int = 200) -> ResponseReturnValue:
    return f"{message}\n", status, {"Content-Type": "text/plain", "Cache-Control": "no-store"}
