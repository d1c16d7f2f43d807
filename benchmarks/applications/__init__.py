"""The compared applications: a small API without a hook or with one of three hooks."""

from flask import Blueprint, Flask, request
from flask.typing import ResponseReturnValue
from sqlalchemy.engine import URL, make_url

WORKERS, THREADS = 2, 4
"""Processes of the server, and threads of each."""


def engine_url(url: str) -> URL:
    """Return a database URL with the driver of PostgreSQL that API Devices needs."""
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def new_api() -> Blueprint:
    """Return a blueprint with ``GET`` and ``POST /api/v1/ping``."""
    blueprint = Blueprint("api", __name__, url_prefix="/api")

    @blueprint.get("/v1/ping")
    def ping() -> ResponseReturnValue:
        return {"pong": True, "items": [1, 2, 3]}

    @blueprint.post("/v1/ping")
    def upload() -> ResponseReturnValue:
        return {"pong": True, "bytes": len(request.get_data())}

    return blueprint


def new_app(name: str, api: Blueprint) -> Flask:
    """Return an application with the API and a readiness route."""
    app = Flask(name)
    app.register_blueprint(api)

    @app.get("/readyz")
    def ready() -> ResponseReturnValue:
        return {"ready": True}

    return app
