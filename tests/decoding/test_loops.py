"""What counts as a loop, and what a translator makes of one: the next hypothesis, and a count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.config import DecodingConfig
from nmt.decoding.hypothesis import Counts, Hypothesis
from nmt.decoding.loops import is_looping, most_repeats
from nmt.decoding.search import Candidates
from nmt.decoding.translator import EXTRA_TARGET_PIECES, FALLBACK_BEAM_SIZE, Translator
from nmt.text.special import BOS_ID, EOS_ID
from nmt.text.tokenizer import Tokenizer, train_tokenizer


def repeats_by_hand(sequence: Any, min_length: int = 0) -> int:
    """Every stretch at every place, repeated as often as it goes: slow and plain."""
    most = 1
    for start in range(len(sequence)):
        for size in range(1, len(sequence) - start + 1):
            count = 1
            while sequence[start + count * size : start + (count + 1) * size] == sequence[start : start + size]:
                count += 1
            if count * size >= min_length:
                most = max(most, count)
    return most


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.integers(4, 6), max_size=14), st.integers(0, 9))
def test_repeats_are_counted(sequence: list[int], min_length: int) -> None:
    assert most_repeats(sequence, min_length) == repeats_by_hand(sequence, min_length)


@pytest.mark.parametrize(
    ("token_ids", "source", "expected"),
    [
        ([4] * 8, "one", True),
        ([4] * 7, "one", False),  # 1000000 in digits
        ([4, 5] * 4, "one", True),
        ([4, 5, 6] * 3, "one", False),  # three times is emphasis
        ([4, 5, 6] * 4, "one", True),
        ([4, 5, 6] * 4, "a letter, a book, three sheep", True),  # double letters are no repetition
        ([7, 8, 4, 5, 6, 4, 5, 6, 4, 5, 6, 4, 5, 6, 9], "one", True),
        ([4, 5, 6, 7] * 10 + [9], "one", True),
        (list(range(4, 60)), "one", False),
        ([], "", False),
        # the source repeats as well
        ([4, 5] * 5, "ha ha ha", False),
        ([4, 5] * 6, "ha ha ha", True),
        ([4] * 40, "." * 40, False),
        ([4] * 43, "." * 40, True),
        ([4, 5] * 4, "Very very very very", False),
        ([4, 5] * 4, "hahahaha", False),
        ([4] * 8, "It costs 1000000 dollars", False),
    ],
)
def test_what_a_loop_is(token_ids: list[int], source: str, expected: bool) -> None:
    assert is_looping(token_ids, source) is expected


SHORT = "a"


class LoopingModel:
    """Says A for ever with a little more confidence than B, or B once: log-probabilities are in `candidates`."""

    workers = 1
    weights: dict[str, Any] = {}  # noqa: RUF012  (never changed)

    def __init__(self, often: int, once: int | None, size: int) -> None:
        self.often, self.once, self.target_vocabulary_size = often, once, size
        self.num_encoded: list[int] = []

    def encode(self, source_ids: Any) -> tuple[Any, Any]:
        self.num_encoded.append(len(source_ids))
        return source_ids, np.arange(len(source_ids))

    def advance(self, encoded: Any, state: Any, parents: Any, token_ids: Any, counts: Any) -> tuple[Any, Any, Any]:
        # A longer source than `SHORT` is translated by B alone.
        is_calm = np.array([len(encoded[sentence]) > 3 for sentence in state[parents]])
        return (token_ids, is_calm), state[parents], np.zeros((len(parents), 1), "float32")

    def candidates(self, readout: Any, size: int, banned: Any = None) -> Candidates:
        last, is_calm = readout
        never = -np.inf
        often, once, end = np.full((3, len(last)), never)
        often[(last == BOS_ID) & ~is_calm] = -0.1
        once[last == BOS_ID] = -2.4
        often[last == self.often] = 0.0
        end[last != BOS_ID] = -1.0
        end[last == self.once] = 0.0
        tokens = [self.often, self.once if self.once is not None else self.often + 1, EOS_ID]
        log_probs = np.stack([often, once if self.once is not None else np.full(len(last), never), end], axis=1)
        # While it may go on, the loop does: the end is taken where the limit forces it.
        offered = np.where((last == self.often)[:, None] & (np.array(tokens) == EOS_ID), never, log_probs)
        return Candidates(np.tile(tokens, (len(last), 1)), offered.astype("float32"), end.astype("float32"))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["the dog sees", "a cat", "one two three"], vocabulary_size=300)


def translator(tokenizer: Tokenizer, once: str | None = "cat") -> Translator:
    often = tokenizer.encode(["e"])[0][-1]
    model = LoopingModel(often, tokenizer.encode([once])[0][-1] if once else None, tokenizer.vocabulary_size)
    options = DecodingConfig(beam_size=2, length_penalty=0.0)
    return Translator(model, tokenizer, tokenizer, "en", "fr", options)


def test_the_next_hypothesis_takes_the_place_of_a_loop(tokenizer, caplog):
    model = translator(tokenizer)
    counts = Counts()
    found = model.translate([SHORT, "the dog sees", "", SHORT], counts=counts)
    assert [one.token_ids for one in found[:2]] == [(model.model.once,)] * 2
    assert [one.flags for one in found] == [["fallback"], [], [], ["fallback"]]
    assert [one.log_prob for one in found] == pytest.approx([-2.4, -2.4, 0, -2.4])
    assert model.model.num_encoded == [3, 2], "the search is made again for those that loop, and for no others"
    assert counts == Counts(num_lines=4, num_fallbacks=2)
    assert not caplog.messages, "whoever gives counts does what there is to say"


def test_greedy_search_falls_back_too(tokenizer):
    # It has no next hypothesis: a wider beam is searched for one.
    model = translator(tokenizer)
    found = model.translate([SHORT, "the dog sees"], beam_size=1)
    assert [one.token_ids for one in found] == [(model.model.once,)] * 2
    assert [one.flags for one in found] == [["fallback"], []]
    assert model.model.num_encoded == [2, 1]


@pytest.mark.parametrize("beam_size", [2, FALLBACK_BEAM_SIZE, FALLBACK_BEAM_SIZE + 2])
def test_hypotheses_that_loop_stand_last(beam_size, tokenizer):
    model = translator(tokenizer)
    (pool,) = model.translate_n_best([SHORT], n_best=2, beam_size=beam_size)
    assert [one.flags for one in pool] == [["fallback"], ["capped", "looping"]]
    assert pool[0].score < pool[1].score == pytest.approx(-1.1)
    (first,) = model.translate([SHORT])
    assert first == pool[0], "the best is the same however many are asked for"


def test_where_everything_loops_the_best_stays_and_is_told_of(tokenizer, caplog):
    limit = 2 * len(tokenizer.encode([SHORT])[0]) + EXTRA_TARGET_PIECES
    for beam_size in (1, 2, FALLBACK_BEAM_SIZE + 1):
        caplog.clear()
        model = translator(tokenizer, once=None)
        (found,) = model.translate([SHORT], beam_size=beam_size)
        assert found.token_ids == (model.model.often,) * limit
        assert found.flags == ["capped", "looping"]
        assert caplog.messages == [
            "1 output was ended by the limit of length (max_length_ratio).",
            "1 output repeats itself, and no other hypothesis of its line was better.",
        ]


def test_counts_add_up() -> None:
    counts = Counts()
    plain = Hypothesis("a", (4,), -1.0, -1.0)
    for _ in range(2):
        counts.add([plain, Hypothesis("b", (5,), -1.0, -1.0, num_parts=3, is_capped=True), plain])
    assert counts == Counts(num_lines=6, num_split=2, num_capped=2)
    assert list(counts.messages()) == [
        "2 lines were too long (max_source_pieces), translated in parts and joined again",
        "2 outputs were ended by the limit of length (max_length_ratio)",
    ]
    assert not list(Counts(num_lines=9).messages())
