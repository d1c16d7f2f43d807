"""Sign-in and sign-out: who is signed in, and what the views of Flask-Security leave out."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, user_logged_out
from flask_security import password_changed, user_authenticated
from werkzeug.wrappers import Response as BaseResponse

from apidevices.standalone.accounts import sign_in_log
from apidevices.standalone.accounts.actions import Action
from apidevices.standalone.accounts.addresses import client_address
from apidevices.standalone.accounts.state import current_security, current_session
from apidevices.standalone.accounts.writes import try_to_commit
from apidevices.standalone.models import User
from apidevices.toolkit import clock, database, is_htmx

SIGN_IN = "Sign in to see this page."
SESSION_ENDED = "Your session has ended. Sign in and try again."
SIGN_IN_AGAIN = "The sign-in page has expired. Sign in again."
STILL_SIGNED_IN = (
    "You are signed out in this browser. Your sessions in other browsers could not be ended,"
    " because the database can't be written."
)

_LOCAL_PATH = re.compile(r"/(?![/\\])[^\x00-\x20\\]*")


def init_app(app: Flask) -> None:
    """Add to the views of Flask-Security."""
    app.before_request(_check_sign_in_request)
    user_authenticated.connect(_record_sign_in, app)
    password_changed.connect(_record_password_change, app)
    user_logged_out.connect(_end_sessions, app)


def authorize() -> bool:
    """Allow signed-in users, and redirect others to the sign-in page."""
    if not current_user.is_authenticated:
        abort(redirect_to_sign_in())
    return True


def redirect_to_sign_in() -> BaseResponse:
    """Redirect to the sign-in page, and from there back to the current page."""
    target = request.full_path.rstrip("?")
    message = SIGN_IN
    if request.method != "GET" or is_htmx():
        # Return to the page that contains the form or fragment.
        try:
            page = urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "/")
        except ValueError:
            page = urlsplit("/")  # not from a browser
        target = page.path + (f"?{page.query}" if page.query else "")
        message = SESSION_ENDED
        if page.path == url_for("security.login"):  # its form has expired
            target = parse_qs(page.query).get("next", ["/"])[0]
            message = SIGN_IN_AGAIN
    flash(message)
    return redirect(url_for("security.login", next=target), 303)


def actor() -> str:
    """Return the email address of the signed-in user, for the audit log."""
    return str(current_user.email)


def _check_sign_in_request() -> ResponseReturnValue | None:
    """Handle requests that Flask-Security's own views do not handle well."""
    if request.endpoint not in ("security.login", "security.change_password"):
        return None
    if request.is_json:
        abort(415, "Use the form of the page.")
    if not _LOCAL_PATH.fullmatch(request.args.get("next", "/")):
        return redirect(url_for(request.endpoint), 303)
    return None


def _record_sign_in(_app: Flask, user: User, authn_via: list[str] | None, **_extra: Any) -> None:
    if authn_via != ["change"]:  # changing the password signs in again
        sign_in_log.record_success(database(), user, client_address(), clock.now())


def _record_password_change(_app: Flask, user: User, **_extra: Any) -> None:
    sign_in_log.record(
        current_session(), Action.PASSWORD_CHANGED, user, client_address(), clock.now()
    )


def _end_sessions(_app: Flask, user: User, **_extra: Any) -> None:
    """End all sessions of a user who signs out. Otherwise the session cookie could be replayed."""
    session = current_session()
    current_security().datastore.set_uniquifier(user)
    sign_in_log.record(session, Action.SIGNED_OUT, user, client_address(), clock.now())
    if not try_to_commit(session, "end the sessions of an account"):
        flash(STILL_SIGNED_IN)
