"""Administrator accounts: sign-in with Flask-Security, and the setup of the first account."""

import re
import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, urlsplit

import email_validator
from flask import (
    Blueprint,
    Flask,
    abort,
    current_app,
    flash,
    redirect,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user, user_logged_out
from flask_security import Security, SQLAlchemyUserDatastore, hash_password, login_user
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import FlaskForm
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import func, select
from werkzeug.wrappers import Response as BaseResponse
from wtforms import EmailField, PasswordField
from wtforms.validators import EqualTo, InputRequired

from apidevices.standalone.models import Role, User
from apidevices.toolkit import (
    Conflict,
    Database,
    InvalidInput,
    audit,
    clock,
    database,
    is_htmx,
    render,
)

MIN_PASSWORD = 8
SIGN_IN = "Sign in to see this page."
SESSION_ENDED = "Your session has ended. Sign in and try again."
SIGN_IN_AGAIN = "The sign-in page has expired. Sign in again."

_LOCAL_PATH = re.compile(r"/(?![/\\])[^\x00-\x20\\]*")
ADMIN = "admin"

blueprint = Blueprint("accounts", __name__)


class Action(StrEnum):
    """Audit log actions of accounts."""

    USER_CREATED = "user.created"


def init_app(app: Flask, db: SQLAlchemy) -> None:
    """Set up sign-in, sign-out, the account page and the setup page."""
    app.config.from_mapping(
        SECURITY_PASSWORD_HASH="argon2",  # noqa: S106 - the name of a hash
        # Without the extra HMAC, passwords don't depend on another secret.
        SECURITY_PASSWORD_SINGLE_HASH=True,
        SECURITY_PASSWORD_LENGTH_MIN=MIN_PASSWORD,
        # No mail is sent, so the address doesn't have to be deliverable.
        SECURITY_EMAIL_VALIDATOR_ARGS={
            "check_deliverability": False,
            "globally_deliverable": False,
        },
        SECURITY_RETURN_GENERIC_RESPONSES=True,
        SECURITY_API_ENABLED_METHODS=["session"],
        SECURITY_FRESHNESS=timedelta(-1),  # turns off Flask-Security's own /verify
        SECURITY_LOGOUT_METHODS=["POST"],
        SECURITY_POST_LOGIN_VIEW="/settings/api-devices",
        SECURITY_POST_LOGOUT_VIEW="/login",
        SECURITY_CHANGEABLE=True,
        SECURITY_CHANGE_URL="/settings/account",
        SECURITY_POST_CHANGE_VIEW="/settings/account",
        SECURITY_SEND_PASSWORD_CHANGE_EMAIL=False,
        SECURITY_LOGIN_USER_TEMPLATE="standalone/login.html",
        SECURITY_CHANGE_PASSWORD_TEMPLATE="standalone/account.html",  # noqa: S106 - a file
        SECURITY_MSG_GENERIC_AUTHN_FAILED=("The email address or password is wrong.", "error"),
        SECURITY_MSG_RETYPE_PASSWORD_MISMATCH=("The passwords don't match.", "error"),
        SECURITY_MSG_UNAUTHENTICATED=(SIGN_IN, "info"),
        SECURITY_MSG_INVALID_PASSWORD=("The current password is wrong.", "error"),
        SECURITY_MSG_EMAIL_NOT_PROVIDED=("Enter your email address.", "error"),
        SECURITY_MSG_PASSWORD_NOT_PROVIDED=("Enter your password.", "error"),
        SECURITY_MSG_PASSWORD_INVALID_LENGTH=(
            "The password must have at least %(length)s characters.",
            "error",
        ),
        SECURITY_MSG_PASSWORD_IS_THE_SAME=(
            "The new password must differ from the current one.",
            "error",
        ),
        SECURITY_MSG_PASSWORD_CHANGE=("Your password has been changed.", "success"),
    )
    email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()  # allow ann@company.local
    security = Security(app, SQLAlchemyUserDatastore(db, User, Role), render_template=render)
    security.login_context_processor(lambda: {"account_exists": exists(database())})
    security.change_password_context_processor(lambda: {"account_name": actor()})
    # Authenticate by session only. Otherwise Flask-Security would look for its own token in the
    # body of every request, including API requests, and would always query the user.
    security.login_manager.request_loader(lambda _request: None)
    security.principal.identity_loaders.clear()
    app.register_blueprint(blueprint)
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


def exists(db: Database) -> bool:
    """Return whether any account exists."""
    with db.read() as session:
        return session.scalar(select(User.id).limit(1)) is not None


def validate_email(email: str) -> str:
    """Return an email address in the form in which it is stored, by the rules of sign-in.

    Raises:
        InvalidInput: It is not an email address.
    """
    try:
        return str(_security()._mail_util.validate(email))
    except ValueError:
        raise InvalidInput("email", "This is not an email address.") from None


def create(
    db: Database,
    email: str,
    password: str,
    *,
    role: str = ADMIN,
    only_first: bool = False,
    actor: str,
    now: datetime,
) -> User:
    """Create an account.

    Raises:
        InvalidInput: The address or password is invalid, or the role is unknown.
        Conflict: The account exists, or ``only_first`` is set and any account exists.
    """
    email = validate_email(email)
    problems, password = _security()._password_util.validate(password, is_register=True)
    if problems:
        raise InvalidInput("password", " ".join(map(str, problems)))
    hashed = hash_password(password)  # deliberately slow: keep it out of the transaction
    with db.write() as session:
        # On PostgreSQL, the lock on the role's row serializes concurrent calls.
        found = session.scalar(select(Role).where(Role.name == role).with_for_update())
        if found is None:
            raise InvalidInput("role", f"Unknown role {role!r}. Available roles: {ADMIN}.")
        if only_first and session.scalar(select(User.id).limit(1)) is not None:
            raise Conflict("The first account already exists. Sign in with that account.")
        if session.scalar(select(User.id).where(func.lower(User.email) == email.lower())):
            raise Conflict("An account with this email address already exists.")
        user = User(
            email=email,
            password=hashed,
            active=True,
            fs_uniquifier=uuid.uuid4().hex,
            created_at=now,
            roles=[found],
        )
        session.add(user)
        session.flush()
        audit.record(
            session,
            Action.USER_CREATED,
            f"user:{user.id}",
            actor=actor,
            at=now,
            email=email,
            role=role,
        )
    return user


def setup_path(app: Flask) -> str:
    """Return the path of the setup page, which works until the first account exists."""
    return f"/setup/{_serializer(app).dumps(uuid.uuid4().hex)}"


class SetupForm(FlaskForm):
    """The form for the first account."""

    email = EmailField("Email", validators=[InputRequired("Enter your email address.")])
    password = PasswordField("Password", validators=[InputRequired("Choose a password.")])
    password_again = PasswordField(
        "Confirm password", validators=[EqualTo("password", "The passwords don't match.")]
    )


@blueprint.before_app_request
def _check_sign_in_request() -> ResponseReturnValue | None:
    """Handle sign-in requests that Flask-Security's own view does not handle well."""
    if request.endpoint != "security.login":
        return None
    if request.is_json:
        abort(415, "Use the form to sign in.")
    if "next" in request.args and not _LOCAL_PATH.fullmatch(request.args["next"]):
        return redirect(url_for("security.login"), 303)
    return None


@blueprint.route("/setup/<token>", methods=["GET", "POST"])
def setup(token: str) -> ResponseReturnValue:
    """Create the first account."""
    db = database()
    try:
        _serializer(current_app).loads(token)
    except BadSignature:
        abort(404, "This setup link is not valid. Restart the server to get a new one.")
    if exists(db):
        abort(404, "This setup link has been used. Go to API Devices to sign in.")
    form = SetupForm()
    if form.validate_on_submit():
        email = form.email.data or ""
        try:
            create(
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
    page = render("standalone/setup.html", form=form, min_password=MIN_PASSWORD)
    return page, 422 if form.errors else 200


def _sign_in(email: str) -> None:
    datastore = _security().datastore
    user = datastore.find_user(case_insensitive=True, email=email)
    login_user(user)  # type: ignore[arg-type]  # not None: just created
    datastore.commit()  # type: ignore[no-untyped-call]  # untyped in Flask-Security


def _end_sessions(app: Flask, user: User, **_extra: Any) -> None:
    """End all sessions of a user who signs out. Otherwise the session cookie could be replayed."""
    datastore = app.extensions["security"].datastore
    datastore.set_uniquifier(user)
    datastore.commit()


def _security() -> Security:
    security: Security = current_app.extensions["security"]
    return security


def _serializer(app: Flask) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(app.secret_key), salt="apidevices.setup")
