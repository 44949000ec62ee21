"""Beam search, without a model: small tables worked out by hand, and plain searches in Python on random automata."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from nmt.decoding.search import BeamSearch, Finished, SearchOptions
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tests.search import reference
from tests.search.reference import Automaton

A, B, C = 4, 5, 6
LIMITS = 2 * [(1, 9), (3, 12), (1, 5), (6, 6), (1, 1), (2, 3)]
"""Fewest and most tokens of the sentences of a batch."""

ALL = 48
"""A beam that loses nothing: with two tokens beside the end of sentence (a vocabulary of 6) and at most 6 tokens, the
fullest step has 2^4 live hypotheses with 3 extensions each."""
SMALL = 6
SMALL_LIMITS = [(1, 6), (3, 6), (1, 5), (4, 4), (1, 1), (2, 3)]

RULES = {
    "plain": SearchOptions(length_penalty=0.0),
    "length": SearchOptions(length_penalty=1.0),
    "coverage": SearchOptions(length_penalty=0.0, coverage_penalty=0.5),
    "no repeated token": SearchOptions(length_penalty=0.0, no_repeat_ngram_size=1),
    "no repeated bigram": SearchOptions(length_penalty=0.6, no_repeat_ngram_size=2),
    "all": SearchOptions(length_penalty=1.0, coverage_penalty=0.2, no_repeat_ngram_size=3),
}
EACH_RULE = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())


class Table:
    """A model where the next token depends on the last alone. Its step counts itself."""

    def __init__(self, table: dict[int, dict[int, float]]) -> None:
        probabilities = np.full((7, 7), 1e-30, "float32")
        for last, following in table.items():
            assert sum(following.values()) == pytest.approx(1)
            for token, probability in following.items():
                probabilities[last, token] = probability
        self.log_probs = np.log(probabilities)
        self.num_steps = 0

    def encode(self, source_ids):
        return source_ids, np.zeros(len(source_ids))

    def advance(self, encoded, state, parents, token_ids, counts):
        self.num_steps += 1
        assert len(parents) == len(token_ids) == sum(counts)
        return self.log_probs[token_ids], state[parents], np.ones((len(parents), 1), "float32")

    def candidates(self, log_probs, size, banned=None):
        return reference.best(log_probs, size, banned)


def table_search(table: dict[int, dict[int, float]], max_length: int, **options: float) -> tuple[list[Finished], int]:
    """Searches one sentence; also returns the number of steps."""
    model = Table(table)
    (found,) = BeamSearch(model, SearchOptions(**options))([[EOS_ID]], np.array([1]), np.array([max_length]))
    return found, model.num_steps


def test_a_beam_finds_what_greedy_search_misses():
    table = {
        BOS_ID: {A: 0.6, B: 0.4},
        A: {EOS_ID: 0.4, A: 0.3, B: 0.3},  # "A": 0.6 x 0.4 = 0.24
        B: {EOS_ID: 0.9, A: 0.1},  # "B": 0.4 x 0.9 = 0.36
    }
    (greedy,), _ = table_search(table, 5, beam_size=1)
    assert greedy.token_ids == (A,)
    assert greedy.log_prob == pytest.approx(math.log(0.24))
    (best,), _ = table_search(table, 5, beam_size=2, length_penalty=0.0)
    assert best.token_ids == (B,)
    assert best.score == best.log_prob == pytest.approx(math.log(0.36))
    # Best first. In third place "AB", 0.6 x 0.3 x 0.9 = 0.162, before "AA", 0.6 x 0.3 x 0.4 = 0.072.
    third, _ = table_search(table, 5, beam_size=3, n_best=3, length_penalty=0.0)
    assert [one.token_ids for one in third] == [(B,), (A,), (A, B)]
    assert [math.exp(one.score) for one in third] == pytest.approx([0.36, 0.24, 0.162])


CHAIN = {BOS_ID: {EOS_ID: 0.55, A: 0.45}, A: {B: 1.0}, B: {C: 1.0}, C: {EOS_ID: 1.0}}
"""Nothing with probability 0.55, or "ABC" with 0.45, all of it paid with its first token."""


def test_a_longer_hypothesis_wins_later():
    # Of length 1 and 4 with the end of sentence: log 0.55 / (6 / 6) = -0.598, and log 0.45 / (9 / 6) = -0.532. After
    # one step the live one has -0.799, less than the finished one: the bound alone says that it can still win.
    (best,), num_steps = table_search(CHAIN, 7, beam_size=2, length_penalty=1.0)
    assert best.token_ids == (A, B, C)
    assert best.log_prob == pytest.approx(math.log(0.45))
    assert best.score == pytest.approx(math.log(0.45) / 1.5)
    assert num_steps == 4


def test_the_search_stops_when_nothing_can_win():
    # Without a length penalty a live hypothesis can only get worse, and 0.45 is less already.
    (best,), num_steps = table_search(CHAIN, 7, beam_size=2, length_penalty=0.0)
    assert best.token_ids == ()
    assert num_steps == 1
    # At most 2 tokens: the bound is log 0.45 / (7 / 6) = -0.684, less than log 0.55 = -0.598.
    (best,), num_steps = table_search(CHAIN, 2, beam_size=2, length_penalty=1.0)
    assert best.token_ids == ()
    assert num_steps == 1
    # Who asks for two gets two.
    two, num_steps = table_search(CHAIN, 7, beam_size=2, n_best=2, length_penalty=0.0)
    assert [one.token_ids for one in two] == [(), (A, B, C)]
    assert num_steps == 4


def test_greedy_search_ends_with_the_first_end_of_sentence():
    (greedy,), num_steps = table_search(CHAIN, 7, beam_size=1, length_penalty=1.0)
    assert greedy.token_ids == ()
    assert num_steps == 1


def test_control_tokens_are_never_emitted():
    # What may not be emitted keeps its probability: 0.1 for the end, not 0.1 / (0.1 + 0.06).
    table = {BOS_ID: {PAD_ID: 0.3, UNK_ID: 0.3, BOS_ID: 0.24, EOS_ID: 0.1, A: 0.06}, A: {BOS_ID: 0.5, EOS_ID: 0.5}}
    for beam_size in (1, 2):
        found, _ = table_search(table, 4, beam_size=beam_size, n_best=beam_size, length_penalty=0.0)
        assert [one.token_ids for one in found] == [(), (A,)][:beam_size]
        assert [math.exp(one.log_prob) for one in found] == pytest.approx([0.1, 0.03][:beam_size])


@EACH_RULE
@pytest.mark.parametrize("n_best", [1, 10, ALL])
def test_a_wide_beam_is_exhaustive_search(rule, n_best, rng):
    model = Automaton(rng, SMALL)
    sentences = model.sentences(rng, SMALL_LIMITS)
    options = dataclasses.replace(rule, beam_size=ALL, n_best=n_best)
    for sentence, found in zip(sentences, reference.run(model, sentences, options), strict=True):
        everything = reference.search_exhaustively(model, sentence, options)
        by_tokens = {one.token_ids: one for one in everything}
        assert [one.score for one in found] == pytest.approx([one.score for one in everything[:n_best]], abs=1e-4)
        assert len({one.token_ids for one in found}) == len(found)
        for one in found:
            assert one.score == pytest.approx(by_tokens[one.token_ids].score, abs=1e-4)
            assert one.log_prob == pytest.approx(by_tokens[one.token_ids].log_prob, abs=1e-4)
            assert sentence.min_length <= len(one.token_ids) + 1 <= sentence.max_length


# Seeds that stay: where a beam is cut between two hypotheses that are equal to a float32, either may live on.
@EACH_RULE
@pytest.mark.parametrize("beam_size", [2, 3])
def test_a_narrow_beam_is_one_that_never_stops(rule, beam_size):
    for fixed_seed in (0, 2, 3, 5):
        rng = np.random.default_rng(fixed_seed)
        model = Automaton(rng)
        sentences = model.sentences(rng, LIMITS)
        options = dataclasses.replace(rule, beam_size=beam_size, n_best=beam_size if fixed_seed % 2 else 1)
        for sentence, found in zip(sentences, reference.run(model, sentences, options), strict=True):
            expected = reference.search_with_beam(model, sentence, options)
            assert [one.token_ids for one in found] == [one.token_ids for one in expected]
            assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-4)
            assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in expected], abs=1e-4)


@EACH_RULE
def test_a_beam_of_one_is_greedy_search(rule):
    for fixed_seed in range(5):
        rng = np.random.default_rng(fixed_seed)
        model = Automaton(rng)
        sentences = model.sentences(rng, LIMITS)
        options = dataclasses.replace(rule, beam_size=1)
        for sentence, found in zip(sentences, reference.run(model, sentences, options), strict=True):
            expected = reference.search_greedily(model, sentence, options)
            assert [one.token_ids for one in found] == [one.token_ids for one in expected]
            assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-4)


def test_batch_mates_do_not_matter(rng):
    model = Automaton(rng)
    sentences = model.sentences(rng, LIMITS)
    options = SearchOptions(beam_size=3, n_best=3, coverage_penalty=0.3)
    together = reference.run(model, sentences, options)
    upside_down = reference.run(model, sentences[::-1], options)[::-1]
    for sentence, found, again in zip(sentences, together, upside_down, strict=True):
        (alone,) = reference.run(model, [sentence], options)
        for other in (alone, again):
            assert [one.token_ids for one in found] == [one.token_ids for one in other]
            assert [one.score for one in found] == pytest.approx([one.score for one in other], abs=1e-6)


class Recorder(Automaton):
    """An automaton whose state also records which tokens it has been given; it checks them against the search's."""

    def encode(self, source_ids):
        encoded, state = super().encode(source_ids)
        self.num_steps = 0
        self.seen: list[tuple[tuple[int, ...], ...]] = []
        return encoded, (state, [()] * len(state))

    def advance(self, encoded, state, parents, token_ids, counts):
        inner, histories = state
        histories = [(*histories[parent], int(token)) for parent, token in zip(parents, token_ids, strict=True)]
        self.num_steps += 1
        start = 0
        for count in counts:
            mine = histories[start : start + count]
            assert len(set(mine)) == len(mine), "one hypothesis twice"
            start += count
        assert start == len(histories)
        for history in histories:
            assert len(history) == self.num_steps
            assert history[0] == BOS_ID
            assert not {PAD_ID, UNK_ID, BOS_ID, EOS_ID} & set(history[1:])
        self.seen.append(tuple(histories))
        readout, inner, attention = super().advance(encoded, inner, parents, token_ids, counts)
        return readout, (inner, histories), attention


