"""A request of a protected API: what it says about its caller, and who the caller is."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from apidevices.identity import IdentityReader, InvalidIdentifier
from apidevices.lookup import FoundDevice, FoundToken
from apidevices.problems import TokenMissing

Environ = Mapping[str, Any]
"""A WSGI environment."""


class Caller(NamedTuple):
    """The caller of a request: its token, if tokens are required, and its device, if identified.

    ``device_name`` is the name that an administrator gave to the device, or None.
    """

    token_id: int | None
    token_name: str | None
    scopes_json: str
    device_id: int | None
    identifier: str | None
    device_name: str | None
    at: datetime

    @property
    def scopes(self) -> list[str]:
        """The scopes of the token, parsed on demand because most requests don't need them."""
        scopes: list[str] = json.loads(self.scopes_json)
        return scopes


class Call(NamedTuple):
    """What a request says about its caller, before the lookup.

    ``invalid_identifier`` is set instead of ``identifier`` if the identifier is invalid. The check
    started at ``started``, by ``time.perf_counter``.
    """

    environ: Environ
    token_digest: bytes | None
    identifier: str | None
    invalid_identifier: InvalidIdentifier | None
    at: datetime
    started: float

    def caller(
        self, token: FoundToken | None, device_id: int | None, device: FoundDevice | None
    ) -> Caller:
        """Return the caller, by its token and device. A new device has only an id so far."""
        return Caller(
            None if token is None else token.id,
            None if token is None else token.name,
            "[]" if token is None else token.scopes_json,
            device_id,
            self.identifier,
            None if device is None else device.name,
            self.at,
        )


class PendingCall(NamedTuple):
    """A request that is allowed but not recorded yet."""

    call: Call
    token: FoundToken | None
    device: FoundDevice | None


def bearer_token(environ: Environ) -> str:
    """Return the bearer token of a request.

    Raises:
        TokenMissing: The request has none.
    """
    header: str = environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not (token := token.strip()):
        raise TokenMissing
    return token


def is_preflight(environ: Environ, reader: IdentityReader) -> bool:
    """Return whether an OPTIONS request is a browser's CORS preflight request.

    Browsers send neither credentials nor custom headers with it, so the device is unknown.
    """
    if (
        not environ.get("HTTP_ORIGIN")
        or not environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        or "HTTP_AUTHORIZATION" in environ
    ):
        return False
    try:
        return reader.identifier(environ) is None
    except InvalidIdentifier:
        return False
