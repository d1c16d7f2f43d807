"""Writes that sign-in and sign-out do without if the database can't be written.

A full disk must not keep administrators from signing in.
"""

import logging
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from apidevices.toolkit import Database, DatabaseUnavailable, is_unavailable

_logger = logging.getLogger("apidevices")


def try_to_write(
    db: Database, write: Callable[[Session], None], purpose: str, *, essential: bool = True
) -> bool:
    """Call ``write`` in a transaction; log and return False if the database can't be written.

    Args:
        db: The database.
        write: Called with the session.
        purpose: What is written, for the log, such as ``"count a sign-in"``.
        essential: See ``Database.write``.
    """
    try:
        with db.write(essential=essential) as session:
            write(session)
    except SQLAlchemyError as error:
        _report(error, purpose)
        return False
    return True


def try_to_commit(session: Session, purpose: str) -> bool:
    """Commit; roll back, log and return False if the database can't be written."""
    try:
        session.commit()
    except SQLAlchemyError as error:
        session.rollback()
        _report(error, purpose)
        return False
    return True


def _report(error: SQLAlchemyError, purpose: str) -> None:
    if not is_unavailable(error):
        raise error
    if not isinstance(error, DatabaseUnavailable):  # it has been logged
        _logger.error("Can't %s: %s", purpose, error)
