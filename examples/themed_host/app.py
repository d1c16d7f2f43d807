"""A cinema: the admin pages of API Devices adopt its layout, color, logo and navigation.

Start it on http://127.0.0.1:5000 with

    python examples/themed_host/app.py

It has a few devices and no login: every visitor is an administrator. For authorization, see
examples/box_office.
"""

import os
from pathlib import Path

from flask import Blueprint, Flask, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from apidevices import APIDevices, Device, Link, Panel

FOLDER = Path(__file__).parent


def seats_panel(device: Device) -> list[Panel]:
    """Return the cinema's own data about a device."""
    return [Panel("Seats sold", f"{device.display_name} has sold 42 seats today.")]


def create_app(database: str) -> Flask:
    """Create the application."""
    devices = APIDevices(
        db=database,
        authorize=lambda: True,
        navigation=lambda: [Link("Opening hours", url_for("opening_hours"))],
        device_panels=seats_panel,
    )
    app = Flask(__name__, root_path=str(FOLDER))
    app.config.update(
        SECRET_KEY="change me in production",
        APIDEVICES_ACCENT_COLOR="#0b7a4b #5fd3a2",
        APIDEVICES_BASE_TEMPLATE="layout.html",
    )
    api = Blueprint("api", __name__, url_prefix="/api")
    devices.protect(api)
    devices.init_app(app)

    @api.get("/seats")
    def seats() -> dict[str, int]:
        return {"free": 12}

    @app.get("/")
    def opening_hours() -> str:
        return render_template("opening_hours.html")

    @app.post("/close")
    def close() -> ResponseReturnValue:
        flash("The cinema is closed.")
        return redirect(url_for("apidevices.device_list"), 303)

    app.register_blueprint(api)
    app.register_blueprint(devices.admin, url_prefix="/settings")
    with app.app_context():
        devices.upgrade()
    return app


if __name__ == "__main__":
    app = create_app(os.environ.get("DATABASE_URL", f"sqlite:///{FOLDER / 'cinema.sqlite3'}"))
    for name in ("till-1", "till-2", "door-left"):
        app.test_client().get("/api/seats", headers={"X-Device-ID": name, "X-Device-OS": "Android"})
    app.run(port=int(os.environ.get("PORT", "5000")))
