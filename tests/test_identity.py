"""Read device identities from request headers."""

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apidevices.identity import (
    DEFAULT_HEADERS,
    DETAILS,
    DeviceIdentity,
    IdentityReader,
    InvalidIdentifier,
    clean_detail,
    clean_identifier,
)
from apidevices.text import MAX_LENGTH, clean_text
from tests.conftest import on_the_wire


def read(environ: dict[str, str], reader: IdentityReader | None = None) -> DeviceIdentity | None:
    """Return the identity in a WSGI environment, or None without an identifier."""
    reader = reader or IdentityReader()
    identifier = reader.identifier(environ)
    return None if identifier is None else DeviceIdentity(identifier, reader.details(environ))


header_values = st.text(st.characters(max_codepoint=255))
texts = st.text(st.characters(codec="utf-8"))
# Rich in edge cases: escapes, fragments of UTF-8, whitespace and control characters.
tricky_values = st.lists(
    st.sampled_from(["%", "%C3", "%A9", "%e2%82%ac", "%00", "%FF", "\xc3", "\xa9", "\xff"])
    | st.sampled_from([" ", "\t", "\x00", "\x7f", "\x85", "\xa0", "a", "Z", "4", ",", "<b>"])
).map("".join)


# --- details -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param("iPhone 14", "iPhone 14", id="plain"),
        pytest.param(on_the_wire("红米 Note 13"), "红米 Note 13", id="UTF-8 bytes"),
        pytest.param(on_the_wire("Tablet 📱"), "Tablet 📱", id="emoji"),
        pytest.param("caf%C3%A9", "café", id="percent-encoded"),
        pytest.param("caf%c3%a9", "café", id="percent-encoded in lowercase"),
        pytest.param("iPhone%2014", "iPhone 14", id="percent-encoded space"),
        pytest.param(on_the_wire("é") + "%C3%A9", "éé", id="UTF-8 and percent-encoded"),
        pytest.param("a+b", "a+b", id="plus stays"),
        pytest.param("100%", "100%", id="percent sign alone"),
        pytest.param("5%zz", "5%zz", id="percent sign before non-hex letters"),
        pytest.param("%4", "%4", id="incomplete escape"),
        pytest.param("%FF", "%FF", id="escape that is not UTF-8"),
        pytest.param("%C3%A9%ff%C3", "é%ff%C3", id="only some escapes are UTF-8"),
        pytest.param("%C0%AF", "%C0%AF", id="overlong escape"),
        pytest.param("%ED%A0%80", "%ED%A0%80", id="escaped surrogate"),
        pytest.param("%2541", "%41", id="decoded only once"),
        pytest.param("\xe9t\xe9", "été", id="bytes that are not UTF-8"),
        pytest.param(on_the_wire("é") + "\xff", "éÿ", id="only some bytes are UTF-8"),
        pytest.param("  iPhone  ", "iPhone", id="ends trimmed"),
        pytest.param("iPhone \t  14", "iPhone 14", id="whitespace collapsed"),
        pytest.param(on_the_wire("a\u00a0\u3000b"), "a b", id="Unicode whitespace collapsed"),
        pytest.param("a\x00b\x1bc\x7fd", "abcd", id="control characters removed"),
        pytest.param("%00%1F%7F", "", id="escaped control characters removed"),
        pytest.param("a%0D%0ASet-Cookie: b", "a Set-Cookie: b", id="escaped line break"),
        pytest.param("%E2%80%AEevil", "evil", id="bidirectional controls removed"),
        pytest.param(on_the_wire("\u200b\u3164\u2800"), "", id="only invisible characters"),
        pytest.param(on_the_wire("👩‍💻"), "👩‍💻", id="joined emoji stay joined"),
        pytest.param("<script>&amp;", "<script>&amp;", id="HTML stays text"),
    ],
)
def test_detail_is_decoded_and_cleaned(sent: str, expected: str) -> None:
    assert clean_detail(sent) == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param("x" * 255, "x" * 255, id="255 characters"),
        pytest.param("x" * 256, "x" * 255, id="256 characters"),
        pytest.param("x" * 10_000, "x" * 255, id="10,000 characters"),
        pytest.param(on_the_wire("é" * 300), "é" * 255, id="counts characters, not bytes"),
        pytest.param("%C3%A9" * 300, "é" * 255, id="counts characters, not escapes"),
        pytest.param("x" * 254 + " yz", "x" * 254, id="no trailing space after truncation"),
        pytest.param("x" + " " * 5_000 + "y", "x y", id="whitespace collapsed before truncation"),
    ],
)
def test_long_detail_is_truncated(sent: str, expected: str) -> None:
    assert clean_detail(sent) == expected


@given(header_values | tricky_values)
def test_arbitrary_detail_is_cleaned(sent: str) -> None:
    text = clean_detail(sent)
    assert len(text) <= MAX_LENGTH
    assert not any(unicodedata.category(character) == "Cc" for character in text)
    assert text == " ".join(text.split())
    assert text.encode("utf-8").decode("utf-8") == text


@given(texts)
def test_percent_encoded_text_round_trips(text: str) -> None:
    assert clean_detail(quote(text, safe="")) == clean_text(text)[:MAX_LENGTH].rstrip()


@given(texts.filter(lambda text: "%" not in text))
def test_utf8_text_round_trips(text: str) -> None:
    assert clean_detail(on_the_wire(text)) == clean_text(text)[:MAX_LENGTH].rstrip()


