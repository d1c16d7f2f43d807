"""ihatemoney with API Devices: see which clients use the API, and block one of them.

Only clients that send the X-Device-ID header are listed.

    pip install apidevices ihatemoney gunicorn
    export IHATEMONEY_SETTINGS_FILE_PATH=/etc/ihatemoney/ihatemoney.cfg
    flask --app ihatemoney_devices apidevices upgrade
    gunicorn "ihatemoney_devices:create_app()"

The devices are stored in ihatemoney's database. The admin pages require its ADMIN_PASSWORD.
"""

from flask import Flask, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from ihatemoney.api.v1 import api
from ihatemoney.models import db
from ihatemoney.run import create_app as create_ihatemoney
from ihatemoney.utils import has_claim

from apidevices import APIDevices


def authorize() -> ResponseReturnValue | bool:
    """Allow administrators, and redirect other visitors to ihatemoney's administrator login."""
    if has_claim(session, "is_admin"):
        return True
    return redirect(url_for("main.admin", goto=request.path))


devices = APIDevices(db=db, authorize=authorize)
devices.protect(api)  # create_ihatemoney registers it


def create_app() -> Flask:
    """Create ihatemoney with API Devices."""
    app: Flask = create_ihatemoney()
    devices.init_app(app)
    app.register_blueprint(devices.admin, url_prefix="/settings")
    return app
