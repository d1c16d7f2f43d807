"""Status messages for the next page or fragment.

They are kept separate from the messages of ``flask.flash``, which the host application's layout may
show as well: each message would then appear twice.
"""

from flask import Response, get_flashed_messages, session

from apidevices.rendering import render

MESSAGES = "_apidevices_messages"
"""The key in the session."""


def flash(message: str) -> None:
    """Show a message once, in the status line of the next page or fragment."""
    session[MESSAGES] = [*session.get(MESSAGES, ()), message]


def status_response(message: str, status: int) -> Response:
    """Return a response for HTMX that leaves the page as it is and shows a message."""
    flash(message)
    return Response(render("_status_partial.html"), status, {"HX-Reswap": "none"})


def pop_messages(*, include_flask: bool = True) -> list[str]:
    """Return and remove the pending messages, by default with those of ``flask.flash``."""
    others = get_flashed_messages() if include_flask else []
    # Several requests of one page may fail with the same message.
    return list(dict.fromkeys([*session.pop(MESSAGES, ()), *map(str, others)]))
