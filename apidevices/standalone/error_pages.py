"""Errors in the form that who asked can use: a problem below the API, a page elsewhere."""

from flask import Flask, Response, current_app, flash, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, InternalServerError

from apidevices.standalone.accounts import to_sign_in
from apidevices.toolkit import Unavailable, as_problem, is_htmx, is_unavailable, render

_MESSAGES = {
    404: "There is no such page.",
    405: "This address is there for forms only.",
    413: "That was too much at once.",
}


def init_app(app: Flask) -> None:
    """Answer every error of the application."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(SQLAlchemyError, _database_error)
    app.register_error_handler(CSRFError, _expired_page)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if f"{request.path}/".startswith(("/api/", "/verify/")):
        return as_problem(error)
    response = error.get_response()
    if response.status_code < 400 or error.response is not None:
        return response  # a redirect, or an answer that somebody made with care
    message = error.description or ""
    if _is_bare(error):
        message = _MESSAGES.get(response.status_code, message)
    if isinstance(error, InternalServerError):
        message = "Something went wrong on the server. It has been logged. Try again later."
    if is_htmx():
        # The page stays as it is, and its status line says what happened.
        flash(message)
        page = render("_status_partial.html")
        return page, response.status_code, {"HX-Reswap": "none"}
    page = render(
        "standalone/error.html", status=response.status_code, title=error.name, message=message
    )
    answer = Response(page, response.status_code)
    for name in ("Allow", "Retry-After"):
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return answer


def _is_bare(error: HTTPException) -> bool:
    """Tell whether an error says no more than every error of its kind."""
    return error.description == type(error).description


def _expired_page(error: CSRFError) -> ResponseReturnValue:
    if not current_user.is_authenticated:
        flash("The page had expired. Sign in and try again.")
        return to_sign_in()
    error.description = "The page had expired, and nothing was changed. Reload it and try again."
    return _http_error(error)


def _database_error(error: Exception) -> ResponseReturnValue:
    if not is_unavailable(error):
        raise error
    current_app.logger.error("The database can't be asked: %s", error)
    return _http_error(Unavailable())
