"""Security headers of all responses of the standalone application, except those of the gate.

A proxy passes the gate's responses on to the clients of another site, which decides for itself
about HTTPS and about other origins.
"""

from flask import Flask, Response, request

from apidevices.toolkit import harden

NO_SNIFF = ("X-Content-Type-Options", "nosniff")
_SAME_ORIGIN = ("Cross-Origin-Resource-Policy", "same-origin")
_HTTPS_ONLY = ("Strict-Transport-Security", "max-age=63072000")  # two years
_PLAIN = (NO_SNIFF, _SAME_ORIGIN)
_SECURE = (*_PLAIN, _HTTPS_ONLY)


def init_app(app: Flask, gate: str) -> None:
    """Add the headers to all responses of an application.

    Args:
        app: The application.
        gate: The name of the gate's blueprint.
    """

    def complete(response: Response) -> Response:
        if request.blueprint != gate:
            for name, value in headers(is_secure=request.is_secure):
                response.headers.setdefault(name, value)
        return response

    app.after_request(harden)
    app.after_request(complete)


def headers(*, is_secure: bool) -> tuple[tuple[str, str], ...]:
    """Return the headers for a response to a request over HTTPS, or over HTTP."""
    return _SECURE if is_secure else _PLAIN
