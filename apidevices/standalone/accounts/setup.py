"""The setup page, which creates the first account."""

import uuid

from flask import Blueprint, Flask, abort, current_app, flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_security import login_user
from flask_wtf import FlaskForm
from itsdangerous import BadSignature, URLSafeTimedSerializer
from wtforms import EmailField, PasswordField
from wtforms.validators import EqualTo, InputRequired

from apidevices.standalone.accounts import passwords, users
from apidevices.standalone.accounts.state import current_security, current_session
from apidevices.toolkit import Conflict, InvalidInput, clock, database, render

blueprint = Blueprint("setup", __name__)


def setup_path(app: Flask) -> str:
    """Return the path of the setup page, which works until the first account exists."""
    return f"/setup/{_serializer(app).dumps(uuid.uuid4().hex)}"


class SetupForm(FlaskForm):
    """The form for the first account."""

    email = EmailField("Email", validators=[InputRequired("Enter your email address.")])
    password = PasswordField("Password", validators=[InputRequired("Choose a password.")])
    password_again = PasswordField(
        "Confirm password",
        validators=[
            InputRequired("Enter the password again."),
            EqualTo("password", "The passwords don't match."),
        ],
    )


@blueprint.route("/setup/<token>", methods=["GET", "POST"])
def first_account(token: str) -> ResponseReturnValue:
    """Create the first account."""
    db = database()
    try:
        _serializer(current_app).loads(token)
    except BadSignature:
        abort(404, "This setup link is not valid. Restart the server to get a new one.")
    if users.exists(db):
        abort(404, "This setup link has been used. Go to API Devices to sign in.")
    form = SetupForm()
    if form.validate_on_submit():
        email = form.email.data or ""
        try:
            users.create(
                db,
                email,
                form.password.data or "",
                only_first=True,
                actor=email,
                now=clock.now(),
            )
        except InvalidInput as error:
            form[error.field].errors = [str(error)]
        except Conflict as error:
            form.form_errors.append(str(error))
        else:
            _sign_in(email)
            flash("Your account is ready.")
            return redirect(url_for("apidevices.device_list"), 303)
    page = render("standalone/setup.html", form=form, hint=passwords.HINT)
    return page, 422 if form.errors else 200


def _sign_in(email: str) -> None:
    user = current_security().datastore.find_user(case_insensitive=True, email=email)
    login_user(user)  # type: ignore[arg-type]  # not None: just created
    current_session().commit()


def _serializer(app: Flask) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(app.secret_key), salt="apidevices.setup")
