"""The main flows in Firefox, with the keyboard alone, with and without JavaScript."""

from pathlib import Path

import pytest

from tests.browser.firefox import Firefox, started
from tests.browser.site import ANN, PASSWORD, Device, Site

pytestmark = pytest.mark.database("sqlite")


def sign_in(firefox: Firefox, site: Site) -> None:
    firefox.open(f"{site.server.url}/login")
    firefox.tab_to("email")
    firefox.press(*ANN, "Tab", *PASSWORD, "Enter")
    firefox.wait_for_text("Sign out")


def find(firefox: Firefox, device: Device) -> None:
    """Filter the list, and open the page of the only device in it."""
    firefox.tab_to("filter-name")
    firefox.press(*device.identifier, "Enter")
    row = f"document.querySelector('{device.element} a')"
    firefox.wait_for(f"{row} && document.querySelectorAll('tbody tr').length === 1")
    firefox.evaluate(f"{row}.id ||= 'link'")
    firefox.tab_to(firefox.evaluate(f"{row}.id"))
    firefox.press("Enter")
    firefox.wait_for(f"document.querySelector('article{device.element}')")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_keyboard_can_find_rename_block_and_unblock_a_device(
    site: Site, tmp_path: Path, scripts: bool
) -> None:
    site.device()
    device = site.device()
    action = f"device-{device.id}-action"
    with started(tmp_path, scripts=scripts) as firefox:
        sign_in(firefox, site)
        find(firefox, device)

        firefox.tab_to(f"device-{device.id}-rename")
        firefox.press("Enter")
        firefox.wait_for("document.activeElement.name === 'name'")
        firefox.press(*"Front desk", "Enter")
        firefox.wait_for_text("The device is now named “Front desk”.")
        assert site.state(device)["name"] == "Front desk"

        firefox.tab_to(action)
        firefox.press("Enter")
        firefox.wait_for("document.activeElement.name === 'reason'")
        if scripts:
            firefox.press("Tab", "Tab", "Tab", "Escape")
            firefox.wait_for("!document.querySelector('dialog[open]')")
            assert firefox.focused == action
            firefox.press("Enter")
            firefox.wait_for("document.activeElement.name === 'reason'")
        firefox.press(*"Lost", "Enter")
        firefox.wait_for_text("is blocked.")
        assert site.state(device)["block_reason"] == "Lost"
        assert site.call(device.identifier) == 403

        firefox.tab_to(action)
        firefox.press("Enter")
        firefox.wait_for("document.activeElement.matches('form [type=submit]')")
        firefox.press("Enter")
        firefox.wait_for_text("is unblocked.")
        assert site.call(device.identifier) == 200
        assert firefox.errors == []
