"""The daily counts of a device in the management API."""

from flask.typing import ResponseReturnValue

from apidevices import clock, devices, state
from apidevices.api.description import described
from apidevices.api.frame import READ, TAG, Request, blueprint
from apidevices.api.management import DEVICE
from apidevices.api.requests import parse_query
from apidevices.daily_counts import ActivityJson, activity_json


class ActivityQuery(Request):
    """No parameters."""


@blueprint.get(f"{DEVICE}/activity")
@described(ActivityJson, 400, 404, 422, tag=TAG, scope=READ, query=ActivityQuery)
def get_device_activity(device_id: int) -> ResponseReturnValue:
    """Get how many requests a device made on each of the last 90 UTC days."""
    parse_query(ActivityQuery)
    db = state.database()
    devices.get(db, device_id)
    return activity_json(devices.activity_days(db, device_id, clock.now()))
