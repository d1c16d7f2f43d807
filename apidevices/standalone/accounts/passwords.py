"""The rules for passwords, and their hashes."""

from flask_security import hash_password

from apidevices.standalone.accounts.state import current_security
from apidevices.toolkit import InvalidInput

MIN_LENGTH = 8


def check(password: str, email: str) -> str:
    """Return a new password of the account ``email`` in the form that is hashed.

    Raises:
        InvalidInput: The password breaks a rule.
    """
    problems, normalized = current_security()._password_util.validate(
        password, is_register=True, email=email
    )
    if problems:
        raise InvalidInput("password", " ".join(map(str, problems)))
    return str(normalized)


def hashed(password: str) -> str:
    """Return the hash of a password. Deliberately slow: keep it out of transactions."""
    return str(hash_password(password))
