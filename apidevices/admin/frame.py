"""The blueprint of the admin pages, and what holds for each of them."""

import hashlib
from datetime import datetime
from functools import cache
from typing import Any

import humanize
from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup

from apidevices import clock, paths, state
from apidevices.devices import DeviceNotFound

YEAR = 365 * 24 * 3600

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


class _AdminBlueprint(Blueprint):
    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """Keep static files for a year: their addresses change with their content."""
        return YEAR if "v" in request.args else None


blueprint = _AdminBlueprint(
    "apidevices",
    __name__,
    template_folder=str(paths.TEMPLATES),
    static_folder=str(paths.STATIC),
    static_url_path="/api-devices/static",
)


@blueprint.before_request
def _authorize() -> None:
    if request.endpoint != "apidevices.static" and not state.current().authorize():
        abort(403)


@blueprint.after_request
def harden(response: Any) -> Any:
    """Add the headers that keep a page of ours to itself."""
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "DENY")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if response.mimetype == "text/html":
        headers["Cache-Control"] = "no-store"
        response.vary.add("HX-Request")
    return response


@blueprint.errorhandler(DeviceNotFound)
def _not_found(error: DeviceNotFound) -> ResponseReturnValue:
    abort(404, str(error))


@blueprint.app_context_processor
def _template_names() -> dict[str, Any]:
    """What the templates under ``apidevices/`` call."""
    return {
        "apidevices_static": static_url,
        "apidevices_time": time_element,
        "apidevices_csrf": generate_csrf,
    }


@cache
def _version(filename: str) -> str:
    return hashlib.sha256((paths.STATIC / filename).read_bytes()).hexdigest()[:12]


def static_url(filename: str) -> str:
    """Return the address of a static file, which changes with its content."""
    return url_for("apidevices.static", filename=filename, v=_version(filename))


def time_element(moment: datetime, now: datetime | None = None) -> Markup:
    """Return a time as people say it, with the exact one on hover and for screen readers."""
    relative = humanize.naturaltime(moment, when=now or clock.now())
    exact = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup(
        '<time datetime="{}" title="{}">{}<span class="visually-hidden"> ({})</span></time>'
    ).format(clock.rfc3339(moment), exact, relative, exact)
