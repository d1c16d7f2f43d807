"""The hook before each request of a protected API: who calls, may it, and what is new of it.

The order of the checks is the contract with clients: token, identifier, block, registration,
changes, activity. "Blocked?" and "revoked?" are read from the database each time, so there is no
cache that could be stale; where the database can't be asked, nothing passes.
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, NoReturn, TypeVar

from flask import Request
from sqlalchemy.exc import SQLAlchemyError

from apidevices import clock, devices, signals
from apidevices.activity import ActivityBuffer
from apidevices.database import Database, is_unavailable
from apidevices.identity import DETAILS, DeviceIdentity, IdentityReader, InvalidIdentifier
from apidevices.lookup import Known, Lookup, LookupFailed
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

T = TypeVar("T")


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


class Call(NamedTuple):
    """A request that was let through and has not been recorded yet."""

    identifier: str
    known: Known | None
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
        self._check = self._check_with_token if tokens else self._check_device

    @property
    def how_to_identify(self) -> str:
        """What a client is told that named no device where one is needed."""
        return f"Send the identifier of the device in the header {self._reader.header}."

    def check(self, request: Request) -> "Caller | Call | None":
        """Let a request through, or raise the problem that answers it.

        Returns:
            Who calls, where that has been recorded; or what is to be recorded; or None where
            nothing was asked and nothing is to be.

        Raises:
            Problem: one of TokenMissing, TokenInvalid, DeviceIdInvalid, DeviceIdRequired,
                DeviceBlocked, Unavailable.
        """
        return _asked(self._check, request, clock.now())

    def record(self, request: Request, call: Call) -> Caller:
        """Record a request that was let through: registration, changes, activity.

        Raises:
            Problem: DeviceBlocked or Unavailable.
        """
        device_id = _asked(self._record, request, call.identifier, call.known, None, call.at)
        name = call.known and call.known.device_name
        return Caller(None, None, "[]", device_id, call.identifier, name, call.at)

    def close(self) -> None:
        """Close connections; they come back when needed."""
        self._lookup.close()

    def _check_device(self, request: Request, now: datetime) -> Call | None:
        try:
            identifier = self._reader.identifier(request.environ)
        except InvalidIdentifier as error:
            raise DeviceIdInvalid(str(error)) from error
        if identifier is None:
            if self._require_device_id:
                raise DeviceIdRequired(self.how_to_identify)
            return None
        known = self._lookup.find(None, identifier, now)
        if known is not None and known.device_id is not None and known.blocked:
            self._deny(known.device_id, now)
        return Call(identifier, known, now)

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
        known = self._lookup.find(digest(token), identifier, now)
        if known is None or not known.valid or known.token_id is None:
            raise TokenInvalid
        if invalid is not None:
            raise DeviceIdInvalid(str(invalid))
        device_id = None
        if identifier is not None:
            device_id = self._record(request, identifier, known, known.token_id, now)
        elif self._require_device_id:
            raise DeviceIdRequired(self.how_to_identify)
        else:
            self._activity.note_token(known.token_id, now)
        return Caller(
            known.token_id,
            known.token_name,
            known.scopes_json,
            device_id,
            identifier,
            known.device_name,
            now,
        )

    def _record(
        self,
        request: Request,
        identifier: str,
        known: Known | None,
        token_id: int | None,
        now: datetime,
    ) -> int:
        # Read no sooner than here: it is work, and who is not let in shall not cause it.
        identity = DeviceIdentity(identifier, self._reader.details(request.environ))
        device_id = None if known is None else known.device_id
        blocked = known is not None and known.blocked
        if device_id is None or known is None or (not blocked and _changed(known, identity)):
            reported = devices.report(
                self._db, identity, token_id=token_id, address=request.remote_addr, now=now
            )
            device_id, blocked = reported.device_id, reported.blocked
        if blocked:
            self._deny(device_id, now)
        self._activity.note(device_id, token_id, now, upload=request.method == "POST")
        return device_id

    def _deny(self, device_id: int, now: datetime) -> NoReturn:
        self._activity.note_denied(device_id, now)
        signals.send(signals.device_denied, lambda: devices.get(self._db, device_id))
        raise DeviceBlocked


def _asked(ask: Callable[..., T], *arguments: object) -> T:
    """Call what asks the database; that it can't be asked is a problem like any other."""
    try:
        return ask(*arguments)
    except (LookupFailed, SQLAlchemyError) as error:
        if isinstance(error, LookupFailed) or is_unavailable(error):
            logger.error("The database can't be asked: %s", error)
            raise Unavailable from error
        raise


def _changed(known: Known, identity: DeviceIdentity) -> bool:
    said = identity.details
    return any(
        said[field] != value
        for field, value in zip(DETAILS, known.details, strict=True)
        if field in said
    )
