"""What happened, for the status line of the next page or fragment.

Flask's own ``flash`` would do, but a host's layout shows those messages too, so they would appear
twice.
"""

from flask import get_flashed_messages, session

_KEY = "_apidevices_messages"


def flash(message: str) -> None:
    """Show a message once, in the status line of the next page or fragment."""
    session[_KEY] = [*session.get(_KEY, ()), message]


def take_messages(*, flashed: bool = True) -> list[str]:
    """Return the messages that wait; with ``flashed``, those of ``flask.flash`` too."""
    others = get_flashed_messages() if flashed else []
    return [*session.pop(_KEY, ()), *map(str, others)]
