"""Status messages for the next page or fragment.

They are kept separate from the messages of ``flask.flash``, which the host application's layout may
show as well: each message would then appear twice.
"""

from flask import Response, g, get_flashed_messages, session
from markupsafe import Markup

from apidevices.admin import times
from apidevices.rendering import render

MESSAGES = "_apidevices_messages"
"""The key in the session."""

_UNDOABLE = "_apidevices_undoable"


def flash(message: str, undoable: int | None = None) -> None:
    """Show a message once, in the status line of the next page or fragment.

    Args:
        message: The message.
        undoable: The id of the operation that the message is about, if it can be undone.
    """
    session[MESSAGES] = [*session.get(MESSAGES, ()), message]
    session[_UNDOABLE] = undoable


def status_response(message: str, status: int) -> Response:
    """Return a response for HTMX that leaves the page as it is and shows a message."""
    flash(message)
    return Response(render("_status_partial.html"), status, {"HX-Reswap": "none"})


def pop_messages(*, include_flask: bool = True) -> list[Markup]:
    """Return and remove the pending messages, by default with those of ``flask.flash``."""
    others = get_flashed_messages() if include_flask else []
    setattr(g, _UNDOABLE, session.pop(_UNDOABLE, None))
    # Several requests of one page may fail with the same message.
    messages = dict.fromkeys([*session.pop(MESSAGES, ()), *map(str, others)])
    return [times.in_text(message) for message in messages]


def undoable_in_messages() -> int | None:
    """Return the id of the operation that the popped messages are about, if it can be undone."""
    found: int | None = g.get(_UNDOABLE)
    return found
