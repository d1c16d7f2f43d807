"""The list of devices, as a reader finds it on its page."""

from datetime import timedelta
from urllib.parse import urlencode

from tests.pages.markup import Node
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def rows(page: Page) -> list[Node]:
    return page.root.one(id="devices").all("tr")[1:]


def listed(page: Page) -> list[str]:
    """Return what each row calls its device."""
    return [row.one("td", class_="name").all("a")[0].text for row in rows(page)]


def narrowed(admin: Visitor, **filters: str) -> set[str]:
    return set(listed(admin.get(f"{LIST}?{urlencode(filters)}")))


def cell(row: Node, name: str) -> Node:
    return row.one("td", class_=name)
