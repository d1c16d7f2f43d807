"""The audit log actions of accounts."""

from enum import StrEnum

from apidevices.toolkit import audit


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


audit.add_phrases(
    {
        Action.USER_CREATED: ("{actor} created the account {subject}", " with the role {role}"),
        Action.USER_DISABLED: ("{actor} disabled the account {subject}",),
        Action.USER_ENABLED: ("{actor} enabled the account {subject}",),
        Action.USER_DELETED: ("{actor} deleted the account {subject}",),
        Action.SIGNED_IN: ("{actor} signed in", " from {address}"),
        Action.SIGN_IN_FAILED: ("A sign-in", " as {email}", " failed", ", from {address}"),
        Action.SIGN_IN_LIMITED: (
            "A sign-in",
            " as {email}",
            " was refused after too many attempts",
            ", from {address}",
        ),
        Action.SIGNED_OUT: ("{actor} signed out", " from {address}"),
        Action.PASSWORD_CHECK_FAILED: (
            "The current password",
            " of {email}",
            " was wrong when it was to be changed",
            ", from {address}",
        ),
        Action.PASSWORD_CHANGED: ("{actor} chose a new password", " from {address}"),
        Action.PASSWORD_SET: ("{actor} set the password of {subject}",),
        Action.PASSWORD_RESET: (
            "{actor} chose a new password with a reset link",
            ", from {address}",
        ),
        Action.RESET_LINK_CREATED: ("{actor} created a link to reset the password of {subject}",),
    }
)
