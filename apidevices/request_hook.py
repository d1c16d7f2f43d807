"""The request hooks of a protected API, and the state that they store on a request.

A request that has been checked but not recorded carries a pending call, a recorded one its caller.
"""

import logging

from flask import Flask, Request, Response, current_app, has_request_context
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue

from apidevices import state
from apidevices.calls import Caller, PendingCall
from apidevices.problems import Problem, RateLimited
from apidevices.protection import Protection
from apidevices.state import State
from apidevices.tracking import Tracker

logger = logging.getLogger(__name__)

# Stored in the WSGI environment, because "g" can outlive the request.
_CALLER = "apidevices.caller"
_PENDING_CALL = "apidevices.pending_call"


def register(app: Flask, app_state: State, protection: Protection) -> None:
    """Check protected requests of an application before any of its own hooks run."""

    def check() -> ResponseReturnValue | None:
        request = request_ctx.request  # faster than the 'request' proxy
        if protection.covers(request):
            try:
                check_request(request, app_state.tracker)
            except Problem as problem:
                _apply_on_denied(problem, app_state)
                return problem.get_response()
        return None

    # Use a hook of the application: blueprint hooks don't run for unknown paths and methods, and a
    # blocked device must not be able to distinguish these from known ones. Insert it first, because
    # an earlier hook that returns a response would skip the check.
    app.before_request_funcs.setdefault(None, []).insert(0, check)
    if not app_state.requires_tokens:
        app.after_request(_record_success)


def current_caller() -> Caller | None:
    """Record the current request and return its caller: see ``APIDevices.current_caller``.

    Raises:
        Problem: The device has just been blocked, or the database is unavailable.
    """
    if not has_request_context():
        return None
    try:
        return _recorded_caller(request_ctx.request)
    except Problem as problem:
        _apply_on_denied(problem, state.current())
        raise


def _recorded_caller(request: Request) -> Caller | None:
    pending: PendingCall | None = request.environ.pop(_PENDING_CALL, None)
    if pending is not None:
        request.environ[_CALLER] = state.current().tracker.record(pending)
    caller: Caller | None = request.environ.get(_CALLER)
    return caller


def check_request(request: Request, tracker: Tracker) -> None:
    """Check a request, and store its caller or pending call on it.

    Raises:
        Problem: The request is denied.
    """
    outcome = tracker.check(request.environ)
    if isinstance(outcome, Caller):
        request.environ[_CALLER] = outcome
    elif outcome is not None:
        request.environ[_PENDING_CALL] = outcome


def _apply_on_denied(problem: Problem, app_state: State) -> None:
    """Let the application replace the response to a denied request."""
    if app_state.on_denied is not None:
        result = current_app.ensure_sync(app_state.on_denied)(problem.details)
        if result is not None:
            response = current_app.make_response(result)
            if not isinstance(result, tuple | Response):
                response.status_code = problem.code  # a body alone must not mean success
            problem.response = response


def _record_success(response: Response) -> Response:
    """Record a request that succeeded, unless its view has already recorded it.

    Success is the only sign that the application authenticated the caller. Requests that it
    rejects must leave no trace. OPTIONS does not count: Flask or a CORS extension responds to it
    without authentication.
    """
    succeeded = response.status_code < 300 or response.status_code == 304
    request = request_ctx.request
    if succeeded and request.method != "OPTIONS":
        try:
            _recorded_caller(request)
        except RateLimited:
            pass  # Keep the response, as below. The limiter has logged that the limit is reached.
        except Problem as problem:
            # Keep the response: an error would make the client repeat a request that succeeded.
            logger.warning("A request succeeded but could not be recorded: %s", problem.description)
    return response
