"""Saved views of the device list: save and delete them, and show them in the navigation."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from apidevices import clock, state, views
from apidevices.admin.dialogs import is_submitted, show_form
from apidevices.admin.forms import AdminForm, ViewForm
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import is_htmx
from apidevices.admin.messages import flash
from apidevices.errors import Conflict, InvalidInput, ViewExists
from apidevices.models import MAX_ID, SavedView
from apidevices.rendering import environment

METHODS = ("GET", "POST")


class NavigationEntry(NamedTuple):
    """A saved view in the navigation."""

    id: int
    name: str
    url: str
    is_current: bool


@blueprint.route("/api-devices/views", methods=METHODS)
def save_view() -> ResponseReturnValue:
    """Save the filters in the query string as a view."""
    query, form = _query(), ViewForm()
    if is_submitted(form):
        try:
            saved = views.save(
                state.database(), form.name.data or "", query, replace=form.replaces, **_audit()
            )
        except ViewExists as error:
            form.ask_to_replace(str(error))
        except (InvalidInput, Conflict) as error:
            form.name.errors = [str(error)]
        else:
            flash(f"The view “{saved.name}” is saved for all administrators.")
            return reload_list(query)
    return show_form(
        "views/_save.html",
        title="Save view",
        back=_list_url(query),
        back_label="API Devices",
        form=form,
        action=_with_query(url_for(".save_view"), query),
    )


@blueprint.route(f"/api-devices/views/<int(max={MAX_ID}):view_id>/delete", methods=METHODS)
def delete_view(view_id: int) -> ResponseReturnValue:
    """Delete a view."""
    view = views.get(state.database(), view_id)
    if is_submitted(AdminForm()):
        views.delete(state.database(), view_id, **_audit())
        flash(f"The view “{view.name}” is deleted.")
        return reload_list(view.query)
    return show_form(
        "views/_delete.html",
        title=f"Delete {view.name}",
        back=_list_url(view.query),
        back_label="API Devices",
        view=view,
    )


def reload_list(query: str) -> ResponseReturnValue:
    """Respond to a form that changes more than one part of the page."""
    if is_htmx():
        return "", {"HX-Refresh": "true"}
    return redirect(_list_url(query), 303)


def navigation() -> Sequence[NavigationEntry]:
    """Return the saved views."""
    is_list = request.endpoint == f"{blueprint.name}.device_list"
    current = _query() if is_list else None
    return [_entry(view, current) for view in views.all_views(state.database())]


def _entry(view: SavedView, current: str | None) -> NavigationEntry:
    return NavigationEntry(view.id, view.name, _list_url(view.query), view.query == current)


def _list_url(query: str) -> str:
    return _with_query(url_for(f"{blueprint.name}.device_list"), query)


def _with_query(url: str, query: str) -> str:
    return f"{url}?{query}" if query else url


def _query() -> str:
    """Return the filters in the query string of this request."""
    return views.normalized(urlencode(list(request.args.items(multi=True))))


def _audit() -> dict[str, Any]:
    return {"actor": state.current().actor(), "now": clock.now()}


environment.globals["apidevices_views"] = navigation
