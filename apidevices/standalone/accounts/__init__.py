"""Administrator accounts: sign-in with Flask-Security, and the setup of the first account."""

from apidevices.standalone.accounts.administration import (
    all_users,
    delete,
    disable,
    enable,
    find,
    set_password,
)
from apidevices.standalone.accounts.reset import link_path as reset_path
from apidevices.standalone.accounts.security import init_app
from apidevices.standalone.accounts.setup import setup_path
from apidevices.standalone.accounts.sign_in import actor, authorize, redirect_to_sign_in
from apidevices.standalone.accounts.users import ADMIN, create, exists, validate_email

__all__ = [
    "ADMIN",
    "actor",
    "all_users",
    "authorize",
    "create",
    "delete",
    "disable",
    "enable",
    "exists",
    "find",
    "init_app",
    "redirect_to_sign_in",
    "reset_path",
    "set_password",
    "setup_path",
    "validate_email",
]
