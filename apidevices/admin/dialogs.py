"""Forms that open in a dialog, or as pages of their own without JavaScript.

A link with ``data-dialog`` leads to the page of a form. With JavaScript, static/dialogs.js requests
the same URL through HTMX, gets the form alone, and shows it in the dialog of the page.
"""

from typing import Any

from flask import abort, request
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from apidevices.admin.frame import INVALID_FORM
from apidevices.admin.htmx import wants_fragment
from apidevices.rendering import render

EXPIRED = "The page has expired and nothing was changed. Reload it and try again."


def is_submitted(form: FlaskForm) -> bool:
    """Return whether this request submits the form, with valid values.

    Responds with 400 to a form of another session.
    """
    if request.method != "POST":
        return False
    valid = bool(form.validate())
    if "csrf_token" in form.errors:
        abort(400, EXPIRED)
    return valid


def show_form(
    template: str, *, title: str, back: str, back_label: str, **context: Any
) -> ResponseReturnValue:
    """Respond with a form, as a page or for the dialog; with 422 if it was submitted.

    Args:
        template: The template of the form.
        title: The title of the page.
        back: The URL of the page to return to.
        back_label: What that page shows.
        **context: Variables of the template.
    """
    status = INVALID_FORM if request.method == "POST" else 200
    context |= {"back": back, "in_page": not wants_fragment()}
    if wants_fragment():
        return render(template, **context), status
    page = {"title": title, "back_label": back_label, "form_template": f"apidevices/{template}"}
    return render("form_page.html", **page, **context), status
