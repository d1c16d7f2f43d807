"""Settings > API Devices before the first device has called."""

from tests.conftest import MakeApp, Register
from tests.pages.conftest import COOKIE, SECRET_KEY, signed_in_visitor
from tests.pages.device_list import LIST, device_names
from tests.pages.visitor import Page, Visitor


def test_empty_list_shows_a_request_that_registers_a_device(admin: Visitor) -> None:
    page = admin.get(LIST)
    assert page.root.one("h2").text == "No devices yet"
    assert page.root.all("form", id="filters") == []
    curl = page.root.one(id="curl").text
    assert curl.startswith("curl http://localhost/api/v1/device")
    for header in ("X-Device-ID", "X-Device-Application", "X-Device-OS-Version", "X-Device-Model"):
        assert f'-H "{header}: ' in curl


def test_example_request_uses_the_host_of_the_page(admin: Visitor, session_cookie: str) -> None:
    admin.client.set_cookie(COOKIE, session_cookie, domain="devices.example.org")
    page = admin.get(LIST, Host="devices.example.org:8443")
    assert "curl http://devices.example.org:8443/api/v1/device" in page.root.one(id="curl").text


def test_example_request_uses_the_configured_header_names(
    make_app: MakeApp, session_cookie: str
) -> None:
    headers = "X-Acme-Device, X-Device-ID"
    app = make_app(APIDEVICES_HEADER_IDENTIFIER=headers, SECRET_KEY=SECRET_KEY)
    curl = signed_in_visitor(app, session_cookie).get(LIST).root.one(id="curl").text
    assert '-H "X-Acme-Device: my-first-device"' in curl


def test_empty_list_polls_until_the_first_device_appears(
    admin: Visitor, register: Register
) -> None:
    poller = admin.get(LIST).root.one("div", hx_trigger="every 3s")

    def poll() -> Page:
        return admin.get(poller["hx-get"], htmx=True, HX_Request_Type="full")

    assert poll().status == 204  # HTMX leaves the page unchanged
    register("phone-1")
    page = poll()
    assert page.root.one(id=poller["hx-select"].removeprefix("#"))
    assert device_names(page) == ["phone-1"]


def test_empty_list_creates_the_first_token(admin: Visitor) -> None:
    page = admin.follow(admin.change(LIST, "/settings/api-tokens"))
    assert "My first token" in page.text
    assert page.root.one(id="new-token").text.startswith("apd_")
