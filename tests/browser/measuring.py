"""Measures the layout of a page at all widths."""

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.conftest import HEIGHT

SIZES = [(320, 256), *((width, HEIGHT) for width in range(320, 1921, 80))]
"""From phones to large screens. The first is 1,280 × 1,024 pixels at a zoom of 400 %."""

_FAULTS = (Path(__file__).parent / "measure.js").read_text()


def layout_faults(page: Page) -> list[str]:
    """Return what is wrong with the layout of a page at its current size."""
    faults: list[str] = page.evaluate(_FAULTS)
    return faults


def assert_sound_at_all_widths(page: Page) -> None:
    """Assert that nothing overflows, overlaps, is cut off or is too small to hit.

    ``measure.js`` has the rules. The page keeps its state: it isn't loaded again.
    """
    found: dict[str, list[int]] = {}
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for fault in layout_faults(page):
            found.setdefault(fault, []).append(width)
    assert not found, "\n" + "\n".join(
        f"{', '.join(map(str, sorted({*widths})))} px: {fault}" for fault, widths in found.items()
    )
