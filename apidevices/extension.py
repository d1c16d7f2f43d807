"""APIDevices: the Flask extension that puts tracking, admin pages and commands into an app."""

from collections.abc import Callable
from functools import partial

from flask import Blueprint, Flask
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy

from apidevices.activity import ActivityBuffer
from apidevices.admin import blueprint as admin_blueprint
from apidevices.cli import commands
from apidevices.config import Settings
from apidevices.database import Database
from apidevices.errors import Problem
from apidevices.identity import IdentityReader
from apidevices.lookup import make_lookup
from apidevices.state import EXTENSION, State
from apidevices.tracking import Caller, Tracker, current_caller, remember_caller


class APIDevices:
    """Tracks and blocks the devices that call the API of a Flask application.

    Args:
        db: the ``SQLAlchemy()`` of the application; its default engine is used.
        authorize: tells whether the current request may use the admin pages; without it, nobody.
            It may also end the request itself, with ``abort``.
        actor: names who makes the current request, for the record of who did what.
    """

    def __init__(
        self,
        *,
        db: SQLAlchemy,
        authorize: Callable[[], bool] = lambda: False,
        actor: Callable[[], str] = lambda: "administrator",
    ) -> None:
        self._sqlalchemy = db
        self._authorize = authorize
        self._actor = actor
        self._blueprints: set[str] = set()
        self._prefixes: tuple[str, ...] = ()

    def init_app(self, app: Flask) -> None:
        """Connect to an application; its ``SQLAlchemy()`` must be connected before.

        Settings are the keys ``APIDEVICES_*`` of ``app.config``, each described in
        ``apidevices.config.Settings``.

        Raises:
            ConfigError: a setting has a wrong value.
            RuntimeError: the application has this extension already.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError("APIDevices is connected to this application already.")
        settings = Settings.from_mapping(app.config)
        with app.app_context():
            db = Database(self._sqlalchemy.engine)
        activity = ActivityBuffer(
            db, interval=settings.activity_interval, limit=settings.activity_limit
        )
        lookup = make_lookup(db.engine)
        tracker = Tracker(
            db,
            lookup,
            activity,
            IdentityReader(settings.headers),
            require_device_id=settings.require_device_id,
        )
        app.extensions[EXTENSION] = State(
            settings, db, lookup, activity, tracker, self._authorize, self._actor
        )
        app.before_request(partial(self._check, tracker))
        app.cli.add_command(commands)

    def protect(self, blueprint: Blueprint) -> None:
        """Check each request for a blueprint: its views, and every other path below its prefix."""
        self._blueprints.add(blueprint.name)
        if blueprint.url_prefix:
            self._prefixes += (f"{blueprint.url_prefix}/",)

    @property
    def admin(self) -> Blueprint:
        """The admin pages; register them where they shall live, say ``url_prefix="/settings"``."""
        return admin_blueprint

    @property
    def current(self) -> Caller | None:
        """Who makes the current request; None outside a protected API."""
        return current_caller()

    def _check(self, tracker: Tracker) -> ResponseReturnValue | None:
        # A hook of the application, not of the blueprint: those don't run for a path or a method
        # that no view has, and a blocked device must not learn which these are.
        this = request_ctx.request  # not through the proxy, which is slow
        if not (
            f"{this.path}/".startswith(self._prefixes)
            or not self._blueprints.isdisjoint(this.blueprints)
        ):
            return None
        try:
            remember_caller(tracker.check(this))
        except Problem as problem:
            return problem.get_response()
        return None
