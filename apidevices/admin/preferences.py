"""The form for the columns of the device list, the height of its rows, and its shortcuts."""

from urllib.parse import urlencode

from flask import abort, request
from flask.typing import ResponseReturnValue

from apidevices import preferences, state
from apidevices.admin.device_list import list_fragment
from apidevices.admin.dialogs import EXPIRED, is_submitted
from apidevices.admin.forms import AdminForm
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import wants_fragment
from apidevices.admin.views import reload_list


@blueprint.post("/api-devices/preferences")
def store_preferences() -> ResponseReturnValue:
    """Store how the account wants to see the list, and return to the list in the query string.

    A form without the field ``columns``, ``density`` or ``shortcuts`` leaves that as it is. To let
    people hide all columns or turn off shortcuts, give the form an empty field as well.
    """
    if not is_submitted(AdminForm()):
        abort(400, EXPIRED)
    sent = request.form
    preferences.store(
        state.database(),
        state.current().actor(),
        columns=sent.getlist("columns") if "columns" in sent else None,
        density=sent.get("density"),
        shortcuts=any(sent.getlist("shortcuts")) if "shortcuts" in sent else None,
    )
    if wants_fragment():
        return list_fragment()
    return reload_list(urlencode(list(request.args.items(multi=True))))
