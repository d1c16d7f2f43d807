"""Helpers that return the identifiers on a page of the list."""

from datetime import timedelta

from apidevices import listing
from apidevices.database import Database
from apidevices.listing import Filters, Page, Status
from tests.conftest import NOON

LATER = NOON + timedelta(hours=1)


def identifiers(page: Page) -> list[str]:
    return [device.identifier for device in page.devices]


def found(db: Database, name: str = "", status: Status = "all") -> set[str]:
    """Return the identifiers on the first page for these filters."""
    return set(identifiers(listing.page(db, Filters(name=name, status=status))))
