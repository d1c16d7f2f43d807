"""The page of a device marks characters that look like others."""

import pytest
from flask import Flask

from apidevices import devices
from apidevices.identity import DETAILS
from tests.conftest import NOON, Register, state_of
from tests.pages.test_details import LIST, fact
from tests.pages.visitor import Visitor

MARK = "Lookalike characters"


def test_details_name_characters_that_look_like_others(
    app: Flask, admin: Visitor, register: Register
) -> None:
    device_id = register("phone-\u0430", model="cafe\u0301", os_version="\u0391")
    devices.rename(state_of(app).db, device_id, "\u0430dmin", actor="ann", now=NOON)
    shown = fact(admin.get(f"{LIST}/{device_id}"), MARK)
    assert [item.text for item in shown.all("li")] == [
        "Identifier: \u0430 U+0430 CYRILLIC SMALL LETTER A",
        "Name: \u0430 U+0430 CYRILLIC SMALL LETTER A",
        "OS version: \u0391 U+0391 GREEK CAPITAL LETTER ALPHA",
        "Model: \u25cc\u0301 U+0301 COMBINING ACUTE ACCENT",
    ]


def test_details_name_at_most_eight_characters(admin: Visitor, register: Register) -> None:
    device_id = register("АВЕКМНОРСТ")
    items = fact(admin.get(f"{LIST}/{device_id}"), MARK).all("li")
    assert len(items) == 9
    assert items[-1].text == "Identifier: 2 more"


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("text", ["phone-1", "Принтер", "東京タワーのカメラ", "Kühlhaus"])
def test_details_leave_ordinary_texts_unmarked(
    admin: Visitor, register: Register, text: str
) -> None:
    device_id = register(text, NOON, **dict.fromkeys(DETAILS, text))
    assert MARK not in admin.get(f"{LIST}/{device_id}").text
