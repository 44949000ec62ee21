"""No text that has been through `printable` can command a terminal, and ordinary text stays as it is."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.terminal import printable

BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # Unicode's Bidi_Control
ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("over\rwritten\b\x7f", r"over\x0dwritten\x08\x7f"),
        ("a\tb\nc\x00", r"a\x09b\x0ac\x00"),
        ("\u202egnirts\u202c", r"\u202egnirts\u202c"),
        ("one\u2028two\u2029three\x85", r"one\u2028two\u2029three\x85"),
        ("name-\udcff", r"name-\udcff"),
    ],
)
def test_what_a_terminal_acts_on_becomes_visible(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Straße, naïve – 3,5 €",
        "中文",
        "שלום עולם",
        "مرحبا",
        "می\u200cخواهم",
        "👩\u200d👩\u200d👧",
        "क्\u200dष",
        "e\u0301",
        "\\x1b",
    ],
)
def test_ordinary_text_stays_as_it_is(text):
    assert printable(text) == text


def test_every_control_and_every_direction_mark_is_covered():
    for code in range(0x110000):
        character = chr(code)
        active = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in BIDI_CONTROLS
        if active:
            assert printable(character).isascii()
            assert len(printable(character)) in (4, 6)
        elif not 0x206A <= code <= 0x206F:  # deprecated controls of shaping and digits are shown too
            assert printable(character) == character


def test_what_is_kept_stays_and_nothing_else_does():
    assert printable("two\nlines\t\x1b", keep="\n") == "two\nlines\\x09\\x1b"


@given(ANY_TEXT)
def test_the_result_can_be_written_and_stays_so(text):
    shown = printable(text)

    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
