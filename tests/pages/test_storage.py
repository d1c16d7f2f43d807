"""Settings > Storage."""

from datetime import timedelta

import pytest
from flask import Flask

from apidevices import storage
from tests.conftest import NOON, Administrator, Register, state_of
from tests.pages.device_list import LIST
from tests.pages.visitor import Page, Visitor

STORAGE = f"{LIST}/storage"

pytestmark = pytest.mark.database("sqlite")


def open_storage(app: Flask, admin: Visitor) -> Page:
    """Open the page once the figures have been counted."""
    assert storage.latest(state_of(app).storage, NOON, patience=60)
    return admin.get(STORAGE)


def test_page_shows_what_is_kept_and_for_how_long(
    app: Flask, admin: Visitor, register: Register
) -> None:
    register("phone-1")
    page = open_storage(app, admin)
    rows = {row.one("th").text: row.all("td") for row in page.root.one("tbody").all("tr")}
    assert rows["Devices"][1].text == "1 entry"
    assert rows["Audit log"][0].text == "730 days APIDEVICES_KEEP_AUDIT_DAYS"
    assert "Devices are not archived automatically." in page.text


def test_devices_are_archived_from_the_page_after_a_confirmation_with_their_number(
    app: Flask, admin: Visitor, administrator: Administrator, register: Register
) -> None:
    register("phone-1", NOON)
    register("phone-2", NOON - timedelta(days=200))
    form = open_storage(app, admin).root.one("form", class_="archive-now")
    query = "&".join(f"{field['name']}={field['value']}" for field in form.all("input"))
    confirmation = admin.get(f"{form['action']}?{query}")
    assert "Archive 1 device?" in confirmation.text
    done = admin.follow(admin.submit(confirmation, "/bulk", htmx=False))
    assert done.announced == "1 device was archived."
    assert [device["identifier"] for device in administrator.devices()] == ["phone-1"]
    nothing_left = admin.follow(admin.get(f"{form['action']}?{query}"))
    assert nothing_left.announced == "No devices match. Nothing was changed."
