"""What counts as a loop, and what a translator makes of one: the next hypothesis, and a count."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nmt
from nmt.config_decoding import EXTRA_TARGET_PIECES, DecodingConfig
from nmt.decoding.hypothesis import Counts, Hypothesis, fall_back
from nmt.decoding.loops import MAX_STRETCH, is_looping, most_repeats
from nmt.decoding.search import Candidates
from nmt.decoding.translator import FALLBACK_BEAM_SIZE, Translator
from nmt.text.special import BOS_ID, EOS_ID
from nmt.text.tokenizer import Tokenizer, train_tokenizer


def repeats_by_hand(text: str, min_length: int = 0) -> int:
    """Every stretch at every place, repeated as often as it goes: slow and plain."""
    most = 1
    for start in range(len(text)):
        for size in range(1, len(text) - start + 1):
            count = 1
            while text[start + count * size : start + (count + 1) * size] == text[start : start + size]:
                count += 1
            if count * size >= min_length:
                most = max(most, count)
    return most


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text("abc", max_size=14), st.integers(0, 9))
def test_repeats_are_counted(text: str, min_length: int) -> None:
    assert most_repeats(text, min_length) == repeats_by_hand(text, min_length)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text("ab", max_size=6), st.text("abc", min_size=1, max_size=5), st.integers(4, 9), st.text("ab", max_size=6))
def test_a_run_is_found_wherever_it_stands(before: str, stretch: str, repeats: int, after: str) -> None:
    assert most_repeats(before + stretch * repeats + after) >= repeats


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("ein Mann " * 4, "one", True),
        ("ein Mann " * 3, "one", False),  # three times is emphasis
        ("ein " * 5, "one", False),  # 20 characters
        ("ein " * 6, "one", True),
        ("ein Mann " * 4, "a letter, a book, three sheep", True),  # double letters are no repetition
        ("A dog and " + "a cat and " * 4 + "a cow.", "one", True),
        ("x" * 30 + "the dog sees " * 10, "one", True),
        ("Ein Mann geht mit einem Hund durch den Park.", "one", False),
        ("", "", False),
        # at most so long
        (("".join(map(chr, range(0x4E00, 0x4E00 + MAX_STRETCH)))) * 4, "one", True),
        (("".join(map(chr, range(0x4E00, 0x4E00 + MAX_STRETCH + 1)))) * 4, "one", False),
        # one letter or two
        ("ha " * 11, "one", False),
        ("ha " * 12, "one", True),
        ("n" + "o" * 23, "one", False),
        ("n" + "o" * 24, "one", True),
        # the source repeats as well
        ("ein Mann " * 5, "ha ha ha", False),
        ("ein Mann " * 6, "ha ha ha", True),
        ("o" * 40, "." * 40, False),
        ("o" * 43, "." * 40, True),
        ("sehr viel " * 4, "Very very very very", False),
        ("sehr viel " * 4, "hahahaha", False),
    ],
)
def test_what_a_loop_is(text: str, source: str, expected: bool) -> None:
    assert is_looping(text, source) is expected


NO_LOOPS = [
    ("1,000,000,000,000", "one trillion"),
    ("1 000 000 000 000 euros", "a trillion euros"),
    ("1000000000", "one billion"),
    ("555555555", "hahaha"),
    ("wwwwwwww", "lol"),
    ("Hahahaha! Das ist lustig", "That is funny, LOL"),
    ("\u0430\u0445\u0430\u0445\u0430\u0445\u0430\u0445\u0430", "lol"),
    ("\u597d\u597d\u597d\u597d", "great"),
    ("\u8c22\u8c22\u8c22\u8c22", "thanks a lot"),
    ("\u54c8\u54c8\u54c8\u54c8\u54c8", "LOL"),
    ("\uc548\ub155\uc548\ub155\uc548\ub155\uc548\ub155", "hi"),
    ("\u0e04\u0e23\u0e31\u0e1a \u0e04\u0e23\u0e31\u0e1a \u0e04\u0e23\u0e31\u0e1a \u0e04\u0e23\u0e31\u0e1a", "yes"),
    ("\U0001f600" * 4, "so funny"),
    ("\U0001f600" * 30, "so funny"),
    ("." * 10, "\u2026\u2026"),
    ("." * 60, "a line of dots"),
    ("!" * 8, "!!!"),
    ("-" * 10, "\u2014\u2014"),
    ("| | | | | | | | | | | | | |", "an empty table"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "source"), NO_LOOPS)
def test_what_people_write_is_no_loop(text: str, source: str) -> None:
    assert not is_looping(text, source)


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        # The limit of length ended it, and the run is most of it: any stretch will do.
        ("." * 60, "Stop.", True),
        ("1 000 000 000 000 000 000", "one", True),
        ("ha " * 4, "lol", True),
        ("ha " * 3, "lol", False),
        ("\U0001f600" * 12, "lol", True),
        ("Das ist lustig, hahahaha", "lol", False),
        ("." * 60, "." * 60, False),
    ],
)
def test_what_a_loop_is_at_the_limit_of_length(text: str, source: str, expected: bool) -> None:
    assert is_looping(text, source, is_capped=True) is expected


SHORT = "a"


class LoopingModel:
    """Says A for ever with a little more confidence than B, or B once: log-probabilities are in `candidates`.

    It may say nothing at all, too: `blank` is the log-probability of that.
    """

    workers = 1
    weights: dict[str, Any] = {}  # noqa: RUF012  (never changed)

    def __init__(self, often: int, once: int | None, size: int, blank: float = -np.inf) -> None:
        self.often, self.once, self.target_vocabulary_size, self.blank = often, once, size, blank
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
        end[last == BOS_ID] = self.blank
        end[last == self.once] = 0.0
        tokens = [self.often, self.once if self.once is not None else self.often + 1, EOS_ID]
        log_probs = np.stack([often, once if self.once is not None else np.full(len(last), never), end], axis=1)
        # While it may go on, the loop does: the end is taken where the limit forces it.
        offered = np.where((last == self.often)[:, None] & (np.array(tokens) == EOS_ID), never, log_probs)
        return Candidates(np.tile(tokens, (len(last), 1)), offered.astype("float32"), end.astype("float32"))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["the dog sees", "a cat", "one two three"], vocabulary_size=300)


def translator(tokenizer: Tokenizer, once: str | None = "cat", blank: float = -np.inf) -> Translator:
    often = tokenizer.encode(["e"])[0][-1]
    model = LoopingModel(often, tokenizer.encode([once])[0][-1] if once else None, tokenizer.vocabulary_size, blank)
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
    assert counts == Counts(num_fallbacks=2)
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


@pytest.mark.parametrize("beam_size", [1, 2, FALLBACK_BEAM_SIZE, FALLBACK_BEAM_SIZE + 2])
@pytest.mark.parametrize("blank", [-2.0, -15.0])
def test_nothing_takes_the_place_of_a_loop(beam_size: int, blank: float, tokenizer: Tokenizer) -> None:
    # An empty output was taken for one that does not loop: the translation was lost.
    limit = 2 * len(tokenizer.encode([SHORT])[0]) + EXTRA_TARGET_PIECES
    (found,) = translator(tokenizer, once=None, blank=blank).translate([SHORT], beam_size=beam_size)
    assert found.text == "e" * limit
    assert found.flags == ["capped", "looping"]
    # Nor is it preferred to a worse one with text.
    (found,) = translator(tokenizer, blank=blank).translate([SHORT], beam_size=beam_size)
    assert (found.text, found.flags) == ("cat"[-1:], ["fallback"])


LOOP = Hypothesis("a a a", (4,), -1.0, -1.0, is_looping=True)
BLANK = Hypothesis(" ", (4,), -2.0, -2.0)
CAPPED = Hypothesis("b", (4,), -3.0, -3.0, is_capped=True)
GOOD, WORSE = Hypothesis("c", (4,), -4.0, -4.0), Hypothesis("d", (4,), -5.0, -5.0)


@pytest.mark.parametrize(
    ("wider", "expected"),
    [
        ([LOOP, GOOD, WORSE], [replace(GOOD, is_fallback=True), WORSE, LOOP]),
        ([LOOP, BLANK, CAPPED, GOOD], [replace(GOOD, is_fallback=True), BLANK, CAPPED, LOOP]),
        ([GOOD, LOOP], [replace(GOOD, is_fallback=True), LOOP]),  # greedy search did not see it
        ([LOOP, BLANK, CAPPED], [LOOP]),
        ([LOOP, LOOP], [LOOP]),
    ],
)
def test_who_may_stand_in(wider: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert fall_back([LOOP], wider) == expected


@pytest.mark.parametrize("beam_size", [2, 3, 4, 6])
def test_the_best_is_the_same_however_many_are_asked_for(beam_size: int) -> None:
    # A loop at rank 2 made a wider beam's best take the place of this one's.
    golden = nmt.load(Path(__file__).parents[1] / "golden" / "model")
    draw = random.Random(3)
    lines = ["".join(draw.choices("abcdefgh 0123,.xyz\U0001f600\xe9", k=draw.randrange(3, 60))) for _ in range(150)]
    lines += ["Who took the coat? " * number for number in range(1, 5)]
    best = golden.translate(lines, beam_size=beam_size)
    pools = golden.translate_n_best(lines, beam_size=beam_size, n_best=beam_size)
    for one, pool in zip(best, pools, strict=True):
        assert (pool[0].text, pool[0].flags) == (one.text, one.flags)
        assert pool[0].score == pytest.approx(one.score, abs=1e-4)
        assert [other.is_looping for other in pool[1:]] == sorted(other.is_looping for other in pool[1:])
    assert any(one.is_looping for pool in pools for one in pool[1:])


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
    assert counts == Counts(num_split=2, num_capped=2)
    assert list(counts.messages()) == [
        "2 lines were too long (max_source_pieces), translated in parts and joined again",
        "2 outputs were ended by the limit of length (max_length_ratio)",
    ]
    assert not list(Counts().messages())
