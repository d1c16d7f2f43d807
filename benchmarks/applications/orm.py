"""The API with a straightforward hook: ORM queries and a commit for each request."""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from flask import Flask, abort, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, String, event, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from apidevices.standalone.simulation import SimulatedDevice
from benchmarks.applications import engine_url, new_api, new_app


class Base(DeclarativeBase):
    """Base class of the models."""


db = SQLAlchemy(model_class=Base)

FIELDS = {
    "X-Device-Application": "application",
    "X-Device-Application-Version": "application_version",
    "X-Device-OS": "os",
    "X-Device-OS-Version": "os_version",
    "X-Device-Manufacturer": "manufacturer",
    "X-Device-Model": "model",
}


class Token(Base):
    """An API token."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)


class Device(Base):
    """A device that calls the API."""

    __tablename__ = "devices"

    id: Mapped[int] = mapped_column(primary_key=True)
    identifier: Mapped[str] = mapped_column(String(255), unique=True)
    application: Mapped[str | None] = mapped_column(String(255))
    application_version: Mapped[str | None] = mapped_column(String(255))
    os: Mapped[str | None] = mapped_column(String(255))
    os_version: Mapped[str | None] = mapped_column(String(255))
    manufacturer: Mapped[str | None] = mapped_column(String(255))
    model: Mapped[str | None] = mapped_column(String(255))
    blocked: Mapped[bool] = mapped_column(default=False)
    last_seen: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


def create_app(url: str) -> Flask:
    """Create the application and its missing tables."""
    api = new_api()
    api.before_request(track)
    app = new_app(__name__, api)
    app.config["SQLALCHEMY_DATABASE_URI"] = engine_url(url)
    db.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _set_pragmas)
        db.create_all()
        db.engine.dispose()
    return app


def track() -> None:
    """Authenticate the caller, then register or update the device."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    digest = sha256(token.encode()).hexdigest()
    if scheme != "Bearer" or not db.session.scalar(select(Token).filter_by(digest=digest)):
        abort(401)
    identifier = request.headers.get("X-Device-ID")
    if not identifier:
        abort(400)
    device = db.session.scalar(select(Device).filter_by(identifier=identifier))
    if device is None:
        device = Device(identifier=identifier)
        db.session.add(device)
    if device.blocked:
        abort(403)
    for header, field in FIELDS.items():
        value = request.headers.get(header)
        if value and getattr(device, field) != value:
            setattr(device, field, value)
    device.last_seen = datetime.now(UTC)
    db.session.commit()


def fill(url: str, token: str, devices: Iterable[SimulatedDevice]) -> None:
    """Insert a token and devices, as if the devices had sent requests."""
    app = create_app(url)
    rows = []
    for device in devices:
        headers = device.headers()
        details = {field: headers[header] for header, field in FIELDS.items()}
        now = datetime.now(UTC)
        rows.append({"identifier": device.identifier, "last_seen": now, **details})
    with app.app_context():
        db.session.execute(insert(Token).values(digest=sha256(token.encode()).hexdigest()))
        db.session.execute(insert(Device), rows)
        db.session.commit()
        db.engine.dispose()


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA busy_timeout = 5000")
