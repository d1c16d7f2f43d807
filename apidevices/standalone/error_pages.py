"""Errors in the form that who asked can use: a problem below the API, a page elsewhere."""

from flask import Flask, Response, flash, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, InternalServerError

from apidevices.admin.frame import harden
from apidevices.admin.htmx import wants_fragment
from apidevices.api import blueprint as api
from apidevices.database import is_unavailable
from apidevices.errors import Unavailable, as_problem


def init_app(app: Flask) -> None:
    """Answer every error of the application."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(SQLAlchemyError, _database_error)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if request.path == api.url_prefix or request.path.startswith(f"{api.url_prefix}/"):
        return as_problem(error)
    response = error.get_response()
    if response.status_code < 400 or error.response is not None:
        return response  # a redirect, or an answer that somebody made with care
    message = error.description or ""
    if isinstance(error, InternalServerError):
        message = "Something went wrong on the server. It has been logged. Try again later."
    if wants_fragment():
        # The page stays as it is, and its status line says what happened.
        flash(message)
        page = render_template("apidevices/_status.html")
        return page, response.status_code, {"HX-Reswap": "none"}
    page = render_template(
        "apidevices/error.html", status=response.status_code, title=error.name, message=message
    )
    answer = Response(page, response.status_code)
    for name in ("Allow", "Retry-After"):
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return harden(answer)  # type: ignore[no-any-return]


def _database_error(error: Exception) -> ResponseReturnValue:
    if not is_unavailable(error):
        raise error
    return _http_error(Unavailable())
