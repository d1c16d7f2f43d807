"""Is the process alive, and can it serve?"""

from concurrent.futures import ThreadPoolExecutor

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from apidevices.standalone.migrations import is_current
from apidevices.toolkit import LOCK_TIMEOUT, database

blueprint = Blueprint("health", __name__)

_asking = ThreadPoolExecutor(1, "apidevices-health")


@blueprint.get("/livez")
def livez() -> ResponseReturnValue:
    """Answer as long as the process can."""
    return _plain("ok")


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 where the database can be asked and has the tables of this version, else 503.

    A server that hangs is given up: one thread may wait for it, but not each that answers requests.
    """
    asking = _asking.submit(is_current, database())
    try:
        current = asking.result(LOCK_TIMEOUT)
    except (SQLAlchemyError, TimeoutError):
        asking.cancel()
        return _plain("the database is unavailable", 503)
    if not current:
        return _plain("the database has not been migrated: run 'flask apidevices upgrade'", 503)
    return _plain("ok")


def _plain(message: str, status: int = 200) -> ResponseReturnValue:
    return f"{message}\n", status, {"Content-Type": "text/plain", "Cache-Control": "no-store"}
