"""The configuration of Flask-Security."""

from datetime import timedelta

import email_validator
from flask import Flask
from flask_security import Security, SQLAlchemyUserDatastore
from flask_sqlalchemy import SQLAlchemy

from apidevices.standalone.accounts import forms, passwords, reset, setup, sign_in, users
from apidevices.standalone.accounts.hashing import PasswordHashes
from apidevices.standalone.models import Role, User
from apidevices.toolkit import database, mark_authorized, render


def init_app(app: Flask, db: SQLAlchemy) -> None:
    """Set up sign-in, sign-out, the account page and the setup page."""
    app.config.from_mapping(
        SECURITY_PASSWORD_HASH="argon2",  # noqa: S106 - the name of a hash
        # Without the extra HMAC, passwords don't depend on another secret.
        SECURITY_PASSWORD_SINGLE_HASH=True,
        # One thread per hash: see hashing.py. Hashes with more are replaced at the next sign-in.
        SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS={"argon2__parallelism": 1},
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
        SECURITY_MSG_UNAUTHENTICATED=(sign_in.SIGN_IN, "info"),
        SECURITY_MSG_INVALID_PASSWORD=("The current password is wrong.", "error"),
        SECURITY_MSG_EMAIL_NOT_PROVIDED=("Enter your email address.", "error"),
        SECURITY_MSG_PASSWORD_NOT_PROVIDED=("Enter your password.", "error"),
        SECURITY_MSG_PASSWORD_IS_THE_SAME=(
            "The new password must differ from the current one.",
            "error",
        ),
        SECURITY_MSG_PASSWORD_CHANGE=("Your password has been changed.", "success"),
    )
    email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()  # allow ann@company.local
    security = Security(
        app,
        SQLAlchemyUserDatastore(db, User, Role),
        render_template=render,
        login_form=forms.SignInForm,
        change_password_form=forms.PasswordForm,
        password_util_cls=passwords.Rules,
    )
    security.pwd_context = PasswordHashes.from_string(security.pwd_context.to_string())
    security.login_context_processor(lambda: {"account_exists": users.exists(database())})
    security.change_password_context_processor(_account_page)
    # Authenticate by session only. Otherwise Flask-Security would look for its own token in the
    # body of every request, including API requests, and would always query the user.
    security.login_manager.request_loader(lambda _request: None)
    security.principal.identity_loaders.clear()
    # Ignore "remember me" cookies: they would outlive all limits of sessions.
    security.login_manager._load_user_from_remember_cookie = lambda _cookie: None
    app.register_blueprint(setup.blueprint)
    sign_in.init_app(app)
    reset.init_app(app)


def _account_page() -> dict[str, str | None]:
    mark_authorized()  # Flask-Security shows this page to signed-in users only
    return {"account_name": sign_in.actor(), "hint": passwords.HINT}
