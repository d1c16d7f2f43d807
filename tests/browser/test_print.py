"""Printed pages contain everything that matters. The PDF is read as text."""

import io
import re
import unicodedata

import pytest
from playwright.sync_api import Page
from pypdf import PdfReader

from tests.browser.measuring import layout_faults
from tests.browser.site import LIST, Site
from tests.conftest import DEVICES

pytestmark = pytest.mark.database("sqlite")

LONG = "Main entrance on the north side, second turnstile from the left"


def printed(page: Page) -> str:
    """Return the text of a page on paper."""
    pdf = PdfReader(io.BytesIO(page.pdf(format="A4")))
    return comparable("".join(sheet.extract_text() for sheet in pdf.pages))


def comparable(text: str) -> str:
    """Return a text without white space, and without the ligatures of fonts."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


def test_printed_list_has_the_name_identifier_and_details_of_every_device(
    site: Site, desktop: Page
) -> None:
    names = [LONG, "Getränkestand Süd", "检票口", *(f"Scanner {number}" for number in range(20))]
    for number, name in enumerate(names):
        site.device(f"print-{number:02}", name=name, application="Box Office")
    desktop.goto(f"{LIST}?name=print-")
    text = printed(desktop)
    for number, name in enumerate(names):
        assert comparable(name) in text
        assert f"print-{number:02}" in text
    assert text.count("BoxOffice") == len(names)


def test_printed_rows_grow_with_long_identifiers_and_many_tags(site: Site, desktop: Page) -> None:
    device = site.device("paper-" + "0192f3c4-7b1e-7cc3-98c4-dc0c0c07398f-" * 2, name=LONG)
    tags = ["Main entrance", "Replacement device", "Team A"]
    site.manage("PATCH", f"{DEVICES}/{device.id}", {"tags": tags})
    desktop.goto(f"{LIST}?name=paper-")
    desktop.emulate_media(media="print")
    desktop.set_viewport_size({"width": 700, "height": 900})
    faults = layout_faults(desktop)
    desktop.emulate_media(media="null")
    assert faults == []
    assert all(comparable(tag) in printed(desktop) for tag in tags)


def test_printed_details_have_the_name_reason_and_history(site: Site, desktop: Page) -> None:
    device = site.device("print-details", name=LONG, application="Box Office", os="Android")
    site.call(device.identifier, os="Android 15")
    site.block(device, "Left in a taxi after the concert")
    desktop.goto(device.path)
    text = printed(desktop)
    for expected in (LONG, device.identifier, "Left in a taxi after the concert", "Android 15"):
        assert comparable(expected) in text
