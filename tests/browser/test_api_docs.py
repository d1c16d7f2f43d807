"""The page that shows the description of the API: whole, and nothing of it from elsewhere."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESK, PHONE, Visit

pytestmark = pytest.mark.database("sqlite")


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_it_shows_each_call_with_what_it_answers(visit: Visit, width: int) -> None:
    page = visit(width=width, signed_in=False)
    page.goto("/api/docs")
    page.get_by_text("Rename a device").click()
    expect(page.get_by_text("precondition_failed")).to_be_visible()


def test_without_scripts_it_leads_to_the_description(visit: Visit) -> None:
    page = visit(scripts=False, signed_in=False)
    page.goto("/api/docs")
    description = page.get_by_role("link", name="/api/openapi.json")
    expect(description).to_have_attribute("href", "/api/openapi.json")
