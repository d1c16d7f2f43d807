"""The blueprint of the JSON API, and how a body is read."""

from contextlib import suppress

from flask import Blueprint, request
from werkzeug.exceptions import RequestEntityTooLarge

from apidevices.uploads import MAX_BYTES

blueprint = Blueprint("api", __name__, url_prefix="/api")


def read_body() -> bytes:
    """Return the whole body of the request.

    Raises:
        RequestEntityTooLarge: it has over 1 MiB.
    """
    # One byte more than may come, as a body without a length is cut there in silence.
    # Flask 3.0 can't limit a single request: there, the application's own limit applies.
    with suppress(AttributeError):
        request.max_content_length = MAX_BYTES + 1
    body = request.get_data()
    if len(body) > MAX_BYTES:
        raise RequestEntityTooLarge(f"A body has {MAX_BYTES:,} bytes at most.")
    return body
