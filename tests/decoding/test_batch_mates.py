"""A sentence's translation is its own: alone, in any batch, in any order, with any number of workers.

In float32 a product rounds differently with another number of rows, so scores may differ in their last digits; texts
and pieces may not. docs/log.md has the rates on real text.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nmt
from nmt.decoding.hypothesis import Hypothesis
from nmt.decoding.translator import Translator
from nmt.text.lines import read_lines

GOLDEN = Path(__file__).parents[1] / "golden"
LINES = [line.split("\t")[0] for line in read_lines(GOLDEN / "translations.tsv")]
LINES += ["", " ", "x" * 20, "\0", "\U0001f600 \u0645\u0631\u062d\u0628\u0627", "Where is the station? " * 12]
LOOPING = {
    1: "bbh3b3xahhd3xgf1\xe9d2d\xe9b0 .0xhz",
    4: "e.2bbg\xe92\U0001f600.1z\xe903ybza2a3",
}
"""By beam size, a line whose best hypothesis loops: the search is made again for it, and another takes the place."""
LINES += LOOPING.values()
TOLERANCE = {"rel": 2e-5, "abs": 2e-5}
"""The rounding of a float32 is 6e-8 of it; a hypothesis of this small model adds up to a hundred of them."""


@pytest.fixture(scope="module")
def translator() -> Translator:
    return nmt.load(GOLDEN / "model")


@cache
def alone(translator: Translator, line: str, beam_size: int) -> Hypothesis:
    (found,) = translator.translate([line], beam_size=beam_size, workers=1)
    return found


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(LINES), min_size=1, max_size=9),
    st.integers(1, 10),
    st.integers(1, 3),
    st.sampled_from([1, 4]),
)
def test_batch_mates_do_not_matter(translator, lines, batch_size, workers, beam_size):
    found = translator.translate(lines, batch_size=batch_size, workers=workers, beam_size=beam_size)
    for line, one in zip(lines, found, strict=True):
        other = alone(translator, line, beam_size)
        assert (one.text, one.token_ids, one.flags) == (other.text, other.token_ids, other.flags)
        assert one.score == pytest.approx(other.score, **TOLERANCE)
        assert one.log_prob == pytest.approx(other.log_prob, **TOLERANCE)


@pytest.mark.parametrize("beam_size", LOOPING)
def test_a_line_loops_and_is_searched_again(translator, beam_size):
    # Else nothing here says anything of the second search.
    assert alone(translator, LOOPING[beam_size], beam_size).flags == ["fallback"]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(LINES), max_size=7), st.integers(1, 8), st.integers(1, 3), st.integers(1, 4))
def test_batch_mates_do_not_matter_to_several_hypotheses(translator, mates, batch_size, workers, n_best):
    lines = [LOOPING[4], *mates, LOOPING[4]]
    options = {"n_best": n_best, "beam_size": 4}
    pools = translator.translate_n_best(lines, batch_size=batch_size, workers=workers, **options)
    for line, pool in zip(lines, pools, strict=True):
        (other,) = translator.translate_n_best([line], workers=1, **options)
        assert [(one.text, one.token_ids, one.flags) for one in pool] == [
            (one.text, one.token_ids, one.flags) for one in other
        ]
        assert [one.score for one in pool] == pytest.approx([one.score for one in other], **TOLERANCE)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(*[st.sampled_from(LINES)] * 2), min_size=1, max_size=10), st.integers(1, 12), st.integers(1, 3)
)
def test_a_score_is_the_pairs_own(translator, pairs, batch_size, workers):
    sources, targets = zip(*pairs, strict=True)
    scores = translator.score(sources, targets, batch_size=batch_size, workers=workers)
    for source, target, score in zip(sources, targets, scores, strict=True):
        (other,) = translator.score([source], [target], workers=1)
        assert score.num_pieces == other.num_pieces
        assert score.log_prob == pytest.approx(other.log_prob, **TOLERANCE)


def test_the_lines_differ(translator):
    # Else a translation could be another line's and nobody would see it.
    texts = [alone(translator, line, 4).text for line in LINES]
    assert len(set(texts)) > 25
    assert np.ptp([alone(translator, line, 4).score for line in LINES]) > 1
