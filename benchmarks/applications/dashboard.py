"""The API with Flask-MonitoringDashboard at its default level, grouped by device."""

import secrets

from flask import Flask, request

from benchmarks.applications import engine_url, new_api, new_app


def create_app(url: str) -> Flask:
    """Create the application and its missing tables."""
    # Imported here because only the bench extra installs it.
    import flask_monitoringdashboard as dashboard

    dashboard.config.database_name = engine_url(url).render_as_string(hide_password=False)
    dashboard.config.group_by = lambda: request.headers.get("X-Device-ID")
    app = new_app(__name__, new_api())
    app.secret_key = secrets.token_hex()
    dashboard.bind(app)
    return app
