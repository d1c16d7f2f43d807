"""The blueprint of the admin pages, and what holds for each of them."""

import hashlib
from datetime import datetime
from functools import cache
from typing import Any

import humanize
from flask import Blueprint, Response, abort, current_app, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup
from werkzeug.exceptions import NotFound as HTTPNotFound

from apidevices import clock, paths, state
from apidevices.admin import theme
from apidevices.admin.messages import take_messages
from apidevices.config import Settings
from apidevices.embedding import Account, Link
from apidevices.errors import NotFound
from apidevices.rendering import environment

YEAR = 365 * 24 * 3600


class _AdminBlueprint(Blueprint):
    enable_openapi = False  # APIFlask reads this from every blueprint that has hooks

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """Keep static files for a year: their addresses change with their content."""
        return YEAR if "v" in request.args else None

    def send_static_file(self, filename: str) -> Response:
        """Answer whole rather than in a stream, which not every compression can be applied to."""
        response = super().send_static_file(filename)
        response.direct_passthrough = False
        response.get_data()
        return response


blueprint = _AdminBlueprint(
    "apidevices",
    __name__,
    static_folder=str(paths.STATIC),
    static_url_path="/api-devices/static",
)


@blueprint.before_request
def _authorize() -> ResponseReturnValue | None:
    if request.endpoint in ("apidevices.static", "apidevices.theme"):
        return None
    allowed = current_app.ensure_sync(state.current().authorize)()
    if isinstance(allowed, Response):
        return allowed  # say, to where one signs in
    if not allowed:
        abort(403)
    return None


@blueprint.after_request
def harden(response: Any) -> Any:
    """Add to a page the headers that keep it to itself.

    What a page in the host's base template may load and who may frame it, the host decides.
    """
    if response.mimetype != "text/html":
        return response
    headers = response.headers
    if not theme.is_in_base():
        headers.setdefault("Content-Security-Policy", _content_security_policy())
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers["Cache-Control"] = "no-store"
    response.vary.add("HX-Request")
    return response


def _content_security_policy() -> str:
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' data: {theme.logo_origin()}".rstrip(),
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


@blueprint.get("/api-devices/theme.css", endpoint="theme")
def theme_stylesheet() -> Response:
    """Return the CSS that the settings ask for."""
    accent_color = state.current().settings.accent_color
    if not accent_color:
        abort(404)
    response = Response(theme.stylesheet(accent_color), mimetype="text/css")
    if "v" in request.args:
        response.cache_control.public = True
        response.cache_control.max_age = YEAR
    return response


@blueprint.errorhandler(NotFound)
def not_found(error: NotFound) -> ResponseReturnValue:
    """Answer 404, as a page or in the status line."""
    return current_app.handle_http_exception(HTTPNotFound(str(error)))


# --- what templates call -------------------------------------------------------------------------


@cache
def _version(filename: str) -> str:
    return hashlib.sha256((paths.STATIC / filename).read_bytes()).hexdigest()[:12]


def static_url(filename: str) -> str:
    """Return the address of a static file, which changes with its content."""
    return url_for("apidevices.static", filename=filename, v=_version(filename))


def time_element(moment: datetime, now: datetime, *, exact_shown: bool = False) -> Markup:
    """Return a time as people say it, with the exact one on hover and for screen readers.

    With ``exact_shown`` the exact one is there for everybody, where there is room.
    """
    exact = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    try:
        relative = humanize.naturaltime(moment, when=now)
    except (ValueError, OverflowError):  # too far away to be counted
        relative = exact
    return Markup('<time datetime="{}" title="{}">{}<span class="{}"> ({})</span></time>').format(
        clock.rfc3339(moment), exact, relative, "muted" if exact_shown else "visually-hidden", exact
    )


def navigation() -> list[Link]:
    """Return our links, and those of the application."""
    links = [Link("API Devices", url_for("apidevices.device_list"))]
    if has_tokens():
        links.append(Link("API Tokens", url_for("apidevices.token_list")))
    return [*links, *state.current().slots.navigation()]


def account() -> Account | None:
    """Return who is signed in, where the application says so."""
    return state.current().slots.account()


def settings() -> Settings:
    """Return the settings of the application."""
    return state.current().settings


def has_tokens() -> bool:
    """Tell whether the API is called with tokens of ours."""
    return state.current().tokens


def curl_command(token: str = "$TOKEN") -> str:  # noqa: S107 - a variable of the shell
    """Return a call that registers a device, ready for a shell.

    Which path and, without our tokens, which credentials it needs, the application alone knows.
    """
    values = {
        "identifier": "my-first-device",
        "application": "curl",
        "application_version": "8.5",
        "os": "Linux",
        "os_version": "6.12",
        "manufacturer": "Raspberry Pi",
        "model": "Raspberry Pi 5",
    }
    headers = settings().headers
    path = state.current().slots.example_path or "/$PATH_OF_API"
    lines = [
        f"curl {request.host_url.rstrip('/')}{path}",
        *([f'  -H "Authorization: Bearer {token}"'] if has_tokens() else ()),
        *(f'  -H "{headers[field][0]}: {value}"' for field, value in values.items()),
    ]
    return " \\\n".join(lines)


environment.globals.update(
    apidevices_csrf=generate_csrf,
    apidevices_static=static_url,
    apidevices_theme=theme.stylesheet_url,
    apidevices_time=time_element,
    apidevices_messages=take_messages,
    apidevices_navigation=navigation,
    apidevices_account=account,
    apidevices_settings=settings,
    apidevices_has_tokens=has_tokens,
    apidevices_has_base=theme.has_base,
    apidevices_in_base=theme.in_base,
    apidevices_curl=curl_command,
)