@pytest.mark.parametrize("beam_size", [1, 3])
def test_every_state_stays_with_its_hypothesis(beam_size, rng):
    model = Recorder(rng)
    sentences = model.sentences(rng, LIMITS)
    options = SearchOptions(beam_size=beam_size, n_best=beam_size, coverage_penalty=0.1)
    found = reference.run(model, sentences, options)
    # What was found has been gone through, one token after another.
    for pool in found:
        for one in pool:
            assert any((BOS_ID, *one.token_ids) in step for step in model.seen)


def test_a_hypothesis_that_can_not_win_costs_nothing():
    # After one step "" is finished with 0.4, and of three live ones two can't get above it without a length penalty.
    table = {
        BOS_ID: {EOS_ID: 0.4, A: 0.45, B: 0.1, C: 0.05},
        A: {A: 1.0},
        B: {EOS_ID: 1.0},
        C: {EOS_ID: 1.0},
    }
    model = Table(table)
    rows = []
    advance = model.advance
    model.advance = lambda *args: rows.append(len(args[2])) or advance(*args)
    search = BeamSearch(model, SearchOptions(beam_size=4, length_penalty=0.0))
    (found,) = search([[EOS_ID]], np.array([1]), np.array([4]))
    assert found[0].token_ids == ()
    assert rows == [1, 1, 1, 1]  # "A", then "A A": both may still end with 0.45


