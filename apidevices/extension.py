"""APIDevices: the Flask extension that puts tracking, admin pages and commands into an app."""

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from flask import Blueprint, Flask, Response
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Connection, Engine

from apidevices import calls, devices, migration, state
from apidevices.activity import ActivityBuffer
from apidevices.admin import blueprint as admin_blueprint
from apidevices.cli import commands
from apidevices.config import Settings
from apidevices.database import Database, engine_for
from apidevices.embedding import Account, Link, Panel, Slots
from apidevices.errors import Problem
from apidevices.gate import blueprint as gate_blueprint
from apidevices.identity import IdentityReader
from apidevices.lookup import make_lookup
from apidevices.models import Device
from apidevices.protection import Protection, exempt
from apidevices.state import EXTENSION, State
from apidevices.tracking import Caller, Tracker

logger = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

_PLAIN_PREFIX = re.compile(r"[^<>*?#]*")


class APIDevices:
    """Tracks and blocks the devices that call the API of a Flask application.

    Args:
        db: where its tables are: the ``SQLAlchemy()`` of the application, of which the default
            engine is used, or an engine, or a database's URL.
        authorize: tells whether the current request may use the admin pages; without it, nobody.
            It may also end the request itself, with ``abort``.
        actor: names who makes the current request, for the record of who did what.
        tokens: let nobody in without a token of ours. Otherwise the application finds out who
            calls, as it always has; a request that it answers with success is recorded, and what
            it refuses leaves no trace.
        navigation: returns links of the application, for the navigation of the admin pages.
        account: returns who is signed in, for the top of the admin pages; None for nobody.
        device_panels: returns what the application knows of a device, for its details.
        example_path: the path of a call to try, for whoever has no devices yet.
    """

    def __init__(
        self,
        *,
        db: SQLAlchemy | Engine | URL | str,
        authorize: Callable[[], bool] = lambda: False,
        actor: Callable[[], str] = lambda: "administrator",
        tokens: bool = False,
        navigation: Callable[[], Iterable[Link]] = tuple,
        account: Callable[[], Account | None] = lambda: None,
        device_panels: Callable[[Device], Iterable[Panel]] = lambda _device: (),
        example_path: str | None = None,
    ) -> None:
        self._source = db
        self._authorize = authorize
        self._actor = actor
        self._tokens = tokens
        self._slots = Slots(navigation, account, device_panels, example_path)
        self._protected: list[Blueprint | str] = []

    def init_app(self, app: Flask) -> None:
        """Connect to an application; its ``SQLAlchemy()`` must be connected before.

        Settings are the keys ``APIDEVICES_*`` of ``app.config``, each described in
        ``apidevices.config.Settings``.

        Raises:
            ConfigError: a setting has a wrong value, or the database is none that can be used.
            RuntimeError: the application has this extension already.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError("APIDevices is connected to this application already.")
        settings = Settings.from_mapping(app.config)
        source = self._source
        if isinstance(source, SQLAlchemy):
            with app.app_context():
                source = source.engine
        db = Database(engine_for(source))
        activity = ActivityBuffer(
            db, interval=settings.activity_interval, limit=settings.activity_limit
        )
        trackers = {
            tokens: Tracker(
                db,
                make_lookup(db.engine, tokens=tokens),
                activity,
                IdentityReader(settings.headers),
                tokens=tokens,
                require_device_id=settings.require_device_id,
            )
            for tokens in {self._tokens, settings.gate_tokens}
        }
        tracker = trackers[self._tokens]
        app.extensions[EXTENSION] = State(
            settings=settings,
            db=db,
            activity=activity,
            tracker=tracker,
            gate=trackers[settings.gate_tokens],
            authorize=self._authorize,
            actor=self._actor,
            tokens=self._tokens,
            slots=self._slots,
        )
        protection = Protection(app, self._protected)

        def check() -> ResponseReturnValue | None:
            # A hook of the application, not of a blueprint: those don't run for a path or a method
            # that no view has, and a blocked device must not learn which these are.
            request = request_ctx.request  # not through the proxy, which is slow
            if protection.covers(request):
                try:
                    calls.keep(request, tracker.check(request))
                except Problem as problem:
                    return problem.get_response()
            return None

        # First of all hooks: one that answers by itself must not let a blocked device in.
        app.before_request_funcs.setdefault(None, []).insert(0, check)
        if not self._tokens:
            app.after_request(_record_success)
        app.cli.add_command(commands)

    def protect(self, *what: Blueprint | str) -> None:
        """Check each request for a blueprint, or for all that begins with a prefix (``"/api"``).

        Of a blueprint, these are its views, those of the blueprints in it, and paths beside them
        that have none.

        Raises:
            TypeError: it is neither.
            ValueError: it is no plain prefix.
        """
        for part in what:
            if not isinstance(part, Blueprint | str):
                raise TypeError(f"This can't be protected, only blueprints and prefixes: {part!r}")
            if isinstance(part, str) and not _PLAIN_PREFIX.fullmatch(part):
                raise ValueError(f"This is no plain prefix of paths: {part!r}")
        self._protected += [part for part in what if part not in self._protected]

    def exempt(self, view: View) -> View:
        """Let requests of a view through unchecked; a decorator, the outermost but ``route``."""
        return exempt(view)

    def upgrade(self, connection: Connection | None = None) -> None:
        """Bring the extension's tables to this version, and no others; needs an app context.

        Args:
            connection: where to do it, in its transaction; say that of a migration of the
                application's own, which these can be a part of.
        """
        migration.upgrade(connection)

    @property
    def admin(self) -> Blueprint:
        """The admin pages; register them where they shall live, say ``url_prefix="/settings"``."""
        return admin_blueprint

    @property
    def gate(self) -> Blueprint:
        """``/verify``, which a proxy asks before it passes requests on to an API behind it."""
        return gate_blueprint

    @property
    def current(self) -> Device | None:
        """The device that makes the current request; None where it named none, or elsewhere.

        Without ``tokens``, a new device is registered now if it was not yet: ask for it where the
        request has been let in.

        Raises:
            Problem: the device has just been blocked, or the database can't be asked.
        """
        caller = self.caller
        if caller is None or caller.device_id is None:
            return None
        return devices.get(state.database(), caller.device_id)

    @property
    def caller(self) -> Caller | None:
        """Who makes the current request, by token and device; None outside a protected API.

        Raises:
            Problem: as ``current`` does.
        """
        return calls.current_caller()


def _record_success(response: Response) -> Response:
    """Record a request that the application has let through, unless its view has led to that.

    Only success tells that it has: what it refuses, whoever sent it, must leave no trace. To
    OPTIONS Flask answers by itself, or what handles CORS, and nobody has been asked who it is.
    """
    succeeded = response.status_code < 300 or response.status_code == 304
    if succeeded and request_ctx.request.method != "OPTIONS":
        try:
            calls.current_caller()
        except Problem as problem:
            # The answer stays: what was asked has been done, and would be done again.
            logger.warning("A request was answered and not recorded: %s", problem.description)
    return response
