"""``/verify``: forward authentication for a proxy in front of an API in any language.

The proxy calls it before forwarding a request. A 200 allows the request, and its headers identify
the caller to the API. Any other response is an error to pass on to the client, with the usual
problem body.

The gate responds before Flask, which would take several times as long as the check: ``Gate`` as a
WSGI callable, ``AsyncGate`` in an event loop. The blueprint serves applications that use neither.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

from flask import Flask, Response, request
from flask.globals import app_ctx
from flask.sansio.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import InternalServerError
from werkzeug.routing import Rule

from apidevices import signals, state
from apidevices.calls import Call, Caller, Environ, PendingCall
from apidevices.lookup import LookupFailed, make_async_lookup
from apidevices.metrics import outcome_of
from apidevices.problems import API_HEADERS, Problem, as_problem
from apidevices.protection import AnyPath, OwnBlueprint
from apidevices.tracking import Tracker

logger = logging.getLogger(__name__)

_ALLOWED = [*API_HEADERS.items(), ("Content-Length", "0")]
_ASCII = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

StartResponse = Callable[[str, list[tuple[str, str]]], object]
WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


class GateResponse(NamedTuple):
    """A response of the gate."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Gate:
    """Responds to requests for one path and everything below it.

    Envoy appends the original path to ``/verify`` and keeps the original method. Other proxies call
    ``/verify`` itself with GET, and send the original method and URI in headers.

    Args:
        app: The application that the extension is initialized for.
        next_app: Receives all other requests.
        path: The path of the gate.
    """

    def __init__(self, app: Flask, next_app: WSGIApplication, path: str = "/verify") -> None:
        self._app = app
        self._next_app = next_app
        self._path = path

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Respond to a WSGI request."""
        if not self.handles(environ.get("PATH_INFO", "")):
            return self._next_app(environ, start_response)
        status, headers, body = self.respond(environ)
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def handles(self, path: str) -> bool:
        """Return whether the gate responds to a path."""
        return path.startswith(self._path) and path[len(self._path) :][:1] in ("", "/")

    def respond(self, environ: Environ) -> GateResponse:
        """Check and record the original request of a subrequest."""
        original = _original(environ)
        try:
            return _allow(self._with_signals(self._tracker.check, original))
        except Problem as problem:
            return _deny(problem, original)
        except Exception:
            return _fail()

    @property
    def _tracker(self) -> Tracker:
        app_state: state.State = self._app.extensions[state.EXTENSION]
        return app_state.gate_tracker

    def _with_signals(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function that may send signals, whose receivers need an application context."""
        if not signals.has_receivers():
            return function(*arguments)
        with self._app.app_context():
            return function(*arguments)


class AsyncGate(Gate):
    """Responds in an event loop: only requests that write to the database take a thread.

    Args:
        app: The application that the extension is initialized for.
        executor: Provides the threads.
    """

    def __init__(self, app: Flask, executor: ThreadPoolExecutor) -> None:
        super().__init__(app, app.wsgi_app)
        self._executor = executor
        self._lookup = make_async_lookup(self._tracker.lookup, executor)

    async def respond_async(self, environ: Environ) -> GateResponse:
        """Check and record the original request of a subrequest."""
        original = _original(environ)
        try:
            return _allow(await self._check(original))
        except Problem as problem:
            return _deny(problem, original)
        except Exception:
            return _fail()

    def close(self) -> None:
        """Close connections. Needs the event loop."""
        self._lookup.close()

    async def _check(self, original: Environ) -> Caller | None:
        tracker = self._tracker
        call = tracker.read(original)
        if call is None:
            return None
        try:
            caller = await self._decide(tracker, call)
        except Exception as error:
            tracker.metrics.count_check(outcome_of(error), call.started)
            raise
        tracker.metrics.count_check("allowed", call.started)
        return caller

    async def _decide(self, tracker: Tracker, call: Call) -> Caller:
        try:
            found = await self._lookup.find(call.token_digest, call.identifier, call.at)
        except LookupFailed as error:
            tracker.raise_if_unavailable(error)
            raise
        outcome: Caller | PendingCall
        if signals.has_receivers():  # they may take their time
            outcome = await self._in_thread(tracker.decide, call, found)
        else:
            outcome = tracker.decide(call, found)
        if isinstance(outcome, PendingCall):
            recorded: Caller = await self._in_thread(tracker.record, outcome)
            return recorded
        return outcome

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        run = contextvars.copy_context().run
        return await loop.run_in_executor(
            self._executor, run, self._with_signals, function, *arguments
        )


blueprint = OwnBlueprint("apidevices_gate", __name__)


@blueprint.record
def _add_rules(setup: BlueprintSetupState) -> None:
    """Route every method and path below ``/verify`` to the gate."""
    endpoint = f"{setup.name_prefix}.{setup.name}.verify".lstrip(".")
    setup.app.view_functions[endpoint] = verify
    setup.app.url_map.converters["apidevices_path"] = AnyPath
    for path in ("/verify", "/verify/<apidevices_path:original_path>"):
        setup.app.url_map.add(
            Rule(
                f"{setup.url_prefix or ''}{path}",
                endpoint=endpoint,
                strict_slashes=False,
                merge_slashes=False,
            )
        )


def verify(original_path: str = "") -> ResponseReturnValue:
    """Return 200 if the original request is allowed, else the problem that denies it."""
    app = app_ctx.app  # not the proxy
    status, headers, body = Gate(app, app.wsgi_app).respond(request.environ)
    return Response(body, status, headers)


def _allow(caller: Caller | None) -> GateResponse:
    """Return the response that allows a request and identifies its caller to the API."""
    # Send empty values too: Caddy would forward a placeholder instead of a missing header.
    identifier = name = token = ""
    if caller is not None:
        identifier = caller.identifier or ""
        name = caller.device_name or identifier
        token = caller.token_name or ""
    return GateResponse(
        200,
        [
            ("X-Device-Id", quote(identifier, _ASCII)),
            ("X-Device-Name", quote(name, _ASCII)),
            ("X-Token-Name", quote(token, _ASCII)),
            *_ALLOWED,
        ],
        b"",
    )


def _deny(problem: Problem, original: Environ) -> GateResponse:
    """Return the response that denies a request."""
    uri = original.get("HTTP_X_ORIGINAL_URI") or original.get("HTTP_X_FORWARDED_URI")
    logger.info(
        "Denied by the gate: %s %s: %s",
        original["REQUEST_METHOD"],
        (uri or original.get("PATH_INFO", "")).partition("?")[0],  # a query may contain secrets
        problem.problem_code,
    )
    response = problem.get_response()
    # nginx can pass a header of this response to the client, but not the body.
    response.headers["X-Problem"] = response.get_data(as_text=True).strip()
    return GateResponse(response.status_code, list(response.headers), response.get_data())


def _fail() -> GateResponse:
    """Log the current exception and return the response that denies the request."""
    logger.exception("The gate failed")
    response = as_problem(InternalServerError())
    return GateResponse(response.status_code, list(response.headers), response.get_data())


def _original(environ: Environ) -> Environ:
    """Return the original request: the proxy's request with the original method."""
    method = environ.get("HTTP_X_ORIGINAL_METHOD") or environ.get("HTTP_X_FORWARDED_METHOD")
    return {**environ, "REQUEST_METHOD": method} if method else environ
