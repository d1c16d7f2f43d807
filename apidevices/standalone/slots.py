"""The standalone application's additions to the admin pages: the account and uploads."""

from flask import url_for
from flask_login import current_user
from markupsafe import Markup

from apidevices import Account, Device, Link, Panel
from apidevices.standalone import uploads
from apidevices.toolkit import clock, database, render


def navigation() -> list[Link]:
    """Return the link to the account page."""
    return [Link("Account", url_for("security.change_password"))]


def account() -> Account | None:
    """Return the signed-in account, if any."""
    if not current_user.is_authenticated:
        return None
    return Account(current_user.email, url_for("security.logout"))


def device_panels(device: Device) -> list[Panel]:
    """Return a panel with the latest uploads of a device."""
    recent = uploads.recent(database(), device.id)
    html = render("standalone/_uploads.html", uploads=recent, now=clock.now())
    return [Panel("Latest uploads", Markup(html))]  # noqa: S704 - the template escapes
