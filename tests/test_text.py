"""Decode and clean external text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apidevices.text import clean_text, decode_percent, decode_utf8


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        pytest.param("  Box \t Office\n3 ", "Box Office 3", id="whitespace collapsed"),
        pytest.param("a\x00b\u202ec", "abc", id="control and format characters removed"),
        pytest.param("👩\u200d💻", "👩\u200d💻", id="joiners stay inside an emoji"),
        pytest.param("\u200d\u3164", "", id="only invisible characters"),
    ],
)
def test_clean_text_collapses_whitespace_and_removes_invisible_characters(
    text: str, cleaned: str
) -> None:
    assert clean_text(text) == cleaned


@given(st.text(st.characters(codec="utf-8")))
def test_clean_text_is_idempotent(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


def test_decode_utf8_keeps_invalid_bytes() -> None:
    assert decode_utf8("\xc3\xa9\xff") == "é\xff"


def test_decode_percent_keeps_invalid_sequences() -> None:
    assert decode_percent("%C3%A9%FF%zz") == "é%FF%zz"
