"""Errors of the API: RFC 9457 problems, one class a case, each with its stable code."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

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


class ProblemDetails(NamedTuple):
    """Why a request is denied: fields as in RFC 9457, and the headers that belong to the answer.

    ``code`` is one of the stable codes, such as ``device_blocked``; ``status`` the HTTP status that
    goes with it.
    """

    code: str
    title: str
    status: int
    detail: str
    headers: Mapping[str, str]


class Problem(HTTPException):
    """An error of the API, which answers for itself as ``application/problem+json``.

    With a ``response`` of its own it answers with that.
    """

    code = 400
    problem_code = "invalid_request"
    title = "Invalid request"
    description = "The request can't be understood."
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def details(self) -> ProblemDetails:
        """What the answer says."""
        return ProblemDetails(
            self.problem_code, self.title, self.code, self.description or "", dict(self.headers)
        )

    def get_response(self, environ: Any = None, scope: Any = None) -> Response:
        """Return the whole answer."""
        if isinstance(self.response, Response):
            return self.response
        return _answer(
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
    description = "This token is unknown, revoked or expired. Ask for a new one."
    headers = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)


class DeviceIdRequired(Problem):
    """No device identifier was sent where one is needed."""

    problem_code = "device_id_required"
    title = "Device identifier required"


class DeviceIdInvalid(Problem):
    """A device identifier was sent that can't name a device."""

    problem_code = "device_id_invalid"
    title = "Device identifier invalid"


class DeviceBlocked(Problem):
    """The device that calls has been blocked.

    Args:
        tokens: whether requests come with a token of ours, which a client might blame.
    """

    code = 403
    problem_code = "device_blocked"
    title = "Device blocked"

    def __init__(self, *, tokens: bool) -> None:
        innocent = "The token is not at fault: do" if tokens else "Do"
        super().__init__(
            f"An administrator has blocked this device. {innocent} not ask the user to sign in"
            " again. Try again only after the device has been unblocked."
        )


class InsufficientScope(Problem):
    """The token lacks a scope that the call needs."""

    code = 403
    problem_code = "insufficient_scope"
    title = "Insufficient scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This call needs a token with the scope {scope}.")
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        self.headers = (("WWW-Authenticate", challenge),)


class Unavailable(Problem):
    """The database can't be asked just now."""

    code = 503
    problem_code = "unavailable"
    title = "Temporarily unavailable"
    description = "The request could not be checked or stored just now. Try again shortly."
    headers = (("Retry-After", "2"),)


class PreconditionFailed(Problem):
    """What was to be changed is not any more what the caller had seen."""

    code = 412
    problem_code = "precondition_failed"
    title = "Changed meanwhile"
    description = "Somebody has changed it since. Get it anew, and decide again."


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
"""Status -> every code that comes with it."""


def as_problem(error: HTTPException) -> Response:
    """Return any HTTP error as a problem; redirects and problems stay what they are."""
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
    detail = error.description or title
    if response.status_code >= 500 and code == "internal_error":
        detail = "Something went wrong on the server. It has been logged."
    return _answer(response.status_code, code, title, detail, headers)


def _answer(status: int, code: str, title: str, detail: str, headers: dict[str, str]) -> Response:
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
        headers={"Cache-Control": "no-store", **headers},
        content_type="application/problem+json",
    )
