"""The API with API Devices, set up as in a host application.

Older revisions of API Devices run it too, so it must only use names that they have.
"""

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from apidevices import APIDevices
from apidevices.database import engine_options, prepare
from benchmarks.applications import THREADS, engine_url, new_api, new_app


def create_app(url: str) -> Flask:
    """Create the application."""
    api, db = new_api(), SQLAlchemy()
    devices = APIDevices(db=db, tokens=True)
    devices.protect(api)
    app = new_app(__name__, api)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=engine_url(url),
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(engine_url(url), THREADS),
    )
    db.init_app(app)
    with app.app_context():
        prepare(db.engine)
    devices.init_app(app)
    return app
