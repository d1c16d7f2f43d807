"""calibre-web with API Devices: see which clients use the OPDS catalog, and block one of them.

Only clients that send the X-Device-ID header are listed.

    pip install apidevices calibreweb
    python calibreweb_devices.py

It accepts the options of ``cps``, calibre-web's own program. The devices are stored in a separate
SQLite file next to calibre-web's settings. The admin pages require a calibre-web administrator.
"""

from calibreweb.__main__ import main  # makes the package cps importable
from cps import app, lm
from cps.constants import CONFIG_DIR
from cps.cw_login import current_user
from flask.typing import ResponseReturnValue

from apidevices import APIDevices


def authorize() -> ResponseReturnValue | bool:
    """Allow administrators, and redirect anonymous visitors to the login."""
    if not current_user.is_authenticated:
        return lm.unauthorized()  # redirects to calibre-web's login
    return current_user.role_admin()


devices = APIDevices(
    db=f"sqlite:///{CONFIG_DIR}/devices.db",
    authorize=authorize,
    actor=lambda: current_user.name,
)
devices.protect("/opds")
devices.init_app(app)
app.register_blueprint(devices.admin, url_prefix="/settings")

if __name__ == "__main__":
    with app.app_context():
        devices.upgrade()
    main()
