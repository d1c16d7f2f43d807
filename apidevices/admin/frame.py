"""The blueprint of the admin pages: access control, security headers, template globals."""

import hashlib
import logging
from functools import cache
from typing import Any

from flask import Response, abort, current_app, g, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.urls import iri_to_uri

from apidevices import clock, devices, paths, state
from apidevices.admin import theme, times
from apidevices.admin.htmx import is_boosted, is_htmx
from apidevices.admin.messages import pop_messages, status_response
from apidevices.config import Settings
from apidevices.database import is_unavailable, lacks_tables, log_unavailable
from apidevices.embedding import Account, Link
from apidevices.errors import APIDevicesError
from apidevices.metrics import DATABASE_ERRORS
from apidevices.models import PREFIX
from apidevices.problems import Unavailable, as_http_error
from apidevices.protection import OwnBlueprint
from apidevices.rendering import environment

YEAR = 365 * 24 * 3600
INVALID_FORM = 422
"""The status of a page or fragment that shows what is wrong with a form."""

NOT_MIGRATED = (
    "The tables of API Devices are missing or out of date. Run 'flask apidevices upgrade'. Try"
    " again when it is done."
)
RETRY_AFTER = 2
"""Seconds after which to try again if the database is unavailable."""

logger = logging.getLogger(__name__)

_AUTHORIZED = "_apidevices_authorized"


class _AdminBlueprint(OwnBlueprint):
    def send_static_file(self, filename: str) -> Response:
        """Send a static file as a single body: some compression middleware skips streamed ones."""
        response = super().send_static_file(filename)
        response.direct_passthrough = False
        response.get_data()
        return _cached_if_current(response, _version(filename))


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
    result = current_app.ensure_sync(state.current().authorize)()
    # 0 and 1 are what a database column may have for False and True.
    if result is None or (isinstance(result, int) and result in (0, 1)):
        if not result:
            abort(403)
        mark_authorized()
        return None
    # Anything else must be a response. It is truthy, so never treat it as permission.
    return current_app.make_response(result)


@blueprint.before_request
def _end_blocks() -> None:
    if request.endpoint not in ("apidevices.static", "apidevices.theme"):
        devices.end_blocks_if_possible(state.database(), clock.now())


def mark_authorized() -> None:
    """Let a page of the application itself show what is for users of the admin pages only.

    The application must have checked that the visitor is one.
    """
    g.setdefault(_AUTHORIZED, True)


def is_authorized() -> bool:
    """Return whether the current request may use the admin pages."""
    return _AUTHORIZED in g


@blueprint.after_request
def harden(response: Any) -> Any:
    """Add security headers to a response, and prevent the caching of HTML.

    Pages in the host's base template get no Content-Security-Policy and no framing rules: the
    host knows what its layout loads and where it may be framed.
    """
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if response.mimetype != "text/html":
        return response
    if not theme.used_base_template():
        headers.setdefault("Content-Security-Policy", _content_security_policy())
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers["Cache-Control"] = "no-store"
    response.vary.add("HX-Request")
    return response


@blueprint.after_request
def _load_completely(response: Response) -> Response:
    """Let a boosted link in the application's layout load the page.

    HTMX replaces only the body of a page, which would leave out the style sheets in the head.
    """
    if is_boosted() and response.status_code == 200 and response.mimetype == "text/html":
        url = request.script_root + request.full_path.rstrip("?")
        response.headers["HX-Redirect"] = iri_to_uri(url)
    return response


@blueprint.after_request
def _keep_other_pages_out(response: Response) -> Response:
    """Keep the application's redirects and error pages out of the element that HTMX updates.

    Otherwise the browser would follow a redirect to the login page, and HTMX would insert that page
    into a table row.
    """
    if not is_htmx() or "HX-Reswap" in response.headers or response.status_code == INVALID_FORM:
        return response
    if response.location:
        response.headers["HX-Redirect"] = response.headers.pop("Location")
        response.status_code = 401
        response.set_data("")
    elif response.status_code >= 400 and "HX-Redirect" not in response.headers:
        return status_response(
            f"The server responded with “{response.status}”. Reload the page and try again.",
            response.status_code,
        )
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
    """Serve the CSS for the configured accent color, or 404 without one."""
    accent_color = state.current().settings.accent_color
    if not accent_color:
        abort(404)
    response = Response(theme.stylesheet(accent_color), mimetype="text/css")
    return _cached_if_current(response, theme.version(accent_color))


