"""Operations: changes of devices on the admin pages, of one or of a hundred thousand.

An operation is stored with its devices, and with the state of each before and after the change.
Small ones are completed at once, in one transaction. Large ones run in steps in the background, see
``Runner``, and continue where they were if the process dies. For a minute, an operation can be
undone, which is another operation.

``upkeep`` deletes operations after a day.
"""

from apidevices.operations.queries import device_of, get, latest, preview
from apidevices.operations.runner import Runner
from apidevices.operations.storing import (
    SMALL,
    UNDO_TIME,
    CannotUndo,
    OperationNotFound,
    Recorded,
    begin,
    is_undoable,
    record,
    undo,
)

__all__ = [
    "SMALL",
    "UNDO_TIME",
    "CannotUndo",
    "OperationNotFound",
    "Recorded",
    "Runner",
    "begin",
    "device_of",
    "get",
    "is_undoable",
    "latest",
    "preview",
    "record",
    "undo",
]
