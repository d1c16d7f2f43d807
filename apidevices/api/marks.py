"""The management API for marks: what devices seem to be."""

from typing import Annotated

from flask.typing import ResponseReturnValue
from pydantic import Field

from apidevices import devices, state
from apidevices.api.description import described
from apidevices.api.frame import DEVICES, READ, TAG, WRITE, Request, blueprint, change_args
from apidevices.api.management import page_response
from apidevices.api.requests import parse_query
from apidevices.mark_representation import MarkList, SuggestionPage, mark_json

MARKS = f"{DEVICES}/<int:device_id>/marks"


class SuggestionQuery(Request):
    """Cursor of the suggestions."""

    cursor: Annotated[str, Field(pattern="^[0-9]{1,18}$")] | None = Field(
        None, description="The cursor of the page, taken from the 'next' URL."
    )


@blueprint.get("/v1/suggestions")
@described(SuggestionPage, 400, 422, tag=TAG, scope=READ, query=SuggestionQuery)
def list_suggestions() -> ResponseReturnValue:
    """List pairs of devices that may be one: after a reinstall, or after a block. Newest first."""
    query = parse_query(SuggestionQuery)
    before = None if query.cursor is None else int(query.cursor)
    found, following = devices.suggestions(state.database(), before)
    return page_response("suggestions", [mark_json(mark) for mark in found], following)


class MarksQuery(Request):
    """There are no parameters."""


@blueprint.get(MARKS)
@described(MarkList, 400, 404, 422, tag=TAG, scope=READ, query=MarksQuery)
def get_device_marks(device_id: int) -> ResponseReturnValue:
    """Get the marks of a device, which say what it seems to be, with the evidence."""
    parse_query(MarksQuery)
    return _marks_response(device_id)


@blueprint.post(f"{MARKS}/<int:mark_id>/dismiss")
@described(MarkList, 400, 404, tag=TAG, scope=WRITE)
def dismiss_device_mark(device_id: int, mark_id: int) -> ResponseReturnValue:
    """Dismiss a mark of a device, and return its other marks. Idempotent.

    Several devices with the same identifier are marked again only if another one joins them.
    """
    devices.dismiss(state.database(), device_id, mark_id, **change_args())
    return _marks_response(device_id)


def _marks_response(device_id: int) -> ResponseReturnValue:
    db = state.database()
    devices.get(db, device_id)
    return {"marks": [mark_json(mark) for mark in devices.marks_of(db, device_id)]}
