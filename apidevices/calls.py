"""Who makes the current request: kept with it, and recorded once it has been let in."""

from flask import Request, has_request_context
from flask.globals import request_ctx

from apidevices import state
from apidevices.tracking import Call, Caller

_KEY = "apidevices.call"  # of the request's own environment: "g" may outlive the request


def keep(request: Request, call: Caller | Call | None) -> None:
    """Keep who makes a request, or what is to be recorded of it."""
    request.environ[_KEY] = call


def current_caller() -> Caller | None:
    """Return who makes the current request, recorded by now; None outside a protected API.

    Raises:
        Problem: the device has just been blocked, or the database can't be asked.
    """
    if not has_request_context():
        return None
    request = request_ctx.request
    call: Caller | Call | None = request.environ.get(_KEY)
    if isinstance(call, Call):
        call = state.current().tracker.record(request, call)
        keep(request, call)
    return call
