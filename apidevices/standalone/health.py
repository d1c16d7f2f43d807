"""Is the process alive, and can it serve?"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from apidevices import migration, state
from apidevices.database import LOCK_TIMEOUT, Database

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
    asking = _asking.submit(_version, state.database())
    try:
        version = asking.result(LOCK_TIMEOUT)
    except (SQLAlchemyError, TimeoutError):
        asking.cancel()
        return _plain("the database can't be asked", 503)
    if version != migration.newest():
        return _plain("the database has not been migrated: run 'flask db upgrade'", 503)
    return _plain("ok")


def _version(db: Database) -> Any:
    with db.connect() as connection:
        return connection.scalar(
            text(f"SELECT version_num FROM {migration.VERSION_TABLE}")  # noqa: S608 - a constant
        )


def _plain(message: str, status: int = 200) -> ResponseReturnValue:
    return f"{message}\n", status, {"Content-Type": "text/plain", "Cache-Control": "no-store"}
