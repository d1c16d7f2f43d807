"""An error in a write transaction propagates unchanged, even if the rollback fails."""

import pytest
from sqlalchemy.orm import Session

from apidevices.database import Database


@pytest.mark.database("sqlite")
def test_error_is_raised_if_sqlite_has_already_rolled_back(db: Database) -> None:
    def fill_disk(session: Session) -> None:
        session.connection().exec_driver_sql("ROLLBACK")  # as SQLite does if the disk is full
        raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"), db.write() as session:
        fill_disk(session)


def test_keyboard_interrupt_propagates_if_the_connection_is_broken(db: Database) -> None:
    def interrupt(session: Session) -> None:
        session.connection().invalidate()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), db.write() as session:
        interrupt(session)
    with db.write():
        pass  # the next write gets a new connection
