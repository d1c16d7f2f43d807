"""Allow or deny each request of a protected API, and record it.

Clients rely on the order of the steps: token, identifier, block, registration, changes, activity.
Limits on registrations and changes come last, so that they reveal nothing to a blocked device.
Blocks and revocations are read from the database for each request, so no cache can be stale. While
the database is unavailable, every request is denied.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from time import perf_counter
from typing import NoReturn

from sqlalchemy.exc import SQLAlchemyError

from apidevices import clock, devices, metrics, signals
from apidevices.activity import ActivityBuffer
from apidevices.calls import Call, Caller, Environ, PendingCall, bearer_token, is_preflight
from apidevices.database import Database, is_unavailable, log_unavailable
from apidevices.devices import KnownSets, ReportLimits, ReportNumbers
from apidevices.errors import LimitReached
from apidevices.identity import DeviceIdentity, IdentityReader, InvalidIdentifier
from apidevices.limiter import Limiter
from apidevices.lookup import Found, FoundToken, Lookup, LookupFailed
from apidevices.metrics import Metrics
from apidevices.problems import (
    DeviceBlocked,
    DeviceIdInvalid,
    DeviceIdRequired,
    RateLimited,
    TokenInvalid,
    Unavailable,
)
from apidevices.tokens import digest

logger = logging.getLogger(__name__)

_CHANGES = {"registered": metrics.REGISTRATIONS, "changed": metrics.CHANGES}


class Tracker:
    """Checks and records requests, either with API Devices tokens or without.

    A check has three steps, which ``check`` runs in sequence: ``read`` the request, look up its
    token and device, and ``decide``. Only the lookup waits for the database, so a server can run
    it in its own way. A request that registers a device or changes its details takes a fourth
    step, ``record``, which writes to the database.

    Args:
        db: The database to which devices are written.
        lookup: Finds the token and device of a request.
        activity: Buffers activity times until they are written.
        reader: Reads the device headers.
        tokens: Whether requests must carry an API Devices token.
        deferred: Whether the application authenticates its callers itself. Requests that it rejects
            must leave no trace, so it calls ``record`` after it has accepted a request.
        require_device_id: Whether requests must carry a device identifier, whatever their token.
        metrics: Counts requests.
        limiter: Counts registrations and changes. Trackers of one application share it.
        numbers: The limits on registrations and changes. By default there are none.
        known_sets: Remembers devices that may be several. Trackers of one application share it.
    """

    def __init__(
        self,
        db: Database,
        lookup: Lookup,
        activity: ActivityBuffer,
        reader: IdentityReader,
        *,
        tokens: bool,
        deferred: bool = False,
        require_device_id: bool,
        metrics: Metrics | None = None,
        limiter: Limiter | None = None,
        numbers: ReportNumbers | None = None,
        known_sets: KnownSets | None = None,
    ) -> None:
        self._db = db
        self.lookup = lookup
        self._activity = activity
        self._reader = reader
        self.metrics = metrics or Metrics()
        self._require_device_id = require_device_id
        self._tokens = tokens
        self._deferred = deferred
        self._limiter = limiter or Limiter(db, self.metrics)
        self._numbers = numbers or ReportNumbers()
        self._known_sets = known_sets or KnownSets(db)

    @property
    def missing_identifier_message(self) -> str:
        """The message for a client that sent no device identifier although it is required."""
        return f"Send the device identifier in the {self._reader.header} header."

    def check(self, environ: Environ) -> "Caller | PendingCall | None":
        """Allow a request, or raise the problem that denies it.

        Args:
            environ: The WSGI environment of the request.

        Returns:
            The caller, if the request has been recorded. A pending call, if it is still to be
            recorded. None, if there is nothing to record: a CORS preflight request, or, without
            tokens, a request without a device identifier.

        Raises:
            Problem: One of TokenMissing, TokenInvalid, DeviceIdInvalid, DeviceIdRequired,
                DeviceBlocked, RateLimited, Unavailable.
        """
        call = self.read(environ)
        if call is None:
            return None
        try:
            outcome = self._check(call)
        except Exception as error:
            self.metrics.count_check(metrics.outcome_of(error), call.started)
            raise
        self.metrics.count_check("allowed", call.started)
        return outcome

    def read(self, environ: Environ) -> Call | None:
        """Read a request, or return None if it is allowed without a lookup.

        Count requests that need no lookup. The caller counts the others.

        Raises:
            Problem: TokenMissing, DeviceIdInvalid or DeviceIdRequired.
        """
        try:
            call = self._read(environ, perf_counter())
        except Exception as error:
            self.metrics.count_request(metrics.outcome_of(error))
            raise
        if call is None:
            is_options = environ["REQUEST_METHOD"] == "OPTIONS"
            self.metrics.count_request("preflight" if is_options else "allowed")
        return call

    def _check(self, call: Call) -> "Caller | PendingCall":
        try:
            found = self.lookup.find(call.token_digest, call.identifier, call.at)
        except (LookupFailed, SQLAlchemyError) as error:
            self.raise_if_unavailable(error)
            raise
        outcome = self.decide(call, found)
        if isinstance(outcome, PendingCall) and not self._deferred:
            return self.record(outcome)
        return outcome

    def _read(self, environ: Environ, started: float) -> Call | None:
        # Methods are case-sensitive: a browser sends OPTIONS in upper case.
        if environ["REQUEST_METHOD"] == "OPTIONS" and is_preflight(environ, self._reader):
            return None
        token_digest = None
        if self._tokens:
            token_digest = digest(bearer_token(environ))
        identifier, invalid = None, None
        try:
            identifier = self._reader.identifier(environ)
        except InvalidIdentifier as error:
            if not self._tokens:
                raise DeviceIdInvalid(str(error)) from error
            invalid = error  # raised by decide(): an invalid token takes precedence
        if identifier is None and not self._tokens:
            if self._require_device_id:
                raise DeviceIdRequired(self.missing_identifier_message)
            return None
        return Call(environ, token_digest, identifier, invalid, clock.now(), started)

    def decide(self, call: Call, found: Found) -> "Caller | PendingCall":
        """Allow a request, or raise the problem that denies it, by its token and device.

        Returns:
            A pending call, if the request is still to be recorded, else the caller.

        Raises:
            Problem: TokenInvalid, DeviceIdInvalid, DeviceIdRequired, DeviceBlocked or RateLimited.
        """
        token, device = found
        if self._tokens:
            if token is None:
                raise TokenInvalid
            if call.invalid_identifier is not None:
                raise DeviceIdInvalid(str(call.invalid_identifier))
            if call.identifier is None:
                if self._require_device_id or token.requires_device_id:
                    raise DeviceIdRequired(self.missing_identifier_message)
                self._activity.record_token_use(token.id, call.at)
                return call.caller(token, None, None)
        if device is not None and device.blocked:
            self._deny(call, token, device.id)
        pending = PendingCall(call, token, device)
        if self._deferred:
            return pending
        # Parse the details only for allowed requests: others must not trigger this work.
        details = self._reader.details(call.environ)
        if device is None or self._known_sets.needs_report(device, details, call.at):
            self._limits(pending, details)  # without the database, so also in an event loop
            return pending
        return self._record_activity(pending, device.id)

    def record(self, pending: PendingCall) -> Caller:
        """Record an allowed request: registration, changes, activity. Writes to the database.

        Raises:
            Problem: DeviceBlocked, RateLimited or Unavailable.
        """
        call, token, device = pending
        details = self._reader.details(call.environ)
        identity = DeviceIdentity(call.identifier or "", details)
        try:
            swings = self._known_sets.claim(device, details, call.at) if device is not None else 0
            if device is not None and swings is None:
                return self._record_activity(pending, device.id)
            limits = self._limits(pending, details)
            reported = devices.report(
                self._db,
                identity,
                token_id=token and token.id,
                address=call.environ.get("REMOTE_ADDR"),
                now=call.at,
                limits=limits,
                swings=swings or 0,
            )
        except LimitReached as error:
            raise RateLimited(error.retry_after, str(error)) from error
        except SQLAlchemyError as error:
            if device is not None and self._known_sets.knows(device, details, call.at):
                return self._record_activity(pending, device.id)  # would have changed nothing
            self.raise_if_unavailable(error)
            raise
        if device is not None and reported.known:
            is_new = reported.change is not None
            self._known_sets.remember(device, details, call.at, reported.known, is_new=is_new)
        if reported.change is not None:
            self.metrics.count(_CHANGES[reported.change])
        if reported.blocked:
            self._deny(call, token, reported.device_id)
        return self._record_activity(pending, reported.device_id)

    def find_token(self, token_digest: bytes, now: datetime) -> FoundToken | None:
        """Return the valid token with this digest, without recording or counting a request.

        Raises:
            Unavailable: The database is unavailable.
        """
        try:
            return self.lookup.find(token_digest, None, now).token
        except (LookupFailed, SQLAlchemyError) as error:
            self.raise_if_unavailable(error)
            raise

    def raise_if_unavailable(self, error: Exception) -> None:
        """Raise ``Unavailable`` if an error means that the database is unavailable."""
        if isinstance(error, LookupFailed) or is_unavailable(error):
            self.metrics.count(metrics.DATABASE_ERRORS)
            log_unavailable(logger, error)
            raise Unavailable from error

    def close(self) -> None:
        """Close connections. They are reopened on demand."""
        self.lookup.close()

    def _limits(self, pending: PendingCall, details: Mapping[str, str]) -> ReportLimits:
        """Return the limits of a request that registers a device or changes its details.

        Raises:
            RateLimited: This process has refused such a request just now.
        """
        call, token, device = pending
        limits = ReportLimits(
            self._limiter, self._numbers, token, call.environ.get("REMOTE_ADDR"), call.at
        )
        if device is not None and self._known_sets.knows(device, details, call.at):
            return limits  # it changes nothing
        try:
            limits.check(device and device.id)
        except LimitReached as error:
            raise RateLimited(error.retry_after, str(error)) from error
        return limits

    def _record_activity(self, pending: PendingCall, device_id: int) -> Caller:
        call, token, device = pending
        upload = call.environ["REQUEST_METHOD"].upper() == "POST"
        self._activity.record_request(device_id, token and token.id, call.at, upload=upload)
        return call.caller(token, device_id, device)

    def _deny(self, call: Call, token: FoundToken | None, device_id: int) -> NoReturn:
        self.metrics.count(metrics.DENIALS)
        address = call.environ.get("REMOTE_ADDR")
        self._activity.record_denial(device_id, call.at, token and token.id, address)
        signals.send(signals.device_denied, lambda: devices.get(self._db, device_id))
        raise DeviceBlocked(tokens=self._tokens)
