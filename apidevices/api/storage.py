"""The management API for what is stored."""

from flask.typing import ResponseReturnValue

from apidevices import clock, state, storage
from apidevices.api.description import described
from apidevices.api.frame import READ, TAG, Request, blueprint
from apidevices.api.overview import FIRST_PATIENCE, NotCounted
from apidevices.api.requests import parse_query
from apidevices.representation import StorageJson, storage_json


class StorageQuery(Request):
    """There are no parameters."""


@blueprint.get("/v1/storage")
@described(StorageJson, 400, 422, tag=TAG, scope=READ, query=StorageQuery)
def get_storage() -> ResponseReturnValue:
    """Get what is kept, for how long, and how much space it takes."""
    parse_query(StorageQuery)
    now, stored = clock.now(), state.current().storage
    counted = storage.latest(stored, now) or storage.latest(stored, now, FIRST_PATIENCE)
    if counted is None:
        raise NotCounted
    return storage_json(counted)
