"""The layout measurement itself: it finds each kind of fault, and accepts sound pages."""

import pytest
from playwright.sync_api import Page

from tests.browser.measuring import assert_sound_at_all_widths

pytestmark = pytest.mark.database("sqlite")

FAULTS = {
    "page scrolls horizontally": '<div style="width: 2000px; height: 1px"></div>',
    "broken word": '<p style="width: 4em; overflow-wrap: anywhere">Interchangeable</p>',
    "text leaves its box": '<p style="width: 4em">Interchangeable</p>',
    "clipped text": '<p style="width: 4em; overflow: hidden">Interchangeable</p>',
    "less than 64 px left of": '<p style="width: 3em; overflow: hidden; text-overflow: ellipsis">'
    "Interchangeable</p>",
    "column narrower than its content": '<table style="table-layout: fixed; width: 9em"><tr>'
    '<td style="width: 1em">Interchangeable<td>Yes</table>',
    "overlap": '<p>Seats</p><p style="margin-top: -1.6em; line-height: 1">Tickets</p>',
    "target of 10 × 10 px": '<button style="width: 10px; height: 10px; padding: 0"></button>'
    "<button>Next</button>",
    "dialog scrolls horizontally": '<dialog id="d"><div style="width: 2000px; height: 1px"></div>'
    "</dialog>",
}

SOUND = """
<style>.cut { width: 9em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }</style>
<p class="cut">Interchangeable seats and tickets</p>
<p style="width: 9em; overflow-wrap: anywhere">Mehrzweckhallenkartenverkaufsstelle</p>
<code style="display: block; width: 5em; overflow-wrap: anywhere">5f1e7a01-4c0a</code>
<p>A <a href="/seats">link</a> in a sentence, and <a href="/more">another</a>.</p>
<div style="position: absolute; z-index: 1; top: 0">A menu above the page</div>
"""


@pytest.mark.parametrize(("fault", "html"), FAULTS.items(), ids=FAULTS.keys())
def test_each_fault_is_found(desktop: Page, fault: str, html: str) -> None:
    desktop.set_content(html)
    desktop.evaluate("document.querySelector('dialog')?.showModal()")
    with pytest.raises(AssertionError, match=fault):
        assert_sound_at_all_widths(desktop)


def test_sound_page_has_no_faults(desktop: Page) -> None:
    desktop.set_content(SOUND)
    assert_sound_at_all_widths(desktop)
