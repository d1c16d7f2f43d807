"""Delete marks that have proved wrong."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete

from apidevices.database import Database
from apidevices.models import DeviceMark
from apidevices.upkeep.tasks import BATCH, execute


def delete_marks(db: Database, ids: Sequence[int], *still: ColumnElement[bool]) -> None:
    """Delete marks in batches, except those that have been dismissed.

    Args:
        db: The database.
        ids: The ids of the marks.
        still: Conditions that a mark must still fulfill.
    """
    mark = DeviceMark
    for start in range(0, len(ids), BATCH):
        with db.write(essential=False) as session:
            some = mark.id.in_(db.id_list(ids[start : start + BATCH]))
            execute(session, delete(mark).where(some, mark.dismissed_at.is_(None), *still))
