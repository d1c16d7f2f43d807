"""API errors as RFC 9457 problems: one class per error, each with a stable code."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flask import request
from werkzeug.exceptions import Conflict as HTTPConflict
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    TooManyRequests,
    UnprocessableEntity,
)
from werkzeug.exceptions import NotFound as HTTPNotFound
from werkzeug.wrappers import Response

from apidevices.errors import APIDevicesError, Conflict, InvalidInput, LimitReached, NotFound

_BY_STATUS = {
    400: ("invalid_request", "Invalid request"),
    401: ("token_invalid", "Token invalid"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    409: ("conflict", "Conflict"),
    412: ("precondition_failed", "Precondition failed"),
    413: ("payload_too_large", "Payload too large"),
    415: ("unsupported_media_type", "Unsupported media type"),
    422: ("invalid_request", "Invalid request"),
    429: ("rate_limited", "Too many requests"),
    503: ("unavailable", "Temporarily unavailable"),
}


API_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every response of the API and of the gate."""


class ProblemDetails(NamedTuple):
    """The reason for denying a request: RFC 9457 fields, and headers to send with the response.

    ``code`` is a stable error code such as ``device_blocked``; ``status`` is its HTTP status.
    """

    code: str
    title: str
    status: int
    detail: str
    headers: Mapping[str, str]


class Problem(HTTPException):
    """An API error, which renders itself as ``application/problem+json``.

    If ``response`` is set, it is sent instead.
    """

    code = 400
    problem_code = "invalid_request"
    title = "Invalid request"
    description = "The request is invalid."
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def details(self) -> ProblemDetails:
        """The error as data."""
        return ProblemDetails(
            self.problem_code, self.title, self.code, self.description or "", dict(self.headers)
        )

    def get_response(self, environ: Any = None, scope: Any = None) -> Response:
        """Return the error as a response."""
        if isinstance(self.response, Response):
            return self.response
        return _problem_response(
            self.code,
            self.problem_code,
            self.title,
            self.description or "",
            dict(self.headers),
        )


class TokenMissing(Problem):
    """No bearer token was sent."""

    code = 401
    problem_code = "token_missing"
    title = "Token missing"
    description = "Send an API token: 'Authorization: Bearer <token>'."
    headers = (("WWW-Authenticate", "Bearer"),)


class TokenInvalid(Problem):
    """The token is unknown, revoked or expired."""

    code = 401
    problem_code = "token_invalid"
    title = "Token invalid"
    description = "This token is unknown, revoked or expired. Ask an administrator for a new one."
    headers = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)


class DeviceIdRequired(Problem):
    """The request needs a device identifier but carries none."""

    problem_code = "device_id_required"
    title = "Device identifier required"


class DeviceIdInvalid(Problem):
    """The device identifier is invalid."""

    problem_code = "device_id_invalid"
    title = "Device identifier invalid"


class DeviceBlocked(Problem):
    """The calling device is blocked.

    Args:
        tokens: Whether requests carry an API Devices token, so the message can say that the token
            is still valid.
    """

    code = 403
    problem_code = "device_blocked"
    title = "Device blocked"

    def __init__(self, *, tokens: bool) -> None:
        still_valid = " The token is still valid." if tokens else ""
        super().__init__(
            f"An administrator has blocked this device.{still_valid} Do not ask the user to sign in"
            " again. Retry only after the device has been unblocked."
        )


class InsufficientScope(Problem):
    """The token lacks the scope that the operation needs."""

    code = 403
    problem_code = "insufficient_scope"
    title = "Insufficient scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This operation needs a token with the scope {scope}.")
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        self.headers = (("WWW-Authenticate", challenge),)


class Unavailable(Problem):
    """The database is unavailable."""

    code = 503
    problem_code = "unavailable"
    title = "Temporarily unavailable"
    description = "The service is temporarily unavailable. Try again shortly."
    headers = (("Retry-After", "2"),)


class DeviceDeleted(Unavailable):
    """The calling device was deleted or merged while its request was under way."""

    description = "An administrator has just deleted or merged this device. Try again."


class RateLimited(Problem):
    """A rate limit is reached.

    Args:
        retry_after: Seconds until the request can succeed.
        description: Which limit it is, and what to do about it.
    """

    code = 429
    problem_code = "rate_limited"
    title = "Too many requests"

    def __init__(self, retry_after: int, description: str) -> None:
        super().__init__(description)
        self.headers = (("Retry-After", str(retry_after)),)


class PreconditionFailed(Problem):
    """The device was modified since the client fetched it."""

    code = 412
    problem_code = "precondition_failed"
    title = "Precondition failed"
    description = "The device was modified since you fetched it. Fetch it again and retry."


class _Internal(Problem):
    code = 500
    problem_code = "internal_error"


def _codes() -> Mapping[int, Sequence[str]]:
    codes: dict[int, list[str]] = {}
    known = [(kind.code, kind.problem_code) for kind in Problem.__subclasses__()]
    for status, code in [*known, *((status, code) for status, (code, _) in _BY_STATUS.items())]:
        if code not in codes.setdefault(status, []):
            codes[status].append(code)
    return codes


CODES = _codes()
"""HTTP status -> all codes that are used with it."""


_HTTP_ERRORS: Mapping[type[APIDevicesError], type[HTTPException]] = {
    NotFound: HTTPNotFound,
    InvalidInput: UnprocessableEntity,
    Conflict: HTTPConflict,
}


def as_http_error(error: APIDevicesError) -> HTTPException:
    """Return the HTTP error for an error of this package, for pages and for the API.

    Raises:
        APIDevicesError: The error itself, if the request did not cause it.
    """
    for kind, http_error in _HTTP_ERRORS.items():
        if isinstance(error, kind):
            return http_error(str(error))
    if isinstance(error, LimitReached):
        return TooManyRequests(str(error), retry_after=error.retry_after)
    raise error


def as_problem(error: HTTPException) -> Response:
    """Return an HTTP error as a problem response. Problems and redirects stay unchanged."""
    response = error.get_response()
    if isinstance(error, Problem) or response.status_code < 400:
        return response
    code, title = _BY_STATUS.get(
        response.status_code,
        ("internal_error", "Internal error")
        if response.status_code >= 500
        else ("invalid_request", "Invalid request"),
    )
    headers = {
        name: value
        for name, value in response.headers.items()
        if name in ("Allow", "Retry-After", "WWW-Authenticate", "Content-Range")
    }
    detail = _own_description(error) or error.description or title
    if response.status_code >= 500 and code == "internal_error":
        detail = "Something went wrong on the server. The error has been logged."
    return _problem_response(response.status_code, code, title, detail, headers)


def add_api_headers(response: Response) -> Response:
    """Add ``API_HEADERS`` to a response of the API."""
    for name, value in API_HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def has_default_description(error: HTTPException) -> bool:
    """Return whether an error has the text that Werkzeug gives to all of its kind."""
    return error.description == type(error).description


def _own_description(error: HTTPException) -> str | None:
    """Return a description to use instead of Werkzeug's, which is for people with browsers."""
    if not has_default_description(error):
        return None
    if isinstance(error, HTTPNotFound):
        return "There is nothing at this URL. Check the path."
    if isinstance(error, MethodNotAllowed):
        return (
            f"This URL doesn't support {request.method}. The Allow header lists the methods it"
            " supports."
        )
    return None


def _problem_response(
    status: int, code: str, title: str, detail: str, headers: dict[str, str]
) -> Response:
    body = {
        "type": f"urn:apidevices:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return Response(
        json.dumps(body) + "\n",
        status=status,
        headers={**API_HEADERS, **headers},
        content_type="application/problem+json",
    )
