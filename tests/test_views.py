"""Saved views and the preferences of accounts."""

from typing import Any

import pytest
from sqlalchemy import select

from apidevices import preferences, views
from apidevices.database import Database
from apidevices.errors import Conflict, InvalidInput, ViewExists, ViewNotFound
from apidevices.models import AuditEntry
from tests.conftest import NOON

AUDIT: dict[str, Any] = {"actor": "ann", "now": NOON}


def saved(db: Database) -> list[tuple[str, str]]:
    return [(view.name, view.query) for view in views.all_views(db)]


def test_view_is_saved_under_a_cleaned_name_without_its_position(db: Database) -> None:
    query = "status=blocked&name=&cursor=older-1-2&tag=Team+A&tag=B%26C&from=list&sort=name"
    view = views.save(db, " Stolen\n tills ", query, **AUDIT)
    assert (view.name, view.created_by, view.created_at) == ("Stolen tills", "ann", NOON)
    assert saved(db) == [("Stolen tills", "status=blocked&tag=B%26C&tag=Team+A&sort=name")]
    assert views.get(db, view.id).query == view.query


def test_view_replaces_another_only_on_request(db: Database) -> None:
    first = views.save(db, "Tills", "name=till", **AUDIT)
    views.save(db, "all", "", **AUDIT)
    with pytest.raises(ViewExists, match="“Tills”"):
        views.save(db, "TILLS", "name=box", **AUDIT)
    second = views.save(db, "TILLS", "name=box", replace=True, **AUDIT)
    assert second.id == first.id
    assert saved(db) == [("all", ""), ("TILLS", "name=box")]


def test_deleted_view_is_gone(db: Database) -> None:
    view = views.save(db, "Tills", "name=till", **AUDIT)
    views.delete(db, view.id, **AUDIT)
    assert saved(db) == []
    for unknown in (view.id, 2**70):
        with pytest.raises(ViewNotFound):
            views.delete(db, unknown, **AUDIT)
    with db.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(entry.action, entry.subject) for entry in entries] == [
        ("view.saved", f"view:{view.id}"),
        ("view.deleted", f"view:{view.id}"),
    ]
    assert {(entry.details["name"], entry.details["query"]) for entry in entries} == {
        ("Tills", "name=till")
    }


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("name", ["\u200b", "x" * 256])
def test_invalid_name_of_a_view_is_rejected(db: Database, name: str) -> None:
    with pytest.raises(InvalidInput):
        views.save(db, name, "", **AUDIT)
    assert saved(db) == []


@pytest.mark.database("sqlite")
def test_number_of_views_is_limited(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MAX_VIEWS", 1)
    views.save(db, "first", "", **AUDIT)
    with pytest.raises(Conflict, match="Delete one first"):
        views.save(db, "second", "", **AUDIT)
    views.save(db, "First", "name=x", replace=True, **AUDIT)
    assert saved(db) == [("First", "name=x")]


def test_preferences_are_kept_for_each_account(db: Database) -> None:
    defaults = preferences.load(db, "ann@example.org")
    assert defaults["columns"] == ["application", "model", "system", "first_seen"]
    assert (defaults["density"], defaults["shortcuts"]) == ("comfortable", True)
    preferences.store(db, "ann@example.org", density="compact", shortcuts=False)
    stored = preferences.store(db, "ann@example.org", columns=["tags", "unknown", "first_seen"])
    assert stored["columns"] == ["tags", "first_seen"]
    assert (stored["density"], stored["shortcuts"]) == ("compact", False)
    assert preferences.load(db, "ann@example.org") == stored
    assert preferences.load(db, "bob@example.org") == defaults
    preferences.store(db, "ann@example.org", columns=[], density="huge")
    emptied = preferences.load(db, "ann@example.org")
    assert (emptied["columns"], emptied["density"]) == ([], "compact")


def test_long_account_name_has_preferences(db: Database) -> None:
    preferences.store(db, "a" * 1_000, density="compact")
    assert preferences.load(db, "a" * 1_000)["density"] == "compact"