# --- the identifier ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "identifier"),
    [
        pytest.param("phone-1", "phone-1", id="plain"),
        pytest.param("PHONE-1", "PHONE-1", id="case-sensitive"),
        pytest.param("  phone-1\t", "phone-1", id="ends trimmed"),
        pytest.param("a  b", "a  b", id="inner spaces stay"),
        pytest.param("%41%2C", "%41%2C", id="escapes stay"),
        pytest.param(on_the_wire("设备-7"), "设备-7", id="UTF-8 bytes"),
        pytest.param("x" * 255, "x" * 255, id="255 characters"),
        pytest.param(on_the_wire("é" * 255), "é" * 255, id="255 characters in 510 bytes"),
        pytest.param("<b>'\";--", "<b>'\";--", id="any printable character"),
    ],
)
def test_identifier_is_only_decoded_and_trimmed(sent: str, identifier: str) -> None:
    assert clean_identifier(sent) == identifier


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("", id="empty"),
        pytest.param("  \t ", id="blank"),
        pytest.param("x" * 256, id="256 characters"),
        pytest.param("phone-1,phone-2", id="comma"),
        pytest.param("phone\x001", id="NUL"),
        pytest.param("phone\x7f1", id="DEL"),
        pytest.param("phone\t1", id="tab inside"),
        pytest.param("phone\xff1", id="not UTF-8"),
        pytest.param(on_the_wire("phone\u00a01"), id="no-break space"),
        pytest.param(on_the_wire("phone\u200b1"), id="zero-width space"),
        pytest.param(on_the_wire("phone\u202e1"), id="right-to-left override"),
        pytest.param(on_the_wire("phone\u20281"), id="line separator"),
        pytest.param(on_the_wire("phone\u3164"), id="Hangul filler"),
        pytest.param(on_the_wire("phone\u2800"), id="Braille blank"),
        pytest.param(on_the_wire("phone\u034f1"), id="combining grapheme joiner"),
        pytest.param(on_the_wire("phone\ufe0f"), id="variation selector"),
        pytest.param(on_the_wire("phone\U000e0100"), id="supplementary variation selector"),
    ],
)
def test_invalid_identifier_is_rejected(sent: str) -> None:
    with pytest.raises(InvalidIdentifier):
        clean_identifier(sent)


@given(header_values | tricky_values)
def test_arbitrary_identifier_is_clean_or_rejected(sent: str) -> None:
    try:
        identifier = clean_identifier(sent)
    except InvalidIdentifier:
        return
    assert 1 <= len(identifier) <= MAX_LENGTH
    assert identifier.isprintable()
    assert "," not in identifier
    assert clean_identifier(on_the_wire(identifier)) == identifier


@given(texts, texts)
def test_different_identifiers_stay_different(one: str, other: str) -> None:
    try:
        same = clean_identifier(on_the_wire(one)) == clean_identifier(on_the_wire(other))
    except InvalidIdentifier:
        return
    assert same == (one.strip() == other.strip())


# --- reading -----------------------------------------------------------------------------------


def test_all_seven_headers_are_read() -> None:
    identity = read(
        {
            "HTTP_X_DEVICE_ID": "phone-1",
            "HTTP_X_DEVICE_APPLICATION": "Box Office",
            "HTTP_X_DEVICE_APPLICATION_VERSION": "6.1.0",
            "HTTP_X_DEVICE_OS": "Android",
            "HTTP_X_DEVICE_OS_VERSION": "16",
            "HTTP_X_DEVICE_MANUFACTURER": "Samsung",
            "HTTP_X_DEVICE_MODEL": "Galaxy S24",
        }
    )
    assert identity is not None
    assert identity.identifier == "phone-1"
    assert identity.details == {
        "application": "Box Office",
        "application_version": "6.1.0",
        "os": "Android",
        "os_version": "16",
        "manufacturer": "Samsung",
        "model": "Galaxy S24",
    }


def test_no_identifier_header_means_no_identity() -> None:
    assert read({"HTTP_X_DEVICE_MODEL": "Galaxy S24"}) is None


@pytest.mark.parametrize("value", ["", "   ", "%20", "%00"])
def test_empty_header_is_ignored(value: str) -> None:
    identity = read({"HTTP_X_DEVICE_ID": "phone-1", "HTTP_X_DEVICE_MODEL": value})
    assert identity is not None
    assert identity.details == {}


def test_first_configured_header_that_is_not_empty_is_used() -> None:
    reader = IdentityReader({**DEFAULT_HEADERS, "model": ("X-Model", "X-Device-Model")})
    environ = {"HTTP_X_DEVICE_ID": "phone-1", "HTTP_X_DEVICE_MODEL": "second"}
    for first, expected in (("first", "first"), ("", "second")):
        identity = read({**environ, "HTTP_X_MODEL": first}, reader)
        assert identity is not None
        assert identity.details == {"model": expected}


@given(st.dictionaries(st.sampled_from(["ID", *map(str.upper, DETAILS)]), tricky_values))
def test_headers_without_an_identifier_are_never_rejected(headers: dict[str, str]) -> None:
    environ = {f"HTTP_X_DEVICE_{name}": value for name, value in headers.items()}
    try:
        identity = read(environ)
    except InvalidIdentifier:
        assert "ID" in headers
        return
    assert (identity is None) == ("ID" not in headers)
