"""Administrator accounts: sign-in with Flask-Security, and the setup of the first account."""

from apidevices.standalone.accounts.security import init_app
from apidevices.standalone.accounts.setup import setup_path
from apidevices.standalone.accounts.sign_in import actor, authorize, redirect_to_sign_in
from apidevices.standalone.accounts.users import ADMIN, create, exists, validate_email

__all__ = [
    "ADMIN",
    "actor",
    "authorize",
    "create",
    "exists",
    "init_app",
    "redirect_to_sign_in",
    "setup_path",
    "validate_email",
]
