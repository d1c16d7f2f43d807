"""Saved views: filters of the device list under a name, shared by all administrators."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from apidevices import audit
from apidevices.audit import Action
from apidevices.database import Database
from apidevices.errors import Conflict, InvalidInput, ViewExists, ViewNotFound
from apidevices.listing import Filters, sort_or_default
from apidevices.listing.search import fold
from apidevices.models import MAX_ID, SavedView
from apidevices.text import MAX_LENGTH, clean_text

MAX_VIEWS = 50
"""How many views can be saved. The navigation shows all of them."""


def save(
    db: Database, name: str, query: str, *, replace: bool = False, actor: str, now: datetime
) -> SavedView:
    """Save the query string of the list under a name.

    Args:
        db: The database.
        name: The name. Names that differ in case only are the same.
        query: The query string of the list's URL. Its position in the list is left out.
        replace: Whether to replace a view that has this name.
        actor: Who saves the view.
        now: The current time.

    Raises:
        InvalidInput: The name is empty or too long.
        ViewExists: Another view has this name, and ``replace`` is False.
        Conflict: There are 50 views already.
    """
    name, query = _clean_name(name), normalized(query)
    with db.write(exclusive=True) as session:
        views = session.scalars(select(SavedView)).all()
        view = next((view for view in views if fold(view.name) == fold(name)), None)
        if view is None:
            if len(views) >= MAX_VIEWS:
                raise Conflict(f"There are {MAX_VIEWS} saved views already. Delete one first.")
            view = SavedView()
            session.add(view)
        elif not replace:
            raise ViewExists(f"There is already a view named “{view.name}”.")
        view.name, view.query = name, query
        view.created_by, view.created_at = actor, now
        session.flush()
        _record(session, Action.VIEW_SAVED, view, actor, now)
    return view


def all_views(db: Database) -> Sequence[SavedView]:
    """Return all views in alphabetical order."""
    with db.read() as session:
        return sorted(session.scalars(select(SavedView)), key=lambda view: fold(view.name))


def get(db: Database, view_id: int) -> SavedView:
    """Return a view.

    Raises:
        ViewNotFound: No view has this id.
    """
    with db.read() as session:
        return _load(session, view_id)


def delete(db: Database, view_id: int, *, actor: str, now: datetime) -> SavedView:
    """Delete a view, and return what it was.

    Raises:
        ViewNotFound: No view has this id.
    """
    with db.write() as session:
        view = _load(session, view_id, lock=True)
        _record(session, Action.VIEW_DELETED, view, actor, now)
        session.delete(view)
    return view


def normalized(query: str) -> str:
    """Return a query string of the list with nothing but its filters and its order.

    Equal filters have equal results. Whatever is unknown or invalid is left out.
    """
    parameters = MultiDict(parse_qsl(query))
    sort = sort_or_default(parameters.get("sort"))
    order = [] if sort == sort_or_default(None) else [("sort", sort)]
    return urlencode([*sorted(Filters.lenient(parameters).query), *order])


def _load(session: Session, view_id: int, *, lock: bool = False) -> SavedView:
    view = (
        session.get(SavedView, view_id, with_for_update=lock or None)
        if view_id <= MAX_ID
        else None  # database drivers reject integers this large
    )
    if view is None:
        raise ViewNotFound
    return view


def _clean_name(name: str) -> str:
    cleaned = clean_text(name)
    if not cleaned:
        raise InvalidInput("name", "Enter a name for the view.")
    if len(cleaned) > MAX_LENGTH:
        raise InvalidInput("name", f"The name of a view can have at most {MAX_LENGTH} characters.")
    return cleaned


def _record(session: Session, action: Action, view: SavedView, actor: str, now: datetime) -> None:
    subject = f"view:{view.id}"
    audit.record(session, action, subject, actor=actor, at=now, name=view.name, query=view.query)
