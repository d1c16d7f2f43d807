"""Links to choose a new password. Each of them works once, for a day."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Flask, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import password_changed
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.orm import Session
from wtforms import PasswordField
from wtforms.validators import EqualTo, InputRequired

from apidevices.standalone.accounts import administration, passwords
from apidevices.standalone.accounts.actions import Action
from apidevices.standalone.models import User
from apidevices.toolkit import Conflict, Database, InvalidInput, clock, database, render

LIFETIME = timedelta(days=1)

INVALID = (
    "This link is no longer valid. It worked once, for a day. Ask an administrator for a new one."
)

blueprint = Blueprint("reset", __name__)


def init_app(app: Flask) -> None:
    """Add the page, and make links invalid when the password changes."""
    app.register_blueprint(blueprint)
    password_changed.connect(_invalidate, app)


def link_path(db: Database, email: str, *, actor: str, now: datetime) -> str:
    """Return the path of a new link for an account. Older links of the account become invalid.

    Only the digest of the link's secret part is stored.

    Raises:
        UserNotFound: The account does not exist.
        Conflict: The account is disabled.
    """
    token = secrets.token_urlsafe(32)
    with db.write() as session:
        user = administration.lock(session, email)
        if not user.active:
            raise Conflict(f"{user.email} is disabled. Enable the account first.")
        user.reset_digest, user.reset_expires_at = _digest(token), now + LIFETIME
        administration.record(session, Action.RESET_LINK_CREATED, user, actor, now)
    return f"/reset-password/{token}"


class ResetForm(FlaskForm):
    """A new password."""

    password = PasswordField("New password", validators=[InputRequired("Choose a password.")])
    password_again = PasswordField(
        "Confirm new password",
        validators=[
            InputRequired("Enter the password again."),
            EqualTo("password", "The passwords don't match."),
        ],
    )


@blueprint.route("/reset-password/<token>", methods=["GET", "POST"])
def choose_password(token: str) -> ResponseReturnValue:
    """Choose a new password."""
    db, now, form = database(), clock.now(), ResetForm()
    with db.read() as session:
        user = _find(session, token, now)
    if user is None:
        abort(404, INVALID)
    if form.validate_on_submit():
        try:
            _redeem(db, token, passwords.check(form.password.data or "", user.email), now)
        except InvalidInput as error:
            form.password.errors = [str(error)]
        else:
            flash("Your password has been changed. Sign in with it.")
            return redirect(url_for("security.login"), 303)
    page = render("standalone/reset.html", form=form, email=user.email, hint=passwords.HINT)
    return page, 422 if form.errors else 200


def _redeem(db: Database, token: str, password: str, now: datetime) -> None:
    """Set the password, unless the link has become invalid."""
    hashed = passwords.hashed(password)
    with db.write() as session:
        user = _find(session, token, now, lock=True)
        if user is None:
            abort(404, INVALID)
        user.password = hashed
        administration.end_sessions(user)
        administration.record(
            session, Action.PASSWORD_RESET, user, user.email, now, address=request.remote_addr
        )


def _find(session: Session, token: str, now: datetime, *, lock: bool = False) -> User | None:
    query = select(User).where(
        User.reset_digest == _digest(token), User.reset_expires_at > now, User.active
    )
    return session.scalar(query.with_for_update() if lock else query)


def _invalidate(_app: Flask, user: User, **_extra: Any) -> None:
    user.reset_digest = user.reset_expires_at = None  # the view commits


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
