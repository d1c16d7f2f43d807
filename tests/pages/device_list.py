"""Helpers that read the device list from its page."""

from datetime import timedelta
from urllib.parse import urlencode

from tests.pages.markup import Node
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def rows(page: Page) -> list[Node]:
    return page.root.one(id="devices").all("tr")[1:]


def device_names(page: Page) -> list[str]:
    """Return the name in each row of the list."""
    return [row.one("td", class_="name").all("a")[0].text for row in rows(page)]


def filtered(admin: Visitor, **filters: str) -> set[str]:
    return set(device_names(admin.get(f"{LIST}?{urlencode(filters)}")))


def cell(row: Node, name: str) -> Node:
    return row.one("td", class_=name)
