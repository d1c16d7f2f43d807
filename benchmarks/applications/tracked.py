"""The API with API Devices, set up as in a host application."""

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from apidevices import APIDevices
from apidevices.database import engine_options, prepare
from apidevices.standalone.settings import ServerSettings
from benchmarks.applications import new_api, new_app


def create_app(settings: ServerSettings) -> Flask:
    """Create the application."""
    api, db = new_api(), SQLAlchemy()
    devices = APIDevices(db=db, tokens=True)
    devices.protect(api)
    app = new_app(__name__, api)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=settings.url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.url, settings.apidevices_threads),
    )
    db.init_app(app)
    with app.app_context():
        prepare(db.engine)
    devices.init_app(app)
    return app
