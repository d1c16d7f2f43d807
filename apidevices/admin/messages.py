"""Status messages for the next page or fragment.

They are kept separate from the messages of ``flask.flash``, which the host application's layout may
show as well: each message would then appear twice.
"""

import re

from flask import Response, g, get_flashed_messages, session
from markupsafe import Markup, escape

from apidevices.rendering import render

MESSAGES = "_apidevices_messages"
"""The key in the session."""

_UNDOABLE = "_apidevices_undoable"

_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC")
_TIME_ELEMENT = (
    r'<time datetime="\1T\2:00Z"><span><span>\1</span> <span>\2 UTC</span></span></time>'
)


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
    return [_with_times(message) for message in messages]


def undoable_in_messages() -> int | None:
    """Return the id of the operation that the popped messages are about, if it can be undone."""
    found: int | None = g.get(_UNDOABLE)
    return found


def _with_times(message: str) -> Markup:
    """Return a message as HTML. static/times.js shows its times in the viewer's zone."""
    html = _TIME.sub(_TIME_ELEMENT, str(escape(message)))
    return Markup(html)  # noqa: S704 - the message is escaped
