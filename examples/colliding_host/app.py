"""A host application whose names collide with API Devices, to test that both are isolated.

Its tables, templates, URLs, cookies and commands have the names that an extension might use.
"""

from pathlib import Path
from typing import Any

import click
from flask import Blueprint, Flask, flash, render_template, request, session
from flask.cli import AppGroup
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from jinja2 import StrictUndefined
from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from apidevices import APIDevices

db = SQLAlchemy()
csrf = CSRFProtect()


class Devices(db.Model):
    """A table with the name of an API Devices table, without its prefix."""

    __tablename__ = "devices"
    id: Mapped[int] = mapped_column(primary_key=True)


class AuditLog(db.Model):
    """Another such table."""

    __tablename__ = "audit_log"
    id: Mapped[int] = mapped_column(primary_key=True)


class _Host(Flask):
    jinja_options = Flask.jinja_options | {
        "undefined": StrictUndefined,
        "trim_blocks": False,
        "lstrip_blocks": False,
    }


def create_app(database: str) -> Flask:
    """Create the application. Requests with the header ``X-Admin`` are authorized."""
    folder = Path(__file__).parent
    app = _Host(__name__, template_folder=str(folder / "templates"), static_folder=None)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=database,
        SECRET_KEY="secret of the colliding host",
        SESSION_COOKIE_NAME="apidevices_session",
        WTF_CSRF_TIME_LIMIT=None,
    )
    devices = APIDevices(db=db, authorize=lambda: "X-Admin" in request.headers)
    db.init_app(app)
    csrf.init_app(app)
    devices.init_app(app)

    api = Blueprint("api", __name__, url_prefix="/api")
    admin = Blueprint("admin", __name__, url_prefix="/settings")
    devices.protect(api)
    csrf.exempt(api)

    @api.get("/devices")
    def list_devices() -> dict[str, Any]:
        return {"owner": "the host's"}

    @admin.get("/")
    def settings() -> str:
        session["page"] = "the host's"
        flash("A message of the host.")
        return render_template("page.html")

    @admin.get("/static/<path:name>", endpoint="static")
    def static_file(name: str) -> str:
        return f"/* the host's {name} */"

    @app.get("/static/<path:name>", endpoint="static")
    def app_static(name: str) -> str:
        return f"/* the host's {name} */"

    @app.context_processor
    def template_variables() -> dict[str, Any]:
        names = ("page", "form", "device", "devices", "now", "filters", "place", "tokens", "new")
        return dict.fromkeys(names, "the host's")

    @app.template_filter("joined")
    def joined(value: object) -> str:
        return f"the host's {value}"

    @app.template_global("csrf")
    def host_csrf() -> str:
        return "the host's"

    @app.errorhandler(403)
    @app.errorhandler(404)
    def show_error(error: Any) -> tuple[str, int]:
        return f"Host error {error.code}.", error.code

    @app.after_request
    def harden(response: Any) -> Any:
        response.headers["X-Host"] = "yes"
        response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
        return response

    for name in ("devices", "tokens", "db"):
        group = AppGroup(name)
        group.add_command(click.Command("list", callback=lambda: click.echo("the host's")))
        app.cli.add_command(group)

    app.register_blueprint(api)
    app.register_blueprint(admin)
    app.register_blueprint(devices.admin, url_prefix="/settings")
    with app.app_context():
        db.create_all()
        with db.engine.begin() as connection:  # the host has its own migrations
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
            connection.execute(text("INSERT INTO alembic_version VALUES ('host version')"))
        devices.upgrade()
    return app
