"""The table is complete, aligned, safe and never wider than the terminal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from nmt.attention_table import SHADES, attention_table
from nmt.errors import InputError

LEFT_TO_RIGHT_MARK = "\u200e"
PIECES = st.lists(st.text(st.characters(exclude_categories=[]), max_size=20), max_size=9)


def cells(table):
    """Returns the shades of each band as a list of rows of cells; pieces in the test must hold no spaces."""
    bands = [band.splitlines() for band in table.split("\n\n")]
    bands[-1] = [line for line in bands[-1] if "below" not in line]
    return [[line.split()[1:] for line in band[1:]] for band in bands]


def test_table_as_a_person_sees_it():
    attention = np.array([[0.02, 0.9, 0.08], [0.3, 0.1, 0.6]])

    assert attention_table(attention, ["▁chat", "</s>"], ["▁the", "▁cat", "s"]).splitlines() == [
        "      ▁the ▁cat s",
        "▁chat  ·   ████ ░░",
        "</s>  ▒▒▒▒ ░░░░ ▓▓",
        "· below 5 %  ░ below 25 %  ▒ below 50 %  ▓ below 75 %  █ 75 % and more",
    ]


@pytest.mark.parametrize(
    ("shade", "lowest", "highest"),
    [("·", 0, 0.0499), ("░", 0.05, 0.2499), ("▒", 0.25, 0.4999), ("▓", 0.5, 0.7499), ("█", 0.75, 1)],
)
def test_shades_are_those_of_the_legend(shade, lowest, highest):
    for weight in (lowest, highest):
        [[[cell]]] = cells(attention_table(np.array([[weight]], np.float32), ["a"], ["bcd"]))
        assert set(cell) == {shade}


def test_a_long_sentence_is_laid_out_in_bands_that_hold_every_column_once(rng):
    attention = rng.dirichlet(np.full(30, 0.2), size=4)
    source = [f"piece{number}" for number in range(30)]

    table = attention_table(attention, ["a", "bb", "ccc", "</s>"], source, width=60)

    assert [word for line in table.splitlines() for word in line.split() if word.startswith("piece")] == source
    bands = cells(table)
    assert len(bands) > 3
    levels = [[SHADES.index(cell[0]) for band in bands for cell in band[row]] for row in range(4)]
    expected = [[sum(weight >= bound for bound in (0.05, 0.25, 0.5, 0.75)) for weight in row] for row in attention]
    assert levels == expected


def test_wide_characters_and_combining_marks_keep_columns_aligned():
    source = ["中文字", "a", "e\u0301e\u0301", "b"]
    header, row, _ = attention_table(np.array([[0.1, 0.9, 0.1, 0.9]]), ["日本"], source).splitlines()

    assert row == "日本 ░░░░░░ ██ ░░ ██"
    # Each heading begins in the terminal column in which its cell begins.
    starts = [5, 12, 15, 18]
    for piece, start in zip(source, starts, strict=True):
        assert cell_len(header[: header.index(piece)]) == start


def test_a_long_piece_is_visibly_shortened():
    table = attention_table(np.array([[1.0]]), ["Donaudampfschifffahrt"], ["中文中文中文中文中文"])

    header, row, *_ = table.splitlines()
    assert header.split() == ["中文中文中文…"]
    assert row.split() == ["Donaudampfsch…", "█" * 13]


def test_pieces_can_t_command_the_terminal_or_turn_the_line_around():
    table = attention_table(np.array([[0.5, 0.5]]), ["\x1b[2J"], ["a\nb", "\u202ec"])
    assert r"\x1b[2J" in table
    assert len(table.splitlines()) == 3
    assert not set("\x1b\u202e") & set(table)

    # Marks around right-to-left pieces keep a terminal that reorders them from moving whole columns.
    header, row, _ = attention_table(np.array([[0.5, 0.5]]), ["שלום"], ["مرحبا", "دنيا"]).splitlines()
    assert row.startswith(f"{LEFT_TO_RIGHT_MARK}שלום{LEFT_TO_RIGHT_MARK} ▓")
    assert header.split() == [f"{LEFT_TO_RIGHT_MARK}{piece}{LEFT_TO_RIGHT_MARK}" for piece in ("مرحبا", "دنيا")]


@given(target=PIECES, source=PIECES, width=st.integers(20, 100))
def test_no_line_is_wider_than_the_terminal(target, source, width):
    attention = np.full((len(target), len(source)), 1 / max(1, len(source)))

    for line in attention_table(attention, target, source, width=width).splitlines():
        assert cell_len(line) <= width


@pytest.mark.parametrize(
    ("attention", "options", "message"),
    [
        (np.ones((2, 3)) / 3, {}, r"here shape \(1, 3\). Received: shape \(2, 3\)"),
        (np.ones(3) / 3, {}, r"Received: shape \(3,\)"),
        (np.array([[0.5, 0.6, -0.1]]), {}, "between 0 and 1. Received: from -0.1 to 0.6"),
        (np.array([[0.5, 1.6, 0.1]]), {}, "between 0 and 1"),
        (np.array([[0.5, np.nan, 0.1]]), {}, "between 0 and 1"),
        (np.ones((1, 3)) / 3, {"width": 19}, "at least 20 columns. Received: width=19"),
    ],
)
def test_what_is_no_attention_is_refused(attention, options, message):
    with pytest.raises(InputError, match=message):
        attention_table(attention, ["a"], ["b", "c", "d"], **options)


def test_weights_may_exceed_one_by_what_rounding_adds():
    assert "█" in attention_table(np.array([[1.0000002]], np.float32), ["a"], ["b"])
