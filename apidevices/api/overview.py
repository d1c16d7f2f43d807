"""The management API for figures of all devices."""

from flask.typing import ResponseReturnValue

from apidevices import clock, overview, state
from apidevices.api.description import described
from apidevices.api.frame import READ, TAG, Request, blueprint
from apidevices.api.requests import parse_query
from apidevices.problems import Unavailable
from apidevices.representation import OverviewJson, overview_json

FIRST_PATIENCE = 10.0
"""Seconds to wait for the first figures ever."""


class NotCounted(Unavailable):
    """The devices are being counted for the first time, which takes longer than that."""

    description = "The devices are being counted for the first time. Try again in a few seconds."
    headers = (("Retry-After", "5"),)


class OverviewQuery(Request):
    """There are no parameters."""


@blueprint.get("/v1/overview")
@described(OverviewJson, 400, 422, tag=TAG, scope=READ, query=OverviewQuery)
def get_overview() -> ResponseReturnValue:
    """Get figures of all devices: activity, blocks, versions and uploads."""
    parse_query(OverviewQuery)
    now, stored = clock.now(), state.current().overview
    counted = overview.latest(stored, now) or overview.latest(stored, now, FIRST_PATIENCE)
    if counted is None:
        raise NotCounted
    return overview_json(counted)
