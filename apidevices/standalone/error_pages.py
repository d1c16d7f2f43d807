"""Error responses: problem details for the API, HTML for pages."""

from flask import Flask, Response, current_app, request
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, InternalServerError

from apidevices.standalone.accounts import redirect_to_sign_in
from apidevices.toolkit import (
    APIDevicesError,
    Unavailable,
    as_http_error,
    as_problem,
    current_state,
    has_default_description,
    is_htmx,
    is_unavailable,
    log_unavailable,
    metrics,
    render,
    status_response,
)

_TITLES = {
    404: "Page not found",
    405: "Page not available",
}
_MESSAGES = {
    404: "This page does not exist.",
    405: "This URL only accepts form submissions.",
    413: "The request is too large.",
}


def init_app(app: Flask) -> None:
    """Register the error handlers."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(APIDevicesError, _error)
    app.register_error_handler(SQLAlchemyError, _database_error)
    app.register_error_handler(CSRFError, _expired_page)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if f"{request.path}/".startswith(("/api/", "/verify/")):
        return as_problem(error)
    response = error.get_response()
    if response.status_code < 400 or error.response is not None:
        return response  # a redirect, or a response that the view built itself
    if request_ctx.url_adapter is None:
        return response  # the host name is invalid, so the page couldn't contain URLs
    message = error.description or ""
    if has_default_description(error):
        message = _MESSAGES.get(response.status_code, message)
    if isinstance(error, InternalServerError):
        message = "Something went wrong on the server. The error has been logged. Try again later."
    if is_htmx():
        return status_response(message, response.status_code)
    page = render("standalone/error.html", title=_title(error), message=message)
    result = Response(page, response.status_code)
    for name in ("Allow", "Retry-After"):
        if name in response.headers:
            result.headers[name] = response.headers[name]
    return result


def _error(error: APIDevicesError) -> ResponseReturnValue:
    return _http_error(as_http_error(error))


def _title(error: HTTPException) -> str:
    if isinstance(error, CSRFError):
        return "Page expired"
    return _TITLES.get(error.code or 0, error.name.capitalize())


def _expired_page(error: CSRFError) -> ResponseReturnValue:
    if not current_user.is_authenticated:
        return redirect_to_sign_in()
    error.description = "The page has expired and nothing was changed. Reload it and try again."
    return _http_error(error)


def _database_error(error: Exception) -> ResponseReturnValue:
    if not is_unavailable(error):
        raise error
    current_state().metrics.count(metrics.DATABASE_ERRORS)
    log_unavailable(current_app.logger, error)
    return _http_error(Unavailable())
