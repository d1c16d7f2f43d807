"""The page that shows the description of the API: whole, and nothing of it from elsewhere."""

import pytest
from playwright.sync_api import Error, expect

from tests.browser.conftest import DESK, PHONE, Visit, Watch
from tests.browser.site import Site
from tests.test_docs import blocks

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


def test_javascript_of_clients_works(visit: Visit, site: Site, watch: Watch) -> None:
    [published] = blocks("clients.md", "js")
    page = visit(signed_in=False)
    page.goto("/api/docs")
    code = f"""async ([token, model]) => {{
        {published}
        return callApi("/api/v1/device");
    }}"""
    device = page.evaluate(code, [site.token, "Café 设备"])
    assert (device["application"], device["model"]) == ("Box Office", "Café 设备")
    assert page.evaluate(code, [site.token, "Café 设备"])["id"] == device["id"]
    site.server.call(
        "POST", f"/api/v1/devices/{device['id']}/block", {"Authorization": f"Bearer {site.token}"}
    )
    watch.expected.add(403)
    with pytest.raises(Error, match="This device was blocked"):
        page.evaluate(code, [site.token, "Café 设备"])
