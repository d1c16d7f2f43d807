"""The changes that the device pages offer, for the tests of their forms."""

from typing import Any

import pytest

from tests.pages.device_list import LIST

CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("name", {"name": "Front desk"}, "The device is now named “Front desk”."),
    ("block", {"reason": "Lost"}, "“phone-1” is blocked. Its requests are denied from now on."),
    ("unblock", {}, "“phone-1” is unblocked. Its requests are allowed from now on."),
]
each_change = pytest.mark.parametrize(
    ("action", "typed", "message"), CHANGES, ids=[change[0] for change in CHANGES]
)
each_action = pytest.mark.parametrize("action", ["name", "block", "unblock"])
from_both_pages = pytest.mark.parametrize("source", ["list", "details"])
plain_and_htmx = pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])


def page_path(source: str, device: int) -> str:
    return LIST if source == "list" else f"{LIST}/{device}"
