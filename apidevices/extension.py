"""APIDevices: the Flask extension that puts tracking, admin pages and commands into an app."""

import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint, Flask
from sqlalchemy import URL, Connection, Engine

from apidevices import devices, migration, request_hook, state
from apidevices.admin import blueprint as admin_blueprint
from apidevices.api import blueprint as api_blueprint
from apidevices.cli import commands
from apidevices.config import Settings
from apidevices.database import Database, engine_for
from apidevices.embedding import Account, Link, Panel, Slots
from apidevices.gate import blueprint as gate_blueprint
from apidevices.models import Device
from apidevices.protection import Protected, exempt
from apidevices.state import EXTENSION, Authorize, OnDenied
from apidevices.tracking import Caller

if TYPE_CHECKING:  # a host may have it; nothing else here needs it
    from flask_sqlalchemy import SQLAlchemy

View = TypeVar("View", bound=Callable[..., Any])


class APIDevices:
    """Tracks and blocks the devices that call the API of a Flask application.

    Args:
        db: where its tables are: the ``SQLAlchemy()`` of the application, of which the default
            engine is used, or an engine, or a database's URL.
        authorize: Returns whether the current request may use the admin pages, or a response to
            send instead, such as a redirect to the login. By default, nobody may use them.
        actor: names who makes the current request, for the record of who did what.
        tokens: let nobody in without a token of ours. Otherwise the application finds out who
            calls, as it always has; a request that it answers with success is recorded, and what
            it refuses leaves no trace.
        navigation: returns links of the application, for the navigation of the admin pages.
        account: returns who is signed in, for the top of the admin pages; None for nobody.
        device_panels: returns what the application knows of a device, for its details.
        example_path: the path of a call to try, for whoever has no devices yet.
        on_denied: returns the answer to a request that is not let through, in the application's own
            shape and with the status that it chooses; the request is current. If it returns None,
            the answer is ours, ``application/problem+json``. The gate doesn't ask it.
    """

    def __init__(
        self,
        *,
        db: "SQLAlchemy | Engine | URL | str",
        authorize: Authorize = lambda: False,
        actor: Callable[[], str] = lambda: "administrator",
        tokens: bool = False,
        navigation: Callable[[], Iterable[Link]] = tuple,
        account: Callable[[], Account | None] = lambda: None,
        device_panels: Callable[[Device], Iterable[Panel]] = lambda _device: (),
        example_path: str | None = None,
        on_denied: OnDenied | None = None,
    ) -> None:
        self._source = db
        self._authorize = authorize
        self._actor = actor
        self._tokens = tokens
        self._slots = Slots(navigation, account, device_panels, example_path)
        self._on_denied = on_denied
        self._protected = Protected()

    def init_app(self, app: Flask) -> None:
        """Connect to an application; its ``SQLAlchemy()`` must be connected before.

        Settings are the keys ``APIDEVICES_*`` of ``app.config``, each described in
        ``apidevices.config.Settings``.

        Raises:
            ConfigError: a setting has a wrong value, or the database is none that can be used.
            RuntimeError: the application has this extension already, or has registered a blueprint
                before it was protected.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError("APIDevices is connected to this application already.")
        protection = self._protected.connect(app)
        settings = Settings.from_mapping(app.config)
        kept = state.build(
            settings,
            Database(engine_for(self._engine_or_url(app))),
            authorize=self._authorize,
            actor=self._actor,
            tokens=self._tokens,
            slots=self._slots,
            on_denied=self._on_denied,
        )
        app.extensions[EXTENSION] = kept
        request_hook.register(app, kept, protection)
        app.cli.add_command(commands)
        migration.hide_from_flask_migrate(app)

    def protect(self, *what: Blueprint | str) -> None:
        """Check each request for a blueprint, or for all that begins with a prefix (``"/api"``).

        A blueprint stands for its views, those of the blueprints in it, and all other paths beneath
        its ``url_prefix``. Protect it before it is registered, be it before ``init_app`` or after
        it, and as often as you like.

        Raises:
            TypeError: it is neither.
            ValueError: it is no plain prefix.
            RuntimeError: the blueprint was registered before it was protected.
        """
        self._protected.add(*what)

    def exempt(self, view: View) -> View:
        """Let requests of a view through unchecked; a decorator, the outermost but ``route``."""
        return exempt(view)

    def upgrade(self, connection: Connection | None = None) -> None:
        """Bring the extension's tables to this version, and no others; needs an app context.

        Args:
            connection: where to do it, in its transaction; say that of a migration of the
                application's own, which these can be a part of.
        """
        migration.upgrade(connection=connection)

    @property
    def admin(self) -> Blueprint:
        """The admin pages; register them where they shall live, say ``url_prefix="/settings"``."""
        return admin_blueprint

    @property
    def api(self) -> Blueprint:
        """The management API; register it where programs shall find it, say ``/manage``.

        Each call needs a token with a scope, from ``flask apidevices create-token``. Exempt it
        from CSRF protection: nothing in it trusts a cookie.
        """
        return api_blueprint

    @property
    def gate(self) -> Blueprint:
        """``/verify``, which a proxy asks before it passes requests on to an API behind it."""
        return gate_blueprint

    def current_device(self) -> Device | None:
        """Return the device that makes the current request; None where it named none, or elsewhere.

        It reads the database, and without ``tokens`` it may write as well: a device that is not
        yet registered is registered now. Call it once the request is authenticated.

        Raises:
            Problem: the device has just been blocked, or the database is unavailable.
        """
        caller = self.current_caller()
        if caller is None or caller.device_id is None:
            return None
        return devices.get(state.database(), caller.device_id)

    def current_caller(self) -> Caller | None:
        """Return the token and device of the current request; None outside a protected API.

        It may register a device, as ``current_device`` does.

        Raises:
            Problem: as ``current_device`` does.
        """
        return request_hook.current_caller()

    @property
    def current(self) -> Device | None:
        """Deprecated: call ``current_device()``, since a property should not write."""
        warnings.warn("Call current_device() instead.", DeprecationWarning, stacklevel=2)
        return self.current_device()

    @property
    def caller(self) -> Caller | None:
        """Deprecated: call ``current_caller()``, since a property should not write."""
        warnings.warn("Call current_caller() instead.", DeprecationWarning, stacklevel=2)
        return self.current_caller()

    def _engine_or_url(self, app: Flask) -> Engine | URL | str:
        if isinstance(self._source, Engine | URL | str):
            return self._source
        with app.app_context():
            return self._source.engine
