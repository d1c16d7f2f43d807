"""Characters that look like others are found, and ordinary texts are left alone."""

import sys

import pytest
import regex

from apidevices.identity import InvalidIdentifier, clean_identifier
from apidevices.lookalikes import find


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        pytest.param("phone-а", "а", id="Cyrillic letter as a word"),
        pytest.param("аdmin", "а", id="Cyrillic letter in a Latin word"),
        pytest.param("Приvет", "v", id="Latin letter in a Cyrillic word"),
        pytest.param("ρhone", "ρ", id="Greek letter in a Latin word"),
        pytest.param("рау", "рау", id="Cyrillic letters that all look Latin"),
        pytest.param("OМЕGА-1", "МЕА", id="capital letters"),
        pytest.param("ΡΑΥ", "ΡΑΥ", id="Greek letters that all look Latin"),
        pytest.param("𝐩𝐡one", "𝐩𝐡", id="mathematical letters"),
        pytest.param("ⅰPhone", "ⅰ", id="Roman numeral"),
        pytest.param("phone-ɑ", "ɑ", id="unusual Latin letter"),
        pytest.param("cafe\u0301", "\u0301", id="separate accent"),
        pytest.param("10 k\u2126", "\u2126", id="ohm sign for omega"),
    ],
)
def test_lookalikes_are_found_in_names_and_identifiers(text: str, characters: str) -> None:
    for is_identifier in (False, True):
        found = find(text, is_identifier=is_identifier)
        assert [lookalike.character for lookalike in found] == list(characters)


def test_lookalike_has_its_code_point_and_name() -> None:
    [lookalike] = find("phone-а")
    assert lookalike == ("а", "U+0430", "CYRILLIC SMALL LETTER A")


@pytest.mark.parametrize(
    "text",
    [
        "phone-1",
        "Kühlhaus Süd, Straße 5",
        "Übergrößenträger",
        "Café Zoë – façade",
        "Łódź żółw",
        "Kapı 3 İstanbul",
        "Điện thoại Hà Nội",
        "Þingvellir",
        "Принтер",
        "Кухня у входа",
        "Склад iPad 3",
        "Щит POS-7",
        "Ταμείο 2",
        "会議室のiPad",
        "レジ係カウンター二番",
        "東京タワーのカメラ",
        "ＰＯＳレジ１",
        "서울 지점 태블릿",
        "북쪽 문 iPad",
        "红米 📱",
        "קופה 3",
        "صندوق ٣",
        "हिन्दी टैबलेट",
        "เครื่องคิดเงิน",
        "Կաֆե Երևան",
        "თბილისი",
        "Anna’s iPad",
        "5 µm · 20 °C",
    ],
)
def test_ordinary_text_has_no_lookalikes(text: str) -> None:
    assert list(find(text)) == []
    if not regex.search("[’–Ａ-Ｚ１]", text):
        assert list(find(text, is_identifier=True)) == []


@pytest.mark.parametrize("character", ["‐", "–", "’", "１", "／"])
def test_punctuation_like_ascii_is_found_in_identifiers_only(character: str) -> None:
    text = f"phone{character}1"
    assert [each.character for each in find(text, is_identifier=True)] == [character]
    assert list(find(text)) == []


# --- identifiers without visible characters ----------------------------------------------------


REFUSED = regex.compile(
    r"[\p{Default_Ignorable_Code_Point}\p{Blank}\p{White_Space}\p{Bidi_Control}\p{Cc}\p{Cf}\p{Cn}"
    r"\p{Co}\p{Cs}\p{Z}\N{BRAILLE PATTERN BLANK}\N{HANGUL FILLER}"
    r"\N{HALFWIDTH HANGUL FILLER}\N{OBJECT REPLACEMENT CHARACTER}"
    r"\N{MUSICAL SYMBOL NULL NOTEHEAD}\N{KHITAN SMALL SCRIPT FILLER}]"
)


def is_valid(identifier: str) -> bool:
    try:
        clean_identifier(identifier.encode("utf-8", "surrogatepass").decode("latin-1"))
    except InvalidIdentifier:
        return False
    return True


# Python refuses all others by itself, and those that are newer than its Unicode version.
PRINTABLE = "".join(filter(str.isprintable, map(chr, range(0x21, sys.maxunicode + 1))))


def test_identifier_can_not_contain_a_character_without_a_visible_form() -> None:
    refused = REFUSED.findall(PRINTABLE)
    assert len(refused) > 250
    assert [f"U+{ord(each):04X}" for each in refused if is_valid(f"a{each}b")] == []


def test_identifier_can_contain_every_other_character() -> None:
    accepted = REFUSED.sub("", PRINTABLE).translate(dict.fromkeys(map(ord, ",\u2d7f\U0001107f")))
    parts = [accepted[start : start + 250] for start in range(0, len(accepted), 250)]
    assert [part for part in parts if not is_valid(f"a{part}b")] == []


@pytest.mark.parametrize(
    "identifier",
    [
        pytest.param("\u0301", id="combining mark alone"),
        pytest.param("\u0301a", id="combining mark at the start"),
        pytest.param("\u093e", id="vowel sign alone"),
        pytest.param("a\ue000", id="private use"),
        pytest.param("a\u0378", id="unassigned"),
        pytest.param("a\ud800", id="surrogate"),
        pytest.param("a\u202eb", id="bidi override"),
        pytest.param("a\u2067b", id="bidi isolate"),
        pytest.param("a\u2d7fb", id="consonant joiner"),
        pytest.param("👩\u200d🚒", id="joined emoji"),
    ],
)
def test_identifier_without_a_reliable_form_is_refused(identifier: str) -> None:
    assert not is_valid(identifier)
