"""Cross-origin calls from a browser, to the API and to an API behind the gate."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from harness.proxies import PROXIES, program, running_proxy
from harness.real_server import RealServer
from tests.clients.scripted_api import BLANK_PAGE, Reply, scripted_api
from tests.conftest import DEVICE, as_device
from tests.gate.upstream import upstream

pytestmark = pytest.mark.database("sqlite")

Fetch = Callable[..., Any]
"""Calls a URL from a page on an origin. Returns [status, JSON], or None if CORS forbids it."""


@pytest.fixture(scope="module")
def allowed_origin() -> Iterator[str]:
    with scripted_api(Reply(204)) as pages:
        yield pages.origin


@pytest.fixture(scope="module")
def other_origin() -> Iterator[str]:
    with scripted_api(Reply(204)) as pages:
        yield pages.origin


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, allowed_origin: str) -> Iterator[RealServer]:
    variables = {"APIDEVICES_CORS_ORIGINS": allowed_origin, "APIDEVICES_PROXIES": "1"}
    instance = tmp_path_factory.mktemp("cross-origin") / "instance"
    with RealServer(instance, variables=variables) as running:
        yield running


@pytest.fixture(scope="module")
def token(server: RealServer) -> str:
    return server.create_token("shop", "devices:read", "devices:write")


@pytest.fixture(scope="module", params=["API", *PROXIES])
def url(request: pytest.FixtureRequest, server: RealServer, allowed_origin: str) -> Iterator[str]:
    """The URL of the API, or of another API behind a proxy and the gate."""
    if request.param == "API":
        yield f"{server.url}{DEVICE}"
        return
    if program(request.param) is None and "CI" not in os.environ:
        pytest.skip(f"{request.param} is not installed.")
    with (
        upstream(allowed_origin) as api,
        running_proxy(request.param, server.port, api.port) as port,
    ):
        yield f"http://127.0.0.1:{port}/orders"


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def fetch(page: Page) -> Fetch:
    def fetch(origin: str, url: str, headers: dict[str, str]) -> Any:
        page.goto(f"{origin}{BLANK_PAGE}")
        return page.evaluate(
            """([url, headers]) => fetch(url, {headers})
                .then(async response => [response.status, await response.json()], () => null)""",
            [url, headers],
        )

    return fetch


def test_allowed_origin_can_read_the_response(
    fetch: Fetch, allowed_origin: str, url: str, token: str
) -> None:
    status, response = fetch(allowed_origin, url, as_device(token, "browser-1"))
    assert (status, "browser-1" in json.dumps(response)) == (200, True)


def test_allowed_origin_can_read_the_device_blocked_error(
    fetch: Fetch, allowed_origin: str, url: str, token: str, server: RealServer
) -> None:
    identifier = f"blocked-at-{url}"
    assert server.call("GET", DEVICE, as_device(token, identifier)).status == 200
    assert server.flask("apidevices", "block", identifier).returncode == 0
    status, problem = fetch(allowed_origin, url, as_device(token, identifier))
    assert (status, problem["code"]) == (403, "device_blocked")


def test_allowed_origin_can_read_the_token_invalid_error(
    fetch: Fetch, allowed_origin: str, url: str
) -> None:
    status, problem = fetch(allowed_origin, url, as_device("no-such-token", "browser-3"))
    assert (status, problem["code"]) == (401, "token_invalid")


def test_other_origin_cannot_read_the_response(
    fetch: Fetch, other_origin: str, url: str, token: str
) -> None:
    assert fetch(other_origin, url, as_device(token, "browser-4")) is None
