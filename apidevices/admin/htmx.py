"""How HTMX asks: for a part of a page, where a plain browser asks for the whole."""

from flask import request


def wants_fragment() -> bool:
    """Tell whether HTMX asks for a part of a page.

    A restored or boosted page is asked for by HTMX too, and is a whole page.
    """
    headers = request.headers
    return (
        headers.get("HX-Request") == "true"
        and headers.get("HX-Boosted") != "true"
        and headers.get("HX-History-Restore-Request") != "true"
    )
