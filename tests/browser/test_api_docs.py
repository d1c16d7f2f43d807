"""The API documentation page. It loads nothing from other hosts."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage

pytestmark = pytest.mark.database("sqlite")


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_api_docs_show_operations_and_their_responses(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width, signed_in=False)
    page.goto("/api/docs")
    page.get_by_text("Rename a device").click()
    expect(page.get_by_text("precondition_failed")).to_be_visible()


def test_api_docs_link_to_the_description_without_scripts(open_page: OpenPage) -> None:
    page = open_page(scripts=False, signed_in=False)
    page.goto("/api/docs")
    description = page.get_by_role("link", name="/api/openapi.json")
    expect(description).to_have_attribute("href", "/api/openapi.json")
