"""Allow or deny each request of a protected API, and record it.

Clients rely on the order of the steps: token, identifier, block, registration, changes, activity.
Blocks and revocations are read from the database for each request, so no cache can be stale. While
the database is unavailable, every request is denied.
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


class PendingCall(NamedTuple):
    """A request that was allowed but is not recorded yet."""

    identifier: str
    device: FoundDevice | None
    at: datetime


class Tracker:
    """Checks and records requests, either with API Devices tokens or without.

    Args:
        db: The database to which devices are written.
        lookup: Finds the token and device of a request.
        activity: Buffers activity times until they are written.
        reader: Reads the device headers.
        tokens: Whether requests must carry an API Devices token. If false, the application
            authenticates its callers itself, and requests that it rejects must leave no trace. A
            request is therefore recorded in a second step, after the application has accepted it.
        require_device_id: Whether requests must carry a device identifier.
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
    def missing_identifier_message(self) -> str:
        """The message for a client that sent no device identifier although it is required."""
        return f"Send the device identifier in the {self._reader.header} header."

    def check(self, request: Request) -> "Caller | PendingCall | None":
        """Allow a request, or raise the problem that denies it.

        Returns:
            The caller, if the request has been recorded. A pending call, if it is still to be
            recorded. None, if there is nothing to record: a CORS preflight request, or, without
            ``tokens``, a request without a device identifier.

        Raises:
            Problem: One of TokenMissing, TokenInvalid, DeviceIdInvalid, DeviceIdRequired,
                DeviceBlocked, Unavailable.
        """
        # Not request.method, which is in upper case: methods are case-sensitive.
        if request.environ["REQUEST_METHOD"] == "OPTIONS" and self._is_preflight(request.environ):
            return None
        try:
            return self._check(request, clock.now())
        except (LookupFailed, SQLAlchemyError) as error:
            _raise_if_unavailable(error)
            raise

    def check_and_record(self, request: Request) -> Caller | None:
        """Allow a request and record it, or raise the problem that denies it.

        Raises:
            Problem: See ``check``.
        """
        outcome = self.check(request)
        return self.record(request, outcome) if isinstance(outcome, PendingCall) else outcome

    def record(self, request: Request, call: PendingCall) -> Caller:
        """Record an allowed request: registration, changes, activity.

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
        """Close connections. They are reopened on demand."""
        self._lookup.close()

    def _is_preflight(self, environ: Mapping[str, Any]) -> bool:
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
                raise DeviceIdRequired(self.missing_identifier_message)
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
            invalid = error  # raised below: an invalid token takes precedence
        valid_token, device = self._lookup.find(digest(token), identifier, now)
        if valid_token is None:
            raise TokenInvalid
        if invalid is not None:
            raise DeviceIdInvalid(str(invalid))
        device_id = None
        if identifier is not None:
            device_id = self._record(request, identifier, device, valid_token.id, now)
        elif self._require_device_id:
            raise DeviceIdRequired(self.missing_identifier_message)
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
        # Parse the details only now: unauthenticated requests must not trigger this work.
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
    stored = list(device.details)
    return list(map(identity.details.get, DETAILS, stored)) != stored
