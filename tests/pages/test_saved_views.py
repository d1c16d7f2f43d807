"""Save, open and delete views of the list, and store preferences."""

from typing import Any

import pytest
from flask import Flask

from apidevices import preferences
from apidevices.database import Database
from tests.conftest import Register
from tests.pages.conftest import ANN, create_and_sign_in
from tests.pages.device_list import LIST, device_names
from tests.pages.visitor import Page, Visitor

VIEWS = f"{LIST}/views"
PREFERENCES = f"{LIST}/preferences"

pytestmark = pytest.mark.database("sqlite")


def saved(page: Page) -> list[tuple[str, str, bool]]:
    """Return the name and the URL of each view in the navigation, and whether it is current."""
    links = [item.all("a")[0] for part in page.root.all(class_="views") for item in part.all("li")]
    return [(link.text, link["href"], link.get("aria-current") == "page") for link in links]


def save(visitor: Visitor, query: str, name: str) -> Page:
    return visitor.change(f"{VIEWS}?{query}", "/views", name=name)


def test_saved_view_opens_the_list_with_its_filters(admin: Visitor, register: Register) -> None:
    for identifier in ("till-1", "phone-1"):
        register(identifier)
    listed = admin.follow(save(admin, "name=till&cursor=older-1-2", name=" Tills "))
    assert listed.announced == "The view “Tills” is saved for all administrators."
    assert saved(listed) == [("Tills", f"{LIST}?name=till", True)]
    assert saved(admin.get(LIST)) == [("Tills", f"{LIST}?name=till", False)]
    assert device_names(admin.get(f"{LIST}?name=till")) == ["till-1"]


def test_current_view_is_marked_when_the_filters_change(admin: Visitor) -> None:
    save(admin, "name=till", name="Tills")
    for query, is_current in (("?status=all&name=till", True), ("?name=box", False)):
        fragment = admin.get(f"{LIST}{query}", htmx=True)
        assert [current for _, _, current in saved(fragment)] == [is_current]
        navigation = fragment.root.one("hx-partial", hx_target="#apidevices-nav")
        pages = navigation.one("a", href=LIST)
        assert pages.get("aria-current") == (None if is_current else "page")


def test_all_administrators_share_the_views(app: Flask, admin: Visitor) -> None:
    save(admin, "status=blocked", name="Stolen")
    bob = create_and_sign_in(app, "bob@example.org")
    assert [name for name, _, _ in saved(bob.get(LIST))] == ["Stolen"]


def test_name_of_another_view_is_replaced_after_a_second_confirmation(admin: Visitor) -> None:
    save(admin, "name=till", name="Tills")
    again = save(admin, "name=box", name="tills")
    assert again.status == 422
    assert "There is already a view named “Tills”." in again.text
    assert saved(admin.get(LIST)) == [("Tills", f"{LIST}?name=till", False)]
    other = admin.submit(again, "/views", name="Boxes")
    assert admin.follow(other).status == 200
    replaced = admin.submit(again, "/views")
    assert saved(admin.follow(replaced)) == [
        ("Boxes", f"{LIST}?name=box", True),
        ("tills", f"{LIST}?name=box", True),
    ]


def test_view_without_a_name_is_not_saved(admin: Visitor) -> None:
    response = save(admin, "name=till", name=" ")
    assert (response.status, saved(response)) == (422, [])
    assert "Enter a name for the view." in response.text


def test_view_is_deleted_after_a_confirmation(admin: Visitor) -> None:
    listed = admin.follow(save(admin, "name=till", name="Tills"))
    deleted = admin.follow(admin.submit(listed, "/delete"))
    assert deleted.announced == "The view “Tills” is deleted."
    assert deleted.path == f"{LIST}?name=till"
    assert saved(deleted) == []
    assert admin.get(f"{VIEWS}/1/delete").status == 404


def test_forms_reload_the_page_with_htmx(admin: Visitor) -> None:
    form = admin.get(f"{VIEWS}?name=till", htmx=True)
    assert not form.is_full_page
    assert form.root.one("input", name="name").get("autofocus") is not None
    answer = admin.submit(form, "/views", htmx=True, name="Tills")
    assert (answer.status, answer.headers["HX-Refresh"]) == (200, "true")


@pytest.mark.parametrize(
    ("fields", "columns", "density"),
    [
        ({"density": "compact"}, ["application", "model", "system", "first_seen"], "compact"),
        ({"columns": "tags"}, ["tags"], "comfortable"),
        ({"columns": ""}, [], "comfortable"),
        ({"columns": "unknown", "density": "unknown"}, [], "comfortable"),
    ],
)
def test_preferences_are_stored_for_the_account(
    admin: Visitor, db: Database, fields: dict[str, Any], columns: list[str], density: str
) -> None:
    token = admin.get(VIEWS).root.all("input", name="csrf_token")[0]["value"]
    stored = admin.post(f"{PREFERENCES}?name=till", csrf_token=token, **fields)
    assert (stored.status, stored.location) == (303, f"{LIST}?name=till")
    chosen = preferences.load(db, ANN)
    assert (chosen["columns"], chosen["density"]) == (columns, density)


def test_preferences_without_a_csrf_token_are_rejected(admin: Visitor, db: Database) -> None:
    assert admin.post(PREFERENCES, density="compact").status == 400
    assert preferences.load(db, ANN)["density"] == "comfortable"
