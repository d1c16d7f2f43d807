"""The hook before each request of a protected API: who calls, may it, and what is new of it.

The order of the checks is the contract with clients: token, identifier, block, registration,
changes, activity. "Blocked?" and "revoked?" are read from the database each time, so there is no
cache that could be stale; where the database can't be asked, nothing passes.
"""

import json
import logging
from datetime import datetime
from typing import NamedTuple

from flask import Request, g
from sqlalchemy.exc import SQLAlchemyError

from apidevices import clock, devices
from apidevices.activity import ActivityBuffer
from apidevices.database import Database, is_unavailable
from apidevices.errors import (
    DeviceBlocked,
    DeviceIdInvalid,
    DeviceIdRequired,
    TokenInvalid,
    TokenMissing,
    Unavailable,
)
from apidevices.identity import DETAILS, DeviceIdentity, IdentityReader, InvalidIdentifier
from apidevices.lookup import Known, Lookup, LookupFailed
from apidevices.tokens import digest

logger = logging.getLogger(__name__)


class Caller(NamedTuple):
    """Who makes a request: its token, and its device where one was named."""

    token_id: int
    token_name: str
    scopes_json: str
    device_id: int | None
    at: datetime

    @property
    def scopes(self) -> list[str]:
        """The scopes of the token; read by the few calls that ask, not by each."""
        scopes: list[str] = json.loads(self.scopes_json)
        return scopes


class Tracker:
    """Checks and records one request; made once for an application."""

    def __init__(
        self,
        db: Database,
        lookup: Lookup,
        activity: ActivityBuffer,
        reader: IdentityReader,
        *,
        require_device_id: bool,
    ) -> None:
        self._db = db
        self._lookup = lookup
        self._activity = activity
        self._reader = reader
        self._require_device_id = require_device_id

    @property
    def how_to_identify(self) -> str:
        """What a client is told that named no device where one is needed."""
        return f"Send the identifier of the device in the header {self._reader.header}."

    def check(self, request: Request) -> Caller:
        """Let a request through, or raise the problem that answers it.

        Raises:
            Problem: one of TokenMissing, TokenInvalid, DeviceIdInvalid, DeviceIdRequired,
                DeviceBlocked, Unavailable.
        """
        try:
            return self._check(request, clock.now())
        except (LookupFailed, SQLAlchemyError) as error:
            if isinstance(error, LookupFailed) or is_unavailable(error):
                logger.error("The database can't be asked: %s", error)
                raise Unavailable from error
            raise

    def _check(self, request: Request, now: datetime) -> Caller:
        scheme, _, token = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not (token := token.strip()):
            raise TokenMissing
        identifier: str | None = None
        invalid: InvalidIdentifier | None = None
        try:
            identifier = self._reader.identifier(request.environ)
        except InvalidIdentifier as error:
            invalid = error  # the token is judged first
        known = self._lookup.find(digest(token), identifier, now)
        if known is None or not known.valid:
            raise TokenInvalid
        token_id = known.token_id
        if invalid is not None:
            raise DeviceIdInvalid(str(invalid))
        if identifier is None:
            if self._require_device_id:
                raise DeviceIdRequired(self.how_to_identify)
            self._activity.note_token(token_id, now)
            return _caller(known, None, now)
        # Read no sooner than here: it is work, and who has no token shall not cause it.
        identity = DeviceIdentity(identifier, self._reader.details(request.environ))
        device_id, blocked = known.device_id, known.blocked
        if device_id is None or (not blocked and _changed(known, identity)):
            reported = devices.report(
                self._db, identity, token_id=token_id, address=request.remote_addr, now=now
            )
            device_id, blocked = reported.device_id, reported.blocked
        if blocked:
            self._activity.note_denied(device_id, now)
            raise DeviceBlocked
        self._activity.note(device_id, token_id, now, upload=request.method == "POST")
        return _caller(known, device_id, now)


def current_caller() -> Caller | None:
    """Return who makes the current request; None outside a protected API."""
    caller: Caller | None = g.get("_apidevices_caller")
    return caller


def remember_caller(caller: Caller) -> None:
    """Keep who makes the current request, for its view."""
    g._apidevices_caller = caller


def _caller(known: Known, device_id: int | None, now: datetime) -> Caller:
    return Caller(known.token_id, known.token_name, known.scopes_json, device_id, now)


def _changed(known: Known, identity: DeviceIdentity) -> bool:
    said = identity.details
    return any(
        said[field] != value
        for field, value in zip(DETAILS, known.details, strict=True)
        if field in said
    )
