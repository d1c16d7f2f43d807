"""The published client snippet for fetch, in a browser."""

import base64
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from harness.real_server import ROOT
from tests.browser.site import Site
from tests.clients.scenarios import OK, SCENARIOS, Call, Client, Scenario, play
from tests.clients.scripted_api import BLANK_PAGE, scripted_api
from tests.clients.snippets import identifier_in_local_storage, javascript
from tests.conftest import DEVICE

pytestmark = pytest.mark.database("sqlite")

DRIVER = (ROOT / "tests/clients/driver.mjs").read_text()


def as_url(module: str) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(module.encode()).decode()}"


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    # The Content-Security-Policy would forbid importing the snippet from a data URL.
    context = browser.new_context(bypass_csp=True)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def client(page: Page) -> Client:
    """The snippet, in a page of the same origin as the API it calls."""

    def client(call: Call) -> dict[str, Any]:
        page.goto("{0.scheme}://{0.netloc}{1}".format(urlsplit(call.url), BLANK_PAGE))
        result: dict[str, Any] = page.evaluate(
            """async ([snippet, driver, call]) =>
                (await import(driver)).drive(await import(snippet), call)""",
            [as_url(javascript("fetch")), as_url(DRIVER), asdict(call)],
        )
        return result

    return client


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_fetch_snippet_handles_scenario(client: Client, scenario: Scenario) -> None:
    play(client, scenario)


def test_fetch_snippet_calls_the_real_api(client: Client, site: Site) -> None:
    url = f"{site.server.url}{DEVICE}"
    device = client(Call(url, token=site.token, device_id="browser-1"))["value"]
    assert (device["application"], device["model"]) == ("Box Office", "Café 设备")
    assert client(Call(url, token="wrong"))["outcome"] == "sign in"


def test_identifier_in_local_storage_survives_a_reload(page: Page) -> None:
    code = f"() => {{ {identifier_in_local_storage()} return deviceId; }}"
    with scripted_api(OK) as api:
        page.goto(f"{api.origin}{BLANK_PAGE}")
        first = page.evaluate(code)
        page.reload()
        assert page.evaluate(code) == first
    assert len(first) == len("6fd9a2c4-0e0b-4b0e-9a55-1f6c43bb2d1e")
