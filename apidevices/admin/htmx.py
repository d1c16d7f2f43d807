"""Distinguish HTMX requests for a fragment from requests for a whole page."""

from flask import request


def is_htmx() -> bool:
    """Return whether HTMX sent this request."""
    return request.headers.get("HX-Request") == "true"


def is_boosted() -> bool:
    """Return whether HTMX follows an ordinary link (``hx-boost``)."""
    return request.headers.get("HX-Boosted") == "true"


def is_poll() -> bool:
    """Return whether a page has sent this request by itself, without an action of its user."""
    return "waiting" in request.args


def wants_fragment() -> bool:
    """Return whether HTMX sent this request to get a fragment of a page.

    HTMX asks for whole pages when it restores history, follows a boosted link, or selects
    elements from the response.
    """
    headers = request.headers
    return (
        is_htmx()
        and headers.get("HX-Request-Type") != "full"
        and not is_boosted()
        and headers.get("HX-History-Restore-Request") != "true"
    )
