"""The Flask extension: adds tracking, admin pages and commands to an application."""

import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint, Flask
from sqlalchemy import URL, Connection, Engine

from apidevices import devices, migration, request_hook, state
from apidevices.admin import blueprint as admin_blueprint
from apidevices.api import blueprint as api_blueprint
from apidevices.calls import Caller
from apidevices.cli import commands
from apidevices.config import Settings
from apidevices.database import Database, engine_for
from apidevices.database.reserve import MIB
from apidevices.embedding import Account, Link, Panel, Slots
from apidevices.errors import DeviceNotFound
from apidevices.gate import Gate
from apidevices.gate import blueprint as gate_blueprint
from apidevices.models import Device
from apidevices.problems import DeviceDeleted
from apidevices.protection import Protected, exempt
from apidevices.state import EXTENSION, GATE, Authorize, OnDenied

if TYPE_CHECKING:  # optional: the host application may use Flask-SQLAlchemy
    from flask_sqlalchemy import SQLAlchemy

View = TypeVar("View", bound=Callable[..., Any])


class APIDevices:
    """Tracks and blocks the devices that call the API of a Flask application.

    Args:
        db: The database for the extension's tables: a ``SQLAlchemy()`` object, whose default engine
            is used, an engine, or a database URL.
        authorize: Returns whether the current request may use the admin pages, or a response to
            send instead, such as a redirect to the login page. By default, access is denied.
        actor: Returns the name of the current user, for the audit log.
        tokens: Whether requests must carry an API Devices token. If false, the application
            authenticates its callers itself, and a request is recorded when it succeeds or when its
            view calls ``current_device()``.
        navigation: Returns links to add to the navigation of the admin pages.
        account: Returns the signed-in account to show on the admin pages, or None.
        device_panels: Returns additional sections for a device's page.
        example_path: The path in the example ``curl`` commands on the admin pages.
        on_denied: Returns the response to a denied request, with a body and status of the
            application's choice, or None for the default, ``application/problem+json``. Called
            in the context of the denied request. The gate and the management API do not call it.
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
        """Initialize the extension for an application.

        Initialize the ``SQLAlchemy()`` object, if any, first. Settings are read from the
        ``APIDEVICES_*`` keys of ``app.config``; see ``apidevices.config.Settings``.

        Raises:
            ConfigError: A setting is invalid, or the database is not supported.
            RuntimeError: The extension is already initialized for this application, or a protected
                blueprint was registered before it was protected.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError("APIDevices is already initialized for this application.")
        protection = self._protected.connect(app)
        settings = Settings.from_mapping(app.config)
        app_state = state.build(
            settings,
            Database(engine_for(self._engine_or_url(app)), settings.disk_reserve * MIB),
            authorize=self._authorize,
            actor=self._actor,
            tokens=self._tokens,
            slots=self._slots,
            on_denied=self._on_denied,
        )
        app.extensions[EXTENSION] = app_state
        # At exit, the activity buffer closes itself.
        weakref.finalize(app, app_state.activity.retire).atexit = False
        request_hook.register(app, app_state, protection)
        app.cli.add_command(commands)
        migration.hide_from_flask_migrate(app)

    def protect(self, *targets: Blueprint | str) -> None:
        """Check each request to a blueprint or to paths with a prefix such as ``"/api"``.

        Protecting a blueprint covers its views, the views of blueprints nested in it, and unknown
        paths below its ``url_prefix``, but not views of other blueprints there. Protect a blueprint
        before registering it; before or after ``init_app`` makes no difference. Idempotent.

        Raises:
            TypeError: An argument is neither a blueprint nor a string.
            ValueError: A prefix contains variables, wildcards, a query or a fragment.
            RuntimeError: A blueprint was registered before it was protected.
        """
        self._protected.add(*targets)

    def exempt(self, view: View) -> View:
        """Exempt a view from checks. Apply this decorator directly below ``route``."""
        return exempt(view)

    def upgrade(self, connection: Connection | None = None) -> None:
        """Migrate the extension's tables to this version; needs an application context.

        Other tables are not touched.

        Args:
            connection: The connection to use, within its current transaction. To upgrade as part
                of a migration of the application, pass that migration's connection.
        """
        migration.upgrade(connection=connection)

    @property
    def admin(self) -> Blueprint:
        """The admin pages, to be registered with a ``url_prefix`` such as ``"/settings"``."""
        return admin_blueprint

    @property
    def api(self) -> Blueprint:
        """The management API, to be registered with a ``url_prefix`` such as ``"/manage"``.

        Each request needs a token with a scope; create one with ``flask apidevices create-token``.
        Exempt the blueprint from CSRF protection: it does not use cookies.
        """
        return api_blueprint

    @property
    def gate(self) -> Blueprint:
        """``/verify``: forward authentication for a proxy in front of another API."""
        return gate_blueprint

    def gate_middleware(self, app: Flask, path: str = "/verify") -> Gate:
        """Return a WSGI application that responds to the gate itself, several times as fast.

        All other requests go to the application. Use it instead of the blueprint ``gate``, before
        middleware that sets the client's address: ``app.wsgi_app = devices.gate_middleware(app)``.

        Args:
            app: The application.
            path: The path of the gate.
        """
        app.extensions[GATE] = True
        return Gate(app, app.wsgi_app, path)

    def current_device(self) -> Device | None:
        """Return the device that sent the current request.

        Returns None outside a request, and if the request is not protected or carries no device
        identifier. Causes a query. Without ``tokens``, the first call also records the request: it
        registers an unknown device and stores changed details. Authenticate the caller first.

        Raises:
            Problem: The device has just been blocked or deleted, or the database is unavailable.
        """
        caller = self.current_caller()
        if caller is None or caller.device_id is None:
            return None
        try:
            return devices.get(state.database(), caller.device_id, follow=True)
        except DeviceNotFound as error:
            raise DeviceDeleted from error

    def current_caller(self) -> Caller | None:
        """Return the token and device of the current request.

        Returns None outside a protected API and, without ``tokens``, for a request without a device
        identifier. Like ``current_device``, this may write.

        Raises:
            Problem: The device has just been blocked, or the database is unavailable.
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
