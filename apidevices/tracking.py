"""The hook before each request of a protected API: who calls, may it, and what is new of it.

The order of the checks is the contract with clients: token, identifier, block, registration,
changes, activity. "Blocked?" and "revoked?" are read from the database each time, so there is no
cache that could be stale; where the database can't be asked, nothing passes.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from flask import Request, g
from sqlalchemy import RowMapping, bindparam, select
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
from apidevices.models import ApiToken, Device
from apidevices.tokens import digest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: its token, and its device where one was named."""

    token_id: int
    token_name: str
    scopes: tuple[str, ...]
    device_id: int | None
    at: datetime


class Tracker:
    """Checks and records one request; made once for an application."""

    def __init__(
        self,
        db: Database,
        activity: ActivityBuffer,
        reader: IdentityReader,
        *,
        require_device_id: bool,
    ) -> None:
        self._db = db
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
        except SQLAlchemyError as error:
            if is_unavailable(error):
                logger.error("The database can't be asked: %s", error)
                raise Unavailable from error
            raise

    def _check(self, request: Request, now: datetime) -> Caller:
        authorization = request.authorization
        if authorization is None or authorization.type != "bearer" or not authorization.token:
            raise TokenMissing
        identity: DeviceIdentity | None = None
        invalid: InvalidIdentifier | None = None
        try:
            identity = self._reader.read(request.environ)
        except InvalidIdentifier as error:
            invalid = error  # the token is judged first
        known = self._look_up(authorization.token, identity)
        if known is None or known["revoked_at"] or _expired(known["expires_at"], now):
            raise TokenInvalid
        token_id = known["token_id"]
        if invalid is not None:
            raise DeviceIdInvalid(str(invalid))
        if identity is None:
            if self._require_device_id:
                raise DeviceIdRequired(self.how_to_identify)
            self._activity.note_token(token_id, now)
            return _caller(known, None, now)
        device_id = known["device_id"]
        blocked = known["blocked_at"] is not None
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

    def _look_up(self, token: str, identity: DeviceIdentity | None) -> RowMapping | None:
        """Read token and device together, in one round trip outside any transaction."""
        parameters = {
            "digest": digest(token),
            "identifier": identity.identifier if identity else None,
        }
        with self._db.connect() as connection:
            return connection.execute(_LOOK_UP, parameters).mappings().first()


def current_caller() -> Caller | None:
    """Return who makes the current request; None outside a protected API."""
    caller: Caller | None = g.get("_apidevices_caller")
    return caller


def remember_caller(caller: Caller) -> None:
    """Keep who makes the current request, for its view."""
    g._apidevices_caller = caller


_LOOK_UP = (
    select(
        ApiToken.id.label("token_id"),
        ApiToken.name.label("token_name"),
        ApiToken.scopes,
        ApiToken.expires_at,
        ApiToken.revoked_at,
        Device.id.label("device_id"),
        Device.blocked_at,
        *(getattr(Device, field) for field in DETAILS),
    )
    .select_from(ApiToken)
    .outerjoin(Device, Device.identifier == bindparam("identifier"))
    .where(ApiToken.digest == bindparam("digest"))
)


def _expired(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at <= now


def _changed(known: RowMapping, identity: DeviceIdentity) -> bool:
    return any(known[field] != value for field, value in identity.details.items())


def _caller(known: RowMapping, device_id: int | None, now: datetime) -> Caller:
    return Caller(known["token_id"], known["token_name"], tuple(known["scopes"]), device_id, now)
