"""Settings > API Devices, before the first device has called."""

from tests.conftest import MakeApp, Register
from tests.pages.conftest import COOKIE, SECRET_KEY, signed_in_visitor
from tests.pages.device_list import LIST, listed
from tests.pages.visitor import Page, Visitor


def test_the_empty_list_says_how_a_device_gets_there(admin: Visitor) -> None:
    page = admin.get(LIST)
    assert page.root.one("h2").text == "No devices yet"
    assert page.root.all("form", id="filters") == []
    curl = page.root.one(id="curl").text
    assert curl.startswith("curl http://localhost/api/v1/device")
    for header in ("X-Device-ID", "X-Device-Application", "X-Device-OS-Version", "X-Device-Model"):
        assert f'-H "{header}: ' in curl


def test_the_call_to_try_has_the_address_that_the_page_came_by(
    admin: Visitor, session_cookie: str
) -> None:
    admin.client.set_cookie(COOKIE, session_cookie, domain="devices.example.org")
    page = admin.get(LIST, Host="devices.example.org:8443")
    assert "curl http://devices.example.org:8443/api/v1/device" in page.root.one(id="curl").text


def test_the_call_to_try_has_the_header_names_of_the_settings(
    make_app: MakeApp, session_cookie: str
) -> None:
    headers = "X-Acme-Device, X-Device-ID"
    app = make_app(APIDEVICES_HEADER_IDENTIFIER=headers, SECRET_KEY=SECRET_KEY)
    curl = signed_in_visitor(app, session_cookie).get(LIST).root.one(id="curl").text
    assert '-H "X-Acme-Device: my-first-device"' in curl


def test_the_empty_list_stays_as_it_is_while_it_waits(admin: Visitor, register: Register) -> None:
    waiting = admin.get(LIST).root.one("div", hx_trigger="every 3s")["hx-get"]
    assert admin.get(waiting, HX_Request="true", HX_Request_Type="full").status == 204
    register("phone-1")
    page = admin.get(waiting, HX_Request="true", HX_Request_Type="full")
    assert listed(page) == ["phone-1"]


def test_the_empty_list_offers_the_first_token(admin: Visitor) -> None:
    page = admin.follow(admin.change(LIST, "/settings/api-tokens"))
    assert "My first token" in page.text
    assert page.root.one(id="new-token").text.startswith("apd_")


def test_the_empty_list_looks_for_the_first_device_by_itself(
    admin: Visitor, register: Register
) -> None:
    [looking] = [node for node in admin.get(LIST).root.all("div") if node.get("hx-trigger")]

    def look() -> Page:
        return admin.get(looking["hx-get"], htmx=True, HX_Request_Type="full")

    assert look().status == 204  # of which HTMX swaps nothing
    register("phone-1")
    page = look()
    assert page.root.one(id=looking["hx-select"].removeprefix("#"))
    assert listed(page) == ["phone-1"]
