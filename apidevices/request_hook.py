"""The hooks around each request of a protected API, and what a request carries between them.

A request carries its caller, once it is recorded, or the call that is still to be recorded.
"""

import logging

from flask import Flask, Request, Response, current_app, has_request_context
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue

from apidevices import state
from apidevices.problems import Problem
from apidevices.protection import Protection
from apidevices.state import State
from apidevices.tracking import Caller, PendingCall, Tracker

logger = logging.getLogger(__name__)

# Keys of the request's own environment: "g" may outlive the request.
_CALLER = "apidevices.caller"
_PENDING_CALL = "apidevices.pending_call"


def register(app: Flask, kept: State, protection: Protection) -> None:
    """Check each protected request of an application before anything else sees it."""

    def check() -> ResponseReturnValue | None:
        request = request_ctx.request  # not through the proxy, which is slow
        if protection.covers(request):
            try:
                check_request(request, kept.tracker)
            except Problem as problem:
                _shape(problem, kept)
                return problem.get_response()
        return None

    # A hook of the application, not of a blueprint: those don't run for a path or a method that no
    # view has, and a blocked device must not learn which these are. And the first of all hooks: one
    # that answers by itself must not let a blocked device in.
    app.before_request_funcs.setdefault(None, []).insert(0, check)
    if not kept.requires_tokens:
        app.after_request(_record_success)


def current_caller() -> Caller | None:
    """Return who makes the current request, and record it; None outside a protected API.

    Raises:
        Problem: the device has just been blocked, or the database is unavailable.
    """
    if not has_request_context():
        return None
    try:
        return _recorded_caller(request_ctx.request)
    except Problem as problem:
        _shape(problem, state.current())
        raise


def _recorded_caller(request: Request) -> Caller | None:
    pending: PendingCall | None = request.environ.get(_PENDING_CALL)
    if pending is not None:
        request.environ[_CALLER] = state.current().tracker.record(request, pending)
        del request.environ[_PENDING_CALL]
    caller: Caller | None = request.environ.get(_CALLER)
    return caller


def check_request(request: Request, tracker: Tracker) -> None:
    """Check a request, and let it carry its caller or pending call.

    Raises:
        Problem: The request is denied.
    """
    outcome = tracker.check(request)
    if isinstance(outcome, Caller):
        request.environ[_CALLER] = outcome
    elif outcome is not None:
        request.environ[_PENDING_CALL] = outcome


def _shape(problem: Problem, kept: State) -> None:
    """Let the application say how a problem answers."""
    if kept.on_denied is not None:
        answer = current_app.ensure_sync(kept.on_denied)(problem.details)
        if answer is not None:
            problem.response = current_app.make_response(answer)


def _record_success(response: Response) -> Response:
    """Record a request that the application has let through, unless its view has led to that.

    Only success tells that it has: what it refuses, whoever sent it, must leave no trace. OPTIONS
    is answered by Flask itself or by a CORS extension, without authentication.
    """
    succeeded = response.status_code < 300 or response.status_code == 304
    request = request_ctx.request
    if succeeded and request.method != "OPTIONS":
        try:
            _recorded_caller(request)
        except Problem as problem:
            # The answer stays: what was asked has been done, and would be done again.
            logger.warning("A request was answered and not recorded: %s", problem.description)
    return response
