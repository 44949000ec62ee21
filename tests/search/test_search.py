"""Beam search, without a model: small tables worked out by hand, and plain searches in Python on random automata."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from keras import ops

from nmt.backend import compiled
from nmt.decoding.search import BeamSearch, Finished, SearchOptions, Source
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


def table_search(table: dict[int, dict[int, float]], max_length: int, **options: float) -> tuple[list[Finished], int]:
    """Searches one sentence where the next token depends on the last alone; also returns the number of steps."""
    probabilities = np.full((7, 7), 1e-30, "float32")
    for last, following in table.items():
        assert sum(following.values()) == pytest.approx(1)
        for token, probability in following.items():
            probabilities[last, token] = probability
    num_steps = 0

    def step(token_ids, state, source):
        nonlocal num_steps
        num_steps += 1
        return (
            ops.take(ops.log(ops.convert_to_tensor(probabilities)), token_ids, axis=0),
            state,
            ops.ones((len(state), 1)),
        )

    mask, limits = ops.ones((1, 1), dtype="bool"), [ops.convert_to_tensor([limit]) for limit in (1, max_length)]
    search = BeamSearch(step, SearchOptions(**options))
    return search(ops.zeros((1,), dtype="int32"), Source(None, mask, *limits))[0], num_steps


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
    for fixed_seed in range(4):
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


def test_compiling_changes_nothing(rng):
    model = Automaton(rng)
    sentences = model.sentences(rng, LIMITS)
    options = SearchOptions(beam_size=3, n_best=3, coverage_penalty=0.3, no_repeat_ngram_size=2)
    received = []

    def compile_once(function):
        received.append(function)
        return compiled(function, [])

    found = reference.run(model, sentences, options, compile_once)
    assert len(received) == 1
    for pool, expected in zip(found, reference.run(model, sentences, options), strict=True):
        assert [one.token_ids for one in pool] == [one.token_ids for one in expected]
        assert [one.score for one in pool] == pytest.approx([one.score for one in expected], abs=1e-5)


def recording_step(automaton: Automaton):
    """A step function whose state also records which tokens it has been given."""

    def step(token_ids, state, source):
        inner, history, position = state
        logits, inner, attention = automaton.step(token_ids, inner, source)
        here = ops.equal(ops.arange(history.shape[1]), ops.expand_dims(position, 1))
        return logits, (inner, ops.where(here, ops.expand_dims(token_ids, 1), history), position + 1), attention

    return step


@pytest.mark.parametrize("beam_size", [1, 3])
def test_every_step_keeps_state_with_its_hypothesis_and_the_pools_sorted(beam_size, rng):
    model = Automaton(rng)
    sentences = model.sentences(rng, LIMITS)
    inner, source = reference.source_of(sentences, source_length=3)
    search = BeamSearch(
        recording_step(model), SearchOptions(beam_size=beam_size, n_best=beam_size, coverage_penalty=0.1)
    )
    record = ops.full((len(LIMITS), 12), PAD_ID, dtype="int32")
    beam = search.start((inner, record, ops.zeros((len(LIMITS),), dtype="int32")), source)
    num_steps, is_done = 0, False
    while not is_done:
        beam, is_done = search.advance(beam, source)
        num_steps += 1
        assert int(beam.length) == num_steps <= 12
        check_pools(beam, beam_size)
        # The state has read the tokens of the very hypothesis it belongs to, all but the newest.
        history = ops.convert_to_numpy(beam.model[1]).reshape(len(LIMITS), beam_size, -1)
        tokens = ops.convert_to_numpy(beam.tokens)
        is_live = np.isfinite(ops.convert_to_numpy(beam.log_probs))
        assert (history[is_live][:, 0] == BOS_ID).all()
        np.testing.assert_array_equal(history[is_live][:, 1:num_steps], tokens[is_live][:, : num_steps - 1])


def check_pools(beam, beam_size):
    for field in ("log_probs", "finished_scores"):
        numbers = ops.convert_to_numpy(getattr(beam, field))
        assert numbers.shape == (len(LIMITS), beam_size)
        assert not np.isnan(numbers).any()
        assert (numbers[:, :-1] >= numbers[:, 1:]).all(), f"{field}: not the best first"
    assert not np.isnan(ops.convert_to_numpy(beam.finished_log_probs)).any()
    assert np.isfinite(ops.convert_to_numpy(beam.coverage)).all()
    for log_probs, tokens in ((beam.log_probs, beam.tokens), (beam.finished_scores, beam.finished_tokens)):
        exists = np.isfinite(ops.convert_to_numpy(log_probs))
        for pool, is_real in zip(ops.convert_to_numpy(tokens), exists, strict=True):
            rows = [tuple(row) for row in pool[is_real]]
            assert len(set(rows)) == len(rows), "one hypothesis twice"
            assert not np.isin(pool[is_real], (UNK_ID, BOS_ID, EOS_ID)).any()


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
        BeamSearch(Automaton(rng).step, SearchOptions(**options))
