"""The standalone application: API Devices with accounts and a small API for devices.

``python app.py`` migrates the database and runs the server. ``flask run`` is for development.
"""

import gc
import logging
import os
import socket
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from flask import Flask, abort, redirect, request
from flask.json.provider import DefaultJSONProvider
from flask_cors import CORS
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import Engine, event
from sqlalchemy.exc import SQLAlchemyError

from apidevices import APIDevices, ConfigError
from apidevices.standalone import (
    accounts,
    block_ends,
    client_api,
    commands,
    compression,
    downgrade_command,
    error_pages,
    health,
    housekeeping,
    logs,
    metrics,
    security_headers,
    sessions,
    slots,
    upload_limits,
)
from apidevices.standalone.asgi import Application, behind_proxies
from apidevices.standalone.instance import Instance, exposure_warning, keep_private
from apidevices.standalone.migrations import upgrade
from apidevices.standalone.request_ids import HEADER as REQUEST_ID
from apidevices.standalone.request_ids import RequestIds
from apidevices.standalone.settings import ServerSettings, extension_settings
from apidevices.toolkit import (
    MAX_BODY,
    MIGRATIONS,
    NO_RESERVE,
    FileIdentity,
    database,
    engine_options,
    prepare,
    sqlite_file,
    sqlite_warning,
)

MAX_FORM = 64 * 1024
"""Maximum bytes of a form."""


class _Json(DefaultJSONProvider):
    ensure_ascii = False
    sort_keys = False  # keep the documented order of fields


class _App(Flask):
    json_provider_class = _Json


db = SQLAlchemy()
csrf = CSRFProtect()
devices = APIDevices(
    db=db,
    authorize=accounts.authorize,
    actor=accounts.actor,
    tokens=True,
    navigation=slots.navigation,
    account=slots.account,
    device_panels=slots.device_panels,
    example_path="/api/v1/device",
)
devices.protect("/api")
for token_blueprint in (client_api.blueprint, devices.api, devices.gate):
    csrf.exempt(token_blueprint)  # these views ignore the session cookie


def create_app(settings: ServerSettings | None = None) -> Flask:
    """Create the application, by default from the settings in the environment.

    Raises:
        ConfigError: A variable has an invalid value. The message names the variable.
    """
    settings = settings or ServerSettings.from_environ()
    instance = Instance(settings.apidevices_instance, settings.secret_key)
    is_command = os.environ.get("FLASK_RUN_FROM_CLI") == "true"
    if not is_command:
        instance.create()  # commands must not leave files behind, see _create_files_late

    app = _App(__name__, instance_path=str(instance.folder), static_folder=None)
    app.config.from_mapping({"APIDEVICES_DISK_RESERVE": 64} | extension_settings())
    app.config.from_mapping(
        SECRET_KEY=instance.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.url, settings.apidevices_threads),
        MAX_CONTENT_LENGTH=MAX_BODY,
        SESSION_COOKIE_NAME="apidevices_session",
        SESSION_COOKIE_SAMESITE="Lax",
        # CSRF tokens live as long as the session, so that a page left open for hours still works.
        WTF_CSRF_TIME_LIMIT=None,
    )
    db.init_app(app)
    with app.app_context():
        prepare(db.engine)
        if is_command:
            _create_files_late(app, db.engine, instance)
        keep_private(db.engine)
    devices.init_app(app)
    with app.app_context():
        check_file = database().file.check
        event.listen(db.engine, "checkout", lambda *_: check_file())  # for Flask-Security
    commands.init_app(app)
    app.before_request(_reject_large_forms)  # before the CSRF protection parses them
    csrf.init_app(app)
    accounts.init_app(app, db)
    sessions.init_app(
        app,
        max_idle=timedelta(hours=settings.apidevices_session_hours),
        always_secure=settings.apidevices_secure_cookies,
    )
    error_pages.init_app(app)
    security_headers.init_app(app, devices.gate.name)
    compression.init_app(app)
    CORS(
        app,
        resources=[r"/api/v1/.*", r"/verify.*"],  # a proxy passes the gate's errors on to browsers
        origins=settings.cors_origins,
        expose_headers=["ETag", "Link", "Retry-After", "WWW-Authenticate", REQUEST_ID],
        max_age=600,
    )
    Migrate(app, db, directory=str(MIGRATIONS))
    downgrade_command.init_app(app)

    upload_limits.init_app(app, settings)
    app.register_blueprint(client_api.blueprint)
    app.register_blueprint(devices.api, url_prefix="/api")
    app.register_blueprint(devices.admin, url_prefix="/settings")
    app.register_blueprint(devices.gate)
    app.register_blueprint(health.blueprint)
    metrics.init_app(app)
    block_ends.init_app(app)
    housekeeping.init_app(app, settings)
    for path in ("/", "/settings/"):
        app.add_url_rule(path, f"home:{path}", lambda: redirect("/settings/api-devices"))
    wsgi_app = app.wsgi_app
    if not settings.cors_origins:  # else Flask-CORS adds headers to the gate's responses
        wsgi_app = devices.gate_middleware(app)
    app.wsgi_app = RequestIds(  # type: ignore[method-assign]  # as Flask documents
        behind_proxies(wsgi_app, settings.apidevices_proxies),
        trusted=settings.apidevices_proxies > 0,
    )
    return app


