"""What training leaves out, and that every pair left out is counted once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.text.corpus import SentencePair
from nmt.text.filters import PairFilter


def make(length=100, ratio=9.0, drop_duplicates=True) -> PairFilter:
    return PairFilter(length, ratio, drop_duplicates)


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u3000\u00a0", "\r", "\u2028"])
def test_a_blank_side(blank):
    pair_filter = make()
    assert not pair_filter.keeps_text(SentencePair(blank, "a"))
    assert not pair_filter.keeps_text(SentencePair("a", blank))
    assert not pair_filter.keeps_text(SentencePair(blank, blank))
    assert pair_filter.counts == {"blank": 3, "duplicate": 0, "length": 0, "ratio": 0}


def test_duplicates_are_equal_in_every_character_of_both_sides():
    pairs = [
        SentencePair(*sides) for sides in (("a", "b"), ("a", "c"), ("b", "a"), ("a ", "b"), ("a", "b"), ("a", "b"))
    ]
    pair_filter = make()
    assert [pair_filter.keeps_text(pair) for pair in pairs] == [True, True, True, True, False, False]
    assert pair_filter.counts["duplicate"] == 2
    keeps_all = make(drop_duplicates=False)
    assert all(keeps_all.keeps_text(pair) for pair in pairs)
    assert keeps_all.report() == "kept all 6 pairs"


def test_what_is_forgotten_is_no_duplicate():
    pair_filter = make()
    assert pair_filter.keeps_text(SentencePair("a", "b"))
    pair_filter.forget()
    assert pair_filter.keeps_text(SentencePair("a", "b"))
    assert pair_filter.report() == "kept all 2 pairs"


@pytest.mark.parametrize(
    ("lengths", "reason"),
    [
        ((10, 10), None),
        ((11, 10), "length"),
        ((10, 11), "length"),
        ((2, 6), None),  # exactly three times as long
        ((6, 2), None),
        ((2, 7), "ratio"),
        ((7, 2), "ratio"),
        ((1, 11), "length"),  # breaks both rules, is counted under the first
        ((0, 3), "blank"),
        ((0, 0), "blank"),
    ],
)
def test_lengths(lengths, reason):
    pair_filter = make(length=10, ratio=3.0)
    assert pair_filter.keeps_lengths(*lengths) is (reason is None)
    assert pair_filter.counts == {name: int(name == reason) for name in ("blank", "duplicate", "length", "ratio")}


def test_the_report():
    pair_filter = make(length=4, ratio=1.5)
    assert pair_filter.report() == "kept all 0 pairs"
    for number in range(1200):
        assert pair_filter.keeps_text(SentencePair(str(number), "x"))
        pair_filter.keeps_lengths(2, 2)
    pair_filter.keeps_text(SentencePair("7", "x"))
    pair_filter.keeps_text(SentencePair("", "x"))
    for lengths in ((9, 9), (2, 4), (5, 5)):
        pair_filter.keeps_text(SentencePair(str(lengths), "x"))
        pair_filter.keeps_lengths(*lengths)
    assert pair_filter.report() == (
        "kept 1,200 of 1,205 pairs; left out 5: "
        "1 with a blank side, 1 duplicate, 2 longer than 4 pieces, 1 with a length ratio above 1.5"
    )
    assert pair_filter.num_pairs == 1205


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "bb", "ccccc"]), st.sampled_from([" ", "x", "yyy"]))), st.booleans()
)
def test_kept_and_counted_make_all(sides, drop_duplicates):
    pair_filter = make(length=4, ratio=2, drop_duplicates=drop_duplicates)
    kept = [
        pair
        for pair in as_pairs(sides)
        if pair_filter.keeps_text(pair) and pair_filter.keeps_lengths(len(pair.source), len(pair.target))
    ]
    assert len(kept) + sum(pair_filter.counts.values()) == pair_filter.num_pairs == len(sides)
    allowed = {("a", "x"), ("bb", "x"), ("bb", "yyy")}
    wanted = [pair for pair in sides if pair in allowed]
    assert kept == (list(dict.fromkeys(wanted)) if drop_duplicates else wanted)


def as_pairs(sides):
    return (SentencePair(*pair) for pair in sides)