def test_a_sentence_that_is_done_costs_nothing(rng):
    model = Automaton(rng)
    counts_seen = []
    advance = model.advance
    model.advance = lambda *args: counts_seen.append(args[4]) or advance(*args)
    reference.run(model, model.sentences(rng, [(1, 1), (9, 9)]), SearchOptions(beam_size=2))
    assert counts_seen[0] == [1, 1]
    assert all(first == 0 and second > 0 for first, second in counts_seen[1:])
    assert len(counts_seen) == 9


def test_extreme_logits_give_no_nan(rng):
    model = Automaton(rng)
    model.logits *= 1e4
    sentences = model.sentences(rng, LIMITS)
    for found in reference.run(model, sentences, SearchOptions(beam_size=3, n_best=3, coverage_penalty=1.0)):
        assert found
        assert all(math.isfinite(one.score) and math.isfinite(one.log_prob) for one in found)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_rules_that_leave_nothing_find_nothing(beam_size, rng):
    # Four tokens, each at most once, can't make five. A beam of one ran past the end of its array: an error on
    # TensorFlow, for ever on JAX.
    model = Automaton(rng)
    sentences = model.sentences(rng, 6 * [(1, 6), (6, 9)])
    found = reference.run(model, sentences, SearchOptions(beam_size=beam_size, no_repeat_ngram_size=1))
    assert [len(pool) for pool in found] == 6 * [1, 0]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_search_ends_whatever_the_model_says(beam_size, rng):
    # A model that has diverged says NaN, and no comparison with it comes out true. A beam of one ran past the end.
    model = Automaton(rng)
    model.logits[:] = np.nan
    sentences = model.sentences(rng, LIMITS)
    assert reference.run(model, sentences, SearchOptions(beam_size=beam_size)) == [[] for _ in sentences]


@pytest.mark.parametrize(
    "options",
    [
        {"n_best": 0},
        {"n_best": 6, "beam_size": 5},
        {"beam_size": 0},
        {"length_penalty": -0.1},  # the bound would be none
        {"coverage_penalty": -0.1},
        {"no_repeat_ngram_size": -1},
    ],
)
def test_options_out_of_range_are_refused(options, rng):
    received = ", ".join(f"{name}={value}" for name, value in options.items())
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        BeamSearch(Automaton(rng), SearchOptions(**options))