@event.listens_for(db.session, "before_flush")
def _ensure_space(*_: Any) -> None:
    """Let Flask-Security store sessions and passwords when the disk is full."""
    database().reserve.release_if_needed()


def _reject_large_forms() -> None:
    """Reject forms larger than any page sends.

    Parsing takes far more memory and time than reading, and strangers can send forms, too.
    """
    is_form = request.mimetype == "application/x-www-form-urlencoded"
    if is_form and (request.content_length or 0) > MAX_FORM:
        abort(413)


def create_asgi_app(settings: ServerSettings, database_file: FileIdentity | None) -> Application:
    """Create the application for a server with an event loop.

    Args:
        settings: The settings.
        database_file: The SQLite file that the application must use, even if there is another one
            in its place by now.
    """
    app = create_app(settings)
    app.extensions["apidevices"].db.file.identity = database_file
    return Application(app, settings)


def _create_files_late(app: Flask, engine: Engine, instance: Instance) -> None:
    """Create files in the instance folder only when a command needs them.

    ``flask --help`` and commands that fail must create none. The folder is needed to create a
    SQLite database in it, and the secret key to respond to a request under ``flask run``.
    """
    file = sqlite_file(engine.url)
    if file is not None and file.parent == instance.folder:
        event.listen(engine, "do_connect", lambda *_: instance.create_folder())
    app.before_request(instance.create)


def main() -> None:
    """Migrate the database, print the setup link if there is no account, and run the server."""
    os.environ.pop("FLASK_RUN_FROM_CLI", None)  # from here on this is a server, not a command
    os.umask(0o077)
    try:
        settings = ServerSettings.from_environ()
        logs.configure(settings)
        if not settings.inherits_sockets:
            _check_address(settings)
        app = create_app(settings)
        with app.app_context():
            upgrade()
            _warn(
                sqlite_warning(db.engine),
                exposure_warning(Path(app.instance_path), db.engine),
                None if database().reserve.build() else NO_RESERVE,
            )
            if not accounts.exists(database()):
                link = settings.address + accounts.setup_path(app)
                print(f"\nCreate the first administrator account:\n\n    {link}\n", flush=True)
            database().file.check()
            database_file = database().file.identity
            db.engine.dispose()  # each worker opens its own connections
    except ConfigError as error:
        _exit(str(error))
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        _exit(f"DATABASE_URL: {reason}")
    # Import late: gunicorn reads WEB_CONCURRENCY on import, so it must be validated first.
    from apidevices.standalone.server import Server

    # Workers don't read the settings again, so they never differ.
    Server(partial(create_asgi_app, settings, database_file), settings).run()


def _warn(*warnings: str | None) -> None:
    for warning in filter(None, warnings):
        logging.getLogger("apidevices").warning(warning)


def _exit(reason: str) -> NoReturn:
    """Exit because the server can't start."""
    if "GUNICORN_PID" in os.environ:
        reason += "\nThe new server did not start. The old one continues."
    sys.exit(reason)


def _check_address(settings: ServerSettings) -> None:
    """Check that the server can listen on its address, before anything else is printed.

    Raises:
        ConfigError: The server can't listen there.
    """
    try:
        addresses = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = addresses[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"HOST, PORT: can't listen on {settings.bind}: {reason}") from None


# What has been imported is never garbage. Collections at the end of a process would take as long as
# most commands, and those in a worker would copy the memory that it shares with the others.
gc.freeze()

if __name__ == "__main__":
    main()
