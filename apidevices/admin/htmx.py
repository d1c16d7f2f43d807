"""How HTMX asks: for a part of a page, where a plain browser asks for the whole."""

from flask import request


def is_htmx() -> bool:
    """Tell whether HTMX made this request."""
    return request.headers.get("HX-Request") == "true"


def wants_fragment() -> bool:
    """Tell whether HTMX asks for a part of a page.

    A page that is restored, boosted or selected from is asked for by HTMX too, and is a whole one.
    """
    headers = request.headers
    return (
        is_htmx()
        and headers.get("HX-Request-Type") != "full"
        and headers.get("HX-Boosted") != "true"
        and headers.get("HX-History-Restore-Request") != "true"
    )
