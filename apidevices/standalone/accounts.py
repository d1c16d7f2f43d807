"""Accounts of administrators: sign-in by Flask-Security, and how the first one comes to be."""

import re
import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import email_validator
from flask import (
    Blueprint,
    Flask,
    Response,
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

_PATH_OF_OURS = re.compile(r"/(?![/\\])[^\x00-\x20\\]*")
ADMIN = "admin"

blueprint = Blueprint("accounts", __name__)


class Action(StrEnum):
    """What is recorded of accounts."""

    USER_CREATED = "user.created"


def init_app(app: Flask, db: SQLAlchemy) -> None:
    """Connect sign-in, sign-out, the account's page and the setup link."""
    app.config.from_mapping(
        SECURITY_PASSWORD_HASH="argon2",  # noqa: S106 - the name of a hash
        # The HMAC before the hash would bind every password to one more secret to keep.
        SECURITY_PASSWORD_SINGLE_HASH=True,
        SECURITY_PASSWORD_LENGTH_MIN=MIN_PASSWORD,
        # No mail is sent, so an address need not be one that the whole world can reach.
        SECURITY_EMAIL_VALIDATOR_ARGS={
            "check_deliverability": False,
            "globally_deliverable": False,
        },
        SECURITY_RETURN_GENERIC_RESPONSES=True,
        SECURITY_API_ENABLED_METHODS=["session"],
        SECURITY_FRESHNESS=timedelta(-1),  # turns off its own /verify
        SECURITY_LOGOUT_METHODS=["POST"],
        SECURITY_POST_LOGIN_VIEW="/settings/api-devices",
        SECURITY_POST_LOGOUT_VIEW="/login",
        SECURITY_CHANGEABLE=True,
        SECURITY_CHANGE_URL="/settings/account",
        SECURITY_POST_CHANGE_VIEW="/settings/account",
        SECURITY_SEND_PASSWORD_CHANGE_EMAIL=False,
        SECURITY_LOGIN_USER_TEMPLATE="standalone/login.html",
        SECURITY_CHANGE_PASSWORD_TEMPLATE="standalone/account.html",  # noqa: S106 - a file
        SECURITY_MSG_GENERIC_AUTHN_FAILED=("The e-mail address or password is wrong.", "error"),
        SECURITY_MSG_UNAUTHENTICATED=("Sign in to see this page.", "info"),
    )
    email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()  # ann@company.local is an address, too
    security = Security(app, SQLAlchemyUserDatastore(db, User, Role), render_template=render)
    security.login_context_processor(lambda: {"account_exists": exists(database())})
    security.change_password_context_processor(lambda: {"account_name": actor()})
    # Sessions alone sign in. Otherwise every request, those of the API too, would have its body
    # read in search of a token of Flask-Security's, and somebody looked up before any view asks.
    security.login_manager.request_loader(lambda _request: None)
    security.principal.identity_loaders.clear()
    app.register_blueprint(blueprint)
    user_logged_out.connect(_end_sessions, app)


def authorize() -> bool:
    """Let a signed-in account in, and show everybody else the way to sign in."""
    if not current_user.is_authenticated:
        abort(to_sign_in())
    return True


def to_sign_in() -> BaseResponse:
    """Answer with the way to sign in, and from there back to the page that was asked for."""
    asked_for = request.full_path.rstrip("?")
    if request.method != "GET" or is_htmx():
        # Only the page with the form or the fragment can be come back to.
        try:
            page = urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "/")
        except ValueError:
            page = urlsplit("/")  # no browser sends an address that can't be read
        asked_for = page.path + (f"?{page.query}" if page.query else "")
    address = url_for("security.login", next=asked_for)
    if is_htmx():
        return Response(status=401, headers={"HX-Redirect": address})
    return redirect(address, 303)


def actor() -> str:
    """Name the account that makes the current request."""
    return str(current_user.email)


def exists(db: Database) -> bool:
    """Tell whether there is any account."""
    with db.read() as session:
        return session.scalar(select(User.id).limit(1)) is not None


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
    """Create an account, or, with ``only_first``, none where there is one already.

    Raises:
        InvalidInput: The address or password is not good enough, or the role is unknown.
        Conflict: The account exists.
    """
    security = _security()  # its checks are the rules of sign-in, too
    try:
        email = security._mail_util.validate(email)
    except ValueError:
        raise InvalidInput("email", "This is not an e-mail address.") from None
    problems, password = security._password_util.validate(password, is_register=True)
    if problems:
        raise InvalidInput("password", " ".join(map(str, problems)))
    hashed = hash_password(password)  # slow on purpose, so not within the transaction
    with db.write() as session:
        # Locking the role's row lets one creation in at a time where the database has many writers.
        found = session.scalar(select(Role).where(Role.name == role).with_for_update())
        if found is None:
            raise InvalidInput("role", f"There is no role {role!r}. Roles: {ADMIN}.")
        if only_first and session.scalar(select(User.id).limit(1)) is not None:
            raise Conflict("The first account already exists. Sign in with it.")
        if session.scalar(select(User.id).where(func.lower(User.email) == email.lower())):
            raise Conflict("An account with this e-mail address already exists.")
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
    """Return the path of the link that makes the first account; it works until there is one."""
    return f"/setup/{_serializer(app).dumps(uuid.uuid4().hex)}"


class SetupForm(FlaskForm):
    """The first account."""

    email = EmailField("E-mail", validators=[InputRequired("Give your e-mail address.")])
    password = PasswordField("Password", validators=[InputRequired("Choose a password.")])
    password_again = PasswordField(
        "Password again", validators=[EqualTo("password", "The passwords are not the same.")]
    )


@blueprint.before_app_request
def _plain_sign_in() -> ResponseReturnValue | None:
    """Keep from the view of Flask-Security what it has no good answer for."""
    if request.endpoint != "security.login":
        return None
    if request.is_json:
        abort(415, "Sign in with the form.")
    if "next" in request.args and not _PATH_OF_OURS.fullmatch(request.args["next"]):
        return redirect(url_for("security.login"), 303)
    return None


@blueprint.route("/setup/<token>", methods=["GET", "POST"])
def setup(token: str) -> ResponseReturnValue:
    """Make the first account."""
    db = database()
    try:
        _serializer(current_app).loads(token)
    except BadSignature:
        abort(404, "This setup link is not valid. Start the server again to get a new one.")
    if exists(db):
        abort(404, "This setup link has been used. Sign in with the account that it made.")
    form = SetupForm()
    error = None
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
        except (InvalidInput, Conflict) as refusal:
            error = str(refusal)
        else:
            _sign_in(email)
            flash("Your account is ready.")
            return redirect(url_for("apidevices.device_list"), 303)
    if form.errors:
        error = str(next(iter(form.errors.values()))[0])
    page = render("standalone/setup.html", form=form, error=error, min_password=MIN_PASSWORD)
    return page, 422 if error else 200


def _sign_in(email: str) -> None:
    datastore = _security().datastore
    user = datastore.find_user(case_insensitive=True, email=email)
    login_user(user)  # type: ignore[arg-type]  # made a moment ago, so it is found
    datastore.commit()  # type: ignore[no-untyped-call]  # untyped over there


def _end_sessions(app: Flask, user: User, **_extra: Any) -> None:
    """End all sessions of an account that signs out: its cookies could be replayed otherwise."""
    datastore = app.extensions["security"].datastore
    datastore.set_uniquifier(user)
    datastore.commit()


def _security() -> Security:
    security: Security = current_app.extensions["security"]
    return security


def _serializer(app: Flask) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(app.secret_key), salt="apidevices.setup")
