"""Settings > API Devices: the columns and the order of the list, and how it keeps up."""

from datetime import timedelta

import pytest
from flask import Flask

from apidevices import devices
from tests.conftest import NOON, Administrator, Register, state_of
from tests.pages.device_list import LIST, cell, device_names, minutes, rows
from tests.pages.markup import Node
from tests.pages.visitor import Page, Visitor


def headings(page: Page) -> list[str]:
    return [head.text for head in page.root.one("thead").all("th")][3:-2]


# --- view --------------------------------------------------------------------------------------


def choose(admin: Visitor, *columns: str, **others: str) -> Page:
    """Choose the columns in the form, which has a field for each of them."""
    token = admin.get(LIST).form("/preferences").one("input", name="csrf_token")["value"]
    data = {"csrf_token": token, "columns": ["", *columns], "shortcuts": "", **others}
    return admin.get(admin.client.post(f"{LIST}/preferences?status=active", data=data).location)


def test_columns_are_chosen_for_the_account(admin: Visitor, phone: int, app: Flask) -> None:
    devices.tag(state_of(app).db, phone, ["Team A"], actor="ann", now=NOON)
    page = choose(admin, "address", "tags", "token", "unknown", shortcuts="1")
    assert page.path == f"{LIST}?status=active"
    assert headings(admin.get(LIST)) == ["Tags", "Token", "Address"]
    [row] = rows(admin.get(LIST))
    assert cell(row, "tags").text == "Team A"
    assert cell(row, "token").text == "registration"
    assert cell(row, "address").text == "192.0.2.1"


def test_rows_are_comfortable_or_compact(admin: Visitor, phone: int) -> None:
    assert admin.get(LIST).root.one(id="devices")["data-density"] == "comfortable"
    page = choose(admin, density="compact")
    assert page.root.one(id="devices")["data-density"] == "compact"
    assert page.root.one(id="devices")["data-shortcuts"] == "off"


def test_view_of_another_session_is_not_stored(admin: Visitor, phone: int) -> None:
    assert admin.post(f"{LIST}/preferences", density="compact").status == 400
    assert admin.get(LIST).root.one(id="devices")["data-density"] == "comfortable"


# --- order -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "names", "heading", "direction"),
    [
        ("name", ["a", "b", "c"], "Name", "ascending"),
        ("-name", ["c", "b", "a"], "Name", "descending"),
        ("first_seen", ["c", "a", "b"], "First seen", "descending"),
        ("-first_seen", ["b", "a", "c"], "First seen", "ascending"),
        ("-activity", ["b", "a", "c"], "Last activity", "ascending"),
        ("unknown", ["c", "a", "b"], "Last activity", "descending"),
    ],
)
def test_list_is_sorted_by_a_column(
    admin: Visitor,
    register: Register,
    sort: str,
    names: list[str],
    heading: str,
    direction: str,
) -> None:
    for minute, name in enumerate("bac"):
        register(name, at=NOON - timedelta(minutes=30 - minute))
    page = admin.get(f"{LIST}?sort={sort}")
    assert device_names(page) == names
    [head] = [head for head in page.root.all("th") if head.get("aria-sort")]
    assert (head.text, head["aria-sort"]) == (heading, direction)


def test_heading_of_the_sorted_column_reverses_the_order(admin: Visitor, phone: int) -> None:
    def url(query: str, key: str) -> str:
        return admin.get(LIST + query).root.one("a", id=f"sort-{key}")["href"]

    assert url("?status=active", "name") == f"{LIST}?status=active&sort=name"
    assert url("?status=active&sort=name", "name") == f"{LIST}?status=active&sort=-name"
    assert url("?sort=-name", "activity") == LIST
    assert url("", "activity") == f"{LIST}?sort=-activity"


# --- updates -----------------------------------------------------------------------------------


class Shown:
    """The list as a browser shows it."""

    def __init__(self, admin: Visitor, query: str = "") -> None:
        self._admin = admin
        page = admin.get(LIST + query)
        section = page.root.one(id="devices")
        versions = [f"{row['id'][7:]}.{row['data-version']}" for row in rows(page)]
        self.url = (
            f"{section['data-updates']}&list={section['data-order']}&shown={','.join(versions)}"
        )

    def updates(self) -> Node | None:
        """Return what has changed, or None."""
        page = self._admin.get(self.url, htmx=True)
        return None if page.status == 204 else page.root.one("table", id="updates")


def test_updates_opened_as_a_page_lead_to_the_list(admin: Visitor) -> None:
    page = admin.get("/settings/api-devices/updates?status=blocked&shown=1.a")
    assert page.location == f"{LIST}?status=blocked"


def test_unchanged_list_has_no_updates(admin: Visitor, register: Register) -> None:
    for number in range(3):
        register(f"phone-{number}", at=NOON - minutes(number))
    assert Shown(admin).updates() is None
    assert Shown(admin, "?status=active&sort=name").updates() is None


def test_updates_contain_the_rows_that_have_changed(
    admin: Visitor, register: Register, administrator: Administrator
) -> None:
    register("phone-2")
    device = register("phone-1")
    shown = Shown(admin)
    administrator.rename("Front desk")
    updates = shown.updates()
    assert updates is not None
    [row] = updates.all("tr")
    assert row["id"] == f"device-{device}"
    assert cell(row, "name").all("a")[0].text == "Front desk"
    assert updates["data-arrived"] == "0"


def test_updates_count_new_devices_without_showing_them(admin: Visitor, register: Register) -> None:
    register("phone-1")
    shown = Shown(admin)
    register("phone-2")
    updates = shown.updates()
    assert updates is not None
    assert updates.all("tr") == []
    assert (updates["data-arrived"], updates["data-registered"]) == ("1", "1")
    assert updates["data-counts"] == "2 2 0"


def test_updates_name_deleted_devices(admin: Visitor, register: Register, app: Flask) -> None:
    register("phone-2")
    device = register("phone-1")
    shown = Shown(admin)
    devices.delete(state_of(app).db, device, actor="ann", now=NOON)
    updates = shown.updates()
    assert updates is not None
    assert updates["data-gone"] == str(device)


def test_updates_ignore_what_a_browser_would_not_send(admin: Visitor, phone: int) -> None:
    for shown in ("x", "1.", "-1.a", f"{2**64}.a", f"{'9' * 5000}.a", "\u0661.a", ",,,"):
        page = admin.get(f"{LIST}/updates?waiting=1&shown={shown}", htmx=True)
        assert page.status in (200, 204)


# --- a row that leaves the list ------------------------------------------------------------------


def test_device_that_no_longer_matches_the_status_leaves_the_list(
    admin: Visitor, administrator: Administrator, phone: int
) -> None:
    administrator.block()
    form = admin.get(f"{LIST}/{phone}/unblock?from=list&status=blocked", htmx=True)
    response = admin.submit(form, f"/{phone}/unblock", htmx=True)
    assert response.headers["HX-Reswap"] == "delete"
    assert response.announced.startswith("“phone-1” is unblocked.")


def test_age_of_times_is_for_scripts(admin: Visitor, register: Register) -> None:
    register("phone-1", at=NOON - minutes(3))
    [row] = rows(admin.get(LIST))
    assert cell(row, "activity").one("time")["data-age"] == "180"
