"""The form for the columns of the device list and the height of its rows."""

from urllib.parse import urlencode

from flask import abort, request
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from apidevices import preferences, state
from apidevices.admin.dialogs import EXPIRED, is_submitted
from apidevices.admin.frame import blueprint
from apidevices.admin.views import reload_list


@blueprint.post("/api-devices/preferences")
def store_preferences() -> ResponseReturnValue:
    """Store how the account wants to see the list, and return to the list in the query string.

    A form without the field ``columns``, or without ``density``, leaves that as it is. To let
    people hide all columns, give the form an empty ``columns``.
    """
    if not is_submitted(FlaskForm()):
        abort(400, EXPIRED)
    sent = request.form
    preferences.store(
        state.database(),
        state.current().actor(),
        columns=sent.getlist("columns") if "columns" in sent else None,
        density=sent.get("density"),
    )
    return reload_list(urlencode(list(request.args.items(multi=True))))
