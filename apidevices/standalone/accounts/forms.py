"""The forms of Flask-Security with limits on wrong passwords."""

from math import ceil
from random import SystemRandom
from typing import Any

from flask import Response, after_this_request, current_app, request
from flask_security import ChangePasswordForm, LoginForm, current_user
from flask_security.utils import get_message

from apidevices.standalone.accounts import attempts, passwords, sign_in_log
from apidevices.standalone.accounts.actions import Action
from apidevices.standalone.accounts.addresses import client_address
from apidevices.standalone.accounts.attempts import Attempt
from apidevices.standalone.accounts.hashing import BUSY, slots
from apidevices.standalone.accounts.state import current_session
from apidevices.standalone.accounts.writes import try_to_commit
from apidevices.standalone.delay import hold_back
from apidevices.toolkit import LimitReached, clock, database

REFUSAL_DELAY = (1.0, 3.0)
"""Range of seconds to hold back the response to a refused attempt, so that clients in a loop cost
little. They differ, so that many clients don't come back at the same moment."""

_EMPTY = {
    "new_password": "Enter a new password.",
    "new_password_confirm": "Enter the new password again.",
}
"""Field of the form that changes the password -> error if it is empty."""


class SignInForm(LoginForm):
    """The sign-in form."""

    def validate(self, **kwargs: Any) -> bool:
        """Return whether the password is right and the account may sign in."""
        if not super(LoginForm, self).validate(**kwargs):
            return False  # an empty field, for example: no password to check
        if passwords.is_too_long(self.password.data or ""):
            self.password.errors = [get_message("INVALID_PASSWORD")[0]]
            return False
        db, now = database(), clock.now()
        attempt = attempts.sign_in(
            db, self.email.data or "", client_address(), str(current_app.secret_key)
        )
        try:
            attempt.check(db, now)
            with slots.hold(precedence=attempt.is_known):
                attempt.count(db, now)
                is_valid = bool(super().validate(**kwargs))
        except LimitReached as error:
            self.form_errors = [_refuse(error, attempt)]
            return False
        if is_valid:
            attempt.uncount(db)
            _store_new_hash()
        else:
            sign_in_log.record_failure(db, Action.SIGN_IN_FAILED, attempt, now)
        return is_valid


class PasswordForm(ChangePasswordForm):
    """The form that changes the password."""

    def validate(self, **kwargs: Any) -> bool:
        """Return whether the current password is right and the new one follows the rules."""
        if not super(ChangePasswordForm, self).validate(**kwargs):
            for name, message in _EMPTY.items():
                if not self[name].data:
                    self[name].errors = [message]
            return False
        wrong = get_message("INVALID_PASSWORD")[0]
        if passwords.is_too_long(self.password.data or ""):
            self.password.errors = [wrong]
            return False
        self.new_password.data = passwords.normalized(self.new_password.data)
        db, now = database(), clock.now()
        attempt = attempts.password_check(current_user, client_address())
        try:
            attempt.check(db, now)
            with slots.hold(precedence=True):
                attempt.count(db, now)
                is_valid = bool(super().validate(**kwargs))
        except LimitReached as error:
            self.password.errors = [_refuse(error, attempt)]
            return False
        if wrong in self.password.errors:
            sign_in_log.record_failure(db, Action.PASSWORD_CHECK_FAILED, attempt, now)
        else:
            attempt.uncount(db)
        return is_valid


def _refuse(error: LimitReached, attempt: Attempt) -> str:
    """Prepare the response to a refused attempt, and return the message for its form."""
    sign_in_log.record_refusal(database(), attempt, error.limit, clock.now())
    hold_back(request.environ, SystemRandom().uniform(*REFUSAL_DELAY))

    @after_this_request
    def as_refusal(response: Response) -> Response:
        response.status_code = 429
        response.headers["Retry-After"] = str(error.retry_after)
        return response

    if error.limit == BUSY:
        return "Too many people are signing in. Try again in a few seconds."
    what = "wrong passwords" if error.limit == attempts.PASSWORD_CHECK.name else "failed sign-ins"
    return f"Too many {what}. Try again in {_duration(error.retry_after)}."


def _duration(seconds: int) -> str:
    if seconds > 90:
        return f"{ceil(seconds / 60)} minutes"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def _store_new_hash() -> None:
    """Store the hash if it was recomputed with current parameters. Signing in works without."""
    try_to_commit(current_session(), "store the new hash of a password")
