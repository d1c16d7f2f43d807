"""The audit log actions of accounts."""

from enum import StrEnum


class Action(StrEnum):
    """What has happened to an account."""

    USER_CREATED = "user.created"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_DELETED = "user.deleted"
    SIGNED_IN = "user.signed_in"
    SIGN_IN_FAILED = "user.sign_in_failed"
    SIGN_IN_LIMITED = "user.sign_in_limited"
    SIGNED_OUT = "user.signed_out"
    # ruff: noqa: S105 - the names of actions
    PASSWORD_CHECK_FAILED = "user.password_check_failed"
    PASSWORD_CHANGED = "user.password_changed"
    PASSWORD_SET = "user.password_set"
    PASSWORD_RESET = "user.password_reset"
    RESET_LINK_CREATED = "user.reset_link_created"
