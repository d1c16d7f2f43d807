"""Health checks: liveness and readiness."""

from concurrent.futures import ThreadPoolExecutor

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from apidevices.standalone.disk import database_disk
from apidevices.standalone.migrations import is_current
from apidevices.toolkit import LOCK_TIMEOUT, Database, DatabaseUnavailable, database

blueprint = Blueprint("health", __name__)

_checks = ThreadPoolExecutor(1, "apidevices-health")


@blueprint.get("/livez")
def livez() -> ResponseReturnValue:
    """Return 200 while the process runs."""
    return _plain("ok")


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Return 200 if the database is available and migrated to this version, else 503.

    If known devices are served, but something else fails or soon will, the text says so.

    The check runs in its own thread with a timeout. A database server that hangs blocks only this
    thread, not those that serve requests.
    """
    check = _checks.submit(_check, database())
    try:
        current, troubles = check.result(LOCK_TIMEOUT)
    except DatabaseUnavailable as error:
        return _plain(str(error), 503)
    except (SQLAlchemyError, TimeoutError):
        check.cancel()
        return _plain("the database is unavailable", 503)
    if not current:
        return _plain("the database is not migrated: run 'flask apidevices upgrade'", 503)
    if troubles:
        return _plain(f"ok, but {'; '.join(troubles)}")
    return _plain("ok")


def _check(db: Database) -> tuple[bool, list[str]]:
    """Return whether the database is migrated, and what doesn't work, or soon won't, all the same.

    Raises:
        SQLAlchemyError: The database is unavailable.
    """
    troubles: list[str] = []
    if not is_current(db):
        return False, troubles
    try:
        db.reserve.require()
    except DatabaseUnavailable:
        troubles.append("the disk is full: new devices, changes and uploads are not stored")
    else:
        disk = database_disk(db)
        if disk is not None and disk.shortage:
            troubles.append(disk.shortage)
    if db.write_failure:
        troubles.append(f"the latest write failed: {db.write_failure}")
    return True, troubles


def _plain(message: str, status: int = 200) -> ResponseReturnValue:
    return f"{message}\n", status, {"Content-Type": "text/plain", "Cache-Control": "no-store"}