@blueprint.errorhandler(APIDevicesError)
def error_page(error: APIDevicesError) -> ResponseReturnValue:
    """Respond with the application's error page, or with a message for HTMX."""
    http_error = as_http_error(error)
    if is_htmx():
        return status_response(str(error), http_error.code or 500)
    return current_app.handle_http_exception(http_error)


@blueprint.errorhandler(SQLAlchemyError)
def _database_error(error: SQLAlchemyError) -> ResponseReturnValue:
    """Respond with 503 if the database is unavailable, or not migrated."""
    is_migrated = not (lacks_tables(error) and PREFIX in str(error))
    if is_migrated and not is_unavailable(error):
        raise error
    state.current().metrics.count(DATABASE_ERRORS)
    log_unavailable(logger, error)
    # Only administrators can do something about it.
    message = Unavailable.description if is_migrated or not is_authorized() else NOT_MIGRATED
    if is_htmx():
        return status_response(message, 503)
    return current_app.handle_http_exception(ServiceUnavailable(message, retry_after=RETRY_AFTER))


# --- template globals ----------------------------------------------------------------------------


def _cached_if_current(response: Response, version: str) -> Response:
    """Cache a response for a year if the request names its version: the URL changes with it.

    During an upgrade, a browser may ask an old process for the new version of a file. It must not
    keep the old one.
    """
    if request.args.get("v") == version:
        response.cache_control.no_cache = None
        response.cache_control.public = True
        response.cache_control.max_age = YEAR
        response.cache_control.immutable = True
    return response


@cache
def _version(filename: str) -> str:
    return hashlib.sha256((paths.STATIC / filename).read_bytes()).hexdigest()[:12]


def static_url(filename: str) -> str:
    """Return the URL of a static file, which changes whenever its content does."""
    return url_for("apidevices.static", filename=filename, v=_version(filename))


def navigation() -> list[Link]:
    """Return the links to the admin pages, followed by those of the application."""
    links = [
        Link("API Devices", url_for("apidevices.device_list")),
        Link("Overview", url_for("apidevices.overview")),
    ]
    if number := devices.count_suggestions(state.database()).number:
        links.append(Link(f"Suggestions ({number})", url_for("apidevices.device_suggestions")))
    if state.current().uses_tokens:
        links.append(Link("API Tokens", url_for("apidevices.token_list")))
    links.append(Link("Audit log", url_for("apidevices.audit_log")))
    links.append(Link("Storage", url_for("apidevices.storage")))
    if "apidevices_api.docs" in current_app.view_functions:
        links.append(Link("API Docs", url_for("apidevices_api.docs")))
    return [*links, *state.current().slots.navigation()]


def account() -> Account | None:
    """Return the signed-in account, or None if the application provides none."""
    return state.current().slots.account()


def settings() -> Settings:
    """Return the extension's settings in the current application."""
    return state.current().settings


def has_tokens() -> bool:
    """Return whether devices authenticate with API Devices tokens."""
    return state.current().requires_tokens


def curl_command(token: str | None = None) -> str:
    """Return a curl command that registers a device, by default with a variable for the token.

    The path is a placeholder unless the application configured an example path. Without API
    Devices tokens, the command contains no credentials: only the application knows which ones it
    accepts.
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
    path = state.current().slots.example_path or "/$API_PATH"
    lines = [
        f"curl {request.host_url.rstrip('/')}{path}",
        *([f'  -H "Authorization: Bearer {token or "$TOKEN"}"'] if has_tokens() else ()),
        *(f'  -H "{headers[field][0]}: {value}"' for field, value in values.items()),
    ]
    return " \\\n".join(lines)


environment.globals.update(
    apidevices_csrf=generate_csrf,
    apidevices_static=static_url,
    apidevices_theme=theme.stylesheet_url,
    apidevices_time=times.element,
    apidevices_short_time=times.short_element,
    apidevices_messages=pop_messages,
    apidevices_navigation=navigation,
    apidevices_account=account,
    apidevices_settings=settings,
    apidevices_has_tokens=has_tokens,
    apidevices_has_base=theme.has_base_template,
    apidevices_render_in_base=theme.render_in_base_template,
    apidevices_curl=curl_command,
)
