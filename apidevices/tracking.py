"""The decision on each request of a protected API: let it through or deny it, and record it.

The order of the checks is the contract with clients: token, identifier, block, registration,
changes, activity. "Blocked?" and "revoked?" are read from the database each time, so there is no
cache that could be stale; while the database is unavailable, nothing passes.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from flask import Request
from sqlalchemy.exc import SQLAlchemyError

from apidevices import clock, devices, signals
from apidevices.activity import ActivityBuffer
from apidevices.database import Database, is_unavailable
from apidevices.identity import DETAILS, DeviceIdentity, IdentityReader, InvalidIdentifier
from apidevices.lookup import FoundDevice, Lookup, LookupFailed
from apidevices.problems import (
    DeviceBlocked,
    DeviceIdInvalid,
    DeviceIdRequired,
    TokenInvalid,
    TokenMissing,
    Unavailable,
)
from apidevices.tokens import digest

logger = logging.getLogger(__name__)


class Caller(NamedTuple):
    """Who makes a request: its token, where tokens are checked, and its device, where one is named.

    ``device_name`` is the name that was given to it, if any.
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
        """The scopes of the token; read by the few calls that ask, not by each."""
        scopes: list[str] = json.loads(self.scopes_json)
        return scopes


class PendingCall(NamedTuple):
    """A request that was let through and has not been recorded yet."""

    identifier: str
    device: FoundDevice | None
    at: datetime


class Tracker:
    """Checks and records requests; made once for an application.

    Args:
        db, lookup, activity, reader: what it works with.
        tokens: whether each request needs a token of ours. Without, the application finds out by
            itself who calls, and what it refuses must leave no trace: so a request is checked
            first, and recorded once it has been let through.
        require_device_id: whether each request must name its device.
    """

    def __init__(
        self,
        db: Database,
        lookup: Lookup,
        activity: ActivityBuffer,
        reader: IdentityReader,
        *,
        tokens: bool,
        require_device_id: bool,
    ) -> None:
        self._db = db
        self._lookup = lookup
        self._activity = activity
        self._reader = reader
        self._require_device_id = require_device_id
        self._tokens = tokens
        self._check = self._check_with_token if tokens else self._check_device

    @property
    def how_to_identify(self) -> str:
        """What a client is told that named no device where one is needed."""
        return f"Send the identifier of the device in the header {self._reader.header}."

    def check(self, request: Request) -> "Caller | PendingCall | None":
        """Let a request through, or raise the problem that answers it.

        Returns:
            Who calls, where that has been recorded; or what is to be recorded; or None where
            nothing is: a request that names no device, or a CORS preflight.

        Raises:
            Problem: one of TokenMissing, TokenInvalid, DeviceIdInvalid, DeviceIdRequired,
                DeviceBlocked, Unavailable.
        """
        if request.method == "OPTIONS" and self._is_preflight(request.environ):
            return None
        try:
            return self._check(request, clock.now())
        except (LookupFailed, SQLAlchemyError) as error:
            _raise_if_unavailable(error)
            raise

    def check_and_record(self, request: Request) -> Caller | None:
        """Let a request through and record it, or raise the problem that answers it.

        Raises:
            Problem: as ``check`` does.
        """
        outcome = self.check(request)
        return self.record(request, outcome) if isinstance(outcome, PendingCall) else outcome

    def record(self, request: Request, call: PendingCall) -> Caller:
        """Record a request that was let through: registration, changes, activity.

        Raises:
            Problem: DeviceBlocked or Unavailable.
        """
        try:
            device_id = self._record(request, call.identifier, call.device, None, call.at)
        except (LookupFailed, SQLAlchemyError) as error:
            _raise_if_unavailable(error)
            raise
        name = call.device and call.device.name
        return Caller(None, None, "[]", device_id, call.identifier, name, call.at)

    def close(self) -> None:
        """Close connections; they come back when needed."""
        self._lookup.close()

    def _is_preflight(self, environ: Mapping[str, Any]) -> bool:
        """Tell whether an OPTIONS request is a browser's CORS preflight.

        A browser sends neither credentials nor headers of the application with it, so whoever
        answers it for the API can't know the device either.
        """
        if (
            "HTTP_ORIGIN" not in environ
            or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ
            or "HTTP_AUTHORIZATION" in environ
        ):
            return False
        try:
            return self._reader.identifier(environ) is None
        except InvalidIdentifier:
            return False

    def _check_device(self, request: Request, now: datetime) -> PendingCall | None:
        try:
            identifier = self._reader.identifier(request.environ)
        except InvalidIdentifier as error:
            raise DeviceIdInvalid(str(error)) from error
        if identifier is None:
            if self._require_device_id:
                raise DeviceIdRequired(self.how_to_identify)
            return None
        device = self._lookup.find(None, identifier, now).device
        if device is not None and device.blocked:
            self._deny(device.id, now)
        return PendingCall(identifier, device, now)

    def _check_with_token(self, request: Request, now: datetime) -> Caller:
        scheme, _, token = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not (token := token.strip()):
            raise TokenMissing
        identifier: str | None = None
        invalid: InvalidIdentifier | None = None
        try:
            identifier = self._reader.identifier(request.environ)
        except InvalidIdentifier as error:
            invalid = error  # the token is judged first
        valid_token, device = self._lookup.find(digest(token), identifier, now)
        if valid_token is None:
            raise TokenInvalid
        if invalid is not None:
            raise DeviceIdInvalid(str(invalid))
        device_id = None
        if identifier is not None:
            device_id = self._record(request, identifier, device, valid_token.id, now)
        elif self._require_device_id:
            raise DeviceIdRequired(self.how_to_identify)
        else:
            self._activity.record_token_use(valid_token.id, now)
        return Caller(
            valid_token.id,
            valid_token.name,
            valid_token.scopes_json,
            device_id,
            identifier,
            None if device is None else device.name,
            now,
        )

    def _record(
        self,
        request: Request,
        identifier: str,
        device: FoundDevice | None,
        token_id: int | None,
        now: datetime,
    ) -> int:
        # Read no sooner than here: it is work, and who is not let in shall not cause it.
        identity = DeviceIdentity(identifier, self._reader.details(request.environ))
        if device is None or (not device.blocked and _changed(device, identity)):
            reported = devices.report(
                self._db, identity, token_id=token_id, address=request.remote_addr, now=now
            )
            device_id, blocked = reported.device_id, reported.blocked
        else:
            device_id, blocked = device.id, device.blocked
        if blocked:
            self._deny(device_id, now)
        self._activity.record_request(device_id, token_id, now, upload=request.method == "POST")
        return device_id

    def _deny(self, device_id: int, now: datetime) -> NoReturn:
        self._activity.record_denial(device_id, now)
        signals.send(signals.device_denied, lambda: devices.get(self._db, device_id))
        raise DeviceBlocked(tokens=self._tokens)


def _raise_if_unavailable(error: Exception) -> None:
    if isinstance(error, LookupFailed) or is_unavailable(error):
        logger.error("The database is unavailable: %s", error)
        raise Unavailable from error


def _changed(device: FoundDevice, identity: DeviceIdentity) -> bool:
    said = identity.details
    return any(
        said[field] != value
        for field, value in zip(DETAILS, device.details, strict=True)
        if field in said
    )
