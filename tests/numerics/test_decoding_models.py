"""The two models that decode, in NumPy and in `keras.ops`, against the model's own step and its logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops

from nmt.decoding.forced import force
from nmt.decoding.keras_model import KerasModel
from nmt.decoding.numpy_model import FOLDS, QUERIES_PER_BLOCK, ROWS_PER_PRODUCT, NumpyModel
from nmt.decoding.search import Banned, BeamSearch, SearchOptions
from nmt.errors import InputError
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tests.gradients import as_array
from tests.numerics.tiny import ARCHITECTURES, VOCABULARY, tiny_model

SOURCES = [[5, 6, 7, 4, 9, EOS_ID], [4, EOS_ID], [10, 5, 8, EOS_ID], [EOS_ID]]
COUNTS = [2, 0, 3, 1]
"""Hypotheses of each sentence in the second step: none, one, several."""


READOUTS = ("conditional-after-all", "conditional-before-target", "input_feeding-before-lexical-none")
"""Of `ARCHITECTURES`: all that differs outside of the recurrence, for tests whose subject lies there."""

of_readouts = pytest.mark.parametrize("architecture", READOUTS)


@pytest.fixture(params=ARCHITECTURES)
def architecture(request):
    return request.param


@pytest.fixture
def seq2seq(architecture, rng):
    return tiny_model(rng, **ARCHITECTURES[architecture])


@pytest.fixture(params=["numpy", "keras"])
def model(request, seq2seq):
    return KerasModel(seq2seq) if request.param == "keras" else numpy_model_of(seq2seq)


def numpy_model_of(seq2seq) -> NumpyModel:
    config = seq2seq.get_config()
    weights = {name: as_array(weight) for name, weight in seq2seq.named_weights().items()}
    names = ("encoder_layers", "decoder", "reset_after", "layer_norm", "decoder_transitions")
    return NumpyModel(weights, **{name: config[name] for name in names})


def stepped(seq2seq, source: list[int], tokens: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Log-probabilities (V,) and attention (S,) after each of the tokens: one sentence, one step a time."""
    encoded = seq2seq.encode(ops.convert_to_tensor(np.array([source])))
    state = seq2seq.initial_state(encoded)
    steps = []
    for token in tokens:
        logits, state, attention = seq2seq.step(ops.convert_to_tensor([token]), state, encoded)
        steps.append((log_softmax(as_array(logits)[0]), as_array(attention)[0]))
    return steps


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype("float64")
    return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def everything(model: Any, readout: Any) -> np.ndarray:
    """The log-probabilities (N, V) of all tokens but those that are never emitted, which are -inf."""
    found = model.candidates(readout, 10_000)
    table = np.full((len(found.token_ids), VOCABULARY), -np.inf)
    for row, (token_ids, log_probs) in enumerate(zip(found.token_ids, found.log_probs, strict=True)):
        real = log_probs > -np.inf
        assert len(set(token_ids[real])) == real.sum()
        table[row, token_ids[real]] = log_probs[real]
    return table


def two_steps(model: Any) -> tuple[Any, np.ndarray, list[tuple[list[int], list[int]]]]:
    """Takes two steps, the second of several hypotheses; returns readout, attention and what each has read."""
    encoded, state = model.encode(SOURCES)
    _, state, _ = model.advance(encoded, state, np.arange(4), np.full(4, BOS_ID), [1] * 4)
    parents = np.repeat(np.arange(4), COUNTS)
    tokens = np.array([4, 9, 10, 4, 5, 7])
    readout, _, attention = model.advance(encoded, state, parents, tokens, COUNTS)
    return readout, attention, [(SOURCES[p], [BOS_ID, int(t)]) for p, t in zip(parents, tokens, strict=True)]


def test_a_step_is_the_models_own(model, seq2seq):
    readout, attention, read = two_steps(model)
    found = everything(model, readout)
    eos_log_probs = model.candidates(readout, 1).eos_log_probs
    for row, (source, tokens) in enumerate(read):
        log_probs, weights = stepped(seq2seq, source, tokens)[-1]
        np.testing.assert_allclose(eos_log_probs[row], log_probs[EOS_ID], atol=2e-5)
        log_probs[[PAD_ID, UNK_ID, BOS_ID]] = -np.inf
        np.testing.assert_allclose(found[row], log_probs, atol=2e-5)
        np.testing.assert_allclose(attention[row, : len(source)], weights, atol=2e-5)
        assert not attention[row, len(source) :].any()


@of_readouts
def test_candidates_are_the_greatest(model):
    readout, _, _ = two_steps(model)
    table = everything(model, readout)
    for size in (1, 4, VOCABULARY - 1):
        found = model.candidates(readout, size)
        assert found.token_ids.shape[1] >= size
        for row, log_probs in enumerate(found.log_probs):
            np.testing.assert_allclose(np.sort(log_probs)[::-1][:size], np.sort(table[row])[::-1][:size], atol=1e-6)


@of_readouts
def test_banned_tokens_are_no_candidates_and_keep_their_probability(model):
    readout, _, _ = two_steps(model)
    banned = Banned(np.array([0, 0, 2, 5]), np.array([4, 9, 5, EOS_ID]))
    table = everything(model, readout)
    table[banned.rows, banned.token_ids] = -np.inf
    found = model.candidates(readout, VOCABULARY, banned)
    for row, (token_ids, log_probs) in enumerate(zip(found.token_ids, found.log_probs, strict=True)):
        real = log_probs > -np.inf
        assert set(token_ids[real]) == set(np.flatnonzero(table[row] > -np.inf))
        np.testing.assert_allclose(log_probs[real], table[row, token_ids[real]], atol=1e-6)


def test_forced_decoding_is_teacher_forcing(model, seq2seq):
    targets = [[4, 5, EOS_ID], [EOS_ID], [10, 9, 8, 7, EOS_ID], [6, EOS_ID]]
    found = force(model, SOURCES, targets, with_attention=True)
    for source, target, forced in zip(SOURCES, targets, found, strict=True):
        inputs = {"source_ids": np.array([source]), "target_ids": np.array([[BOS_ID, *target[:-1]]])}
        logits = as_array(seq2seq(inputs))[0]
        expected = [log_softmax(row)[token] for row, token in zip(logits, target, strict=True)]
        np.testing.assert_allclose(forced.log_probs, expected, atol=2e-5)
        weights = [attention for _, attention in stepped(seq2seq, source, [BOS_ID, *target[:-1]])]
        np.testing.assert_allclose(forced.attention, weights, atol=2e-5)
    assert all(forced.attention is None for forced in force(model, SOURCES, targets))


def test_both_find_the_same(seq2seq):
    assert_both_find_the_same(seq2seq, {})


@pytest.mark.parametrize("architecture", [*READOUTS, "conditional-before-transitions-norm"])
@pytest.mark.parametrize("options", [{"coverage_penalty": 0.3}, {"no_repeat_ngram_size": 1}, {"beam_size": 1}])
def test_both_find_the_same_with_options(options, seq2seq):
    assert_both_find_the_same(seq2seq, options)


def assert_both_find_the_same(seq2seq, options: dict[str, Any]) -> None:
    search_options = SearchOptions(**({"beam_size": 3} | options))
    limits = np.array([1, 2, 3, 1]), np.array([8, 5, 9, 4])
    in_numpy, in_keras = (
        BeamSearch(model, search_options)(SOURCES, *limits) for model in (numpy_model_of(seq2seq), KerasModel(seq2seq))
    )
    for pool, other in zip(in_numpy, in_keras, strict=True):
        assert [one.token_ids for one in pool] == [one.token_ids for one in other]
        assert [one.score for one in pool] == pytest.approx([one.score for one in other], abs=1e-4)


@pytest.mark.parametrize("vocabulary_size", [FOLDS - 1, FOLDS, 10 * FOLDS + 1, 500])
def test_a_vocabulary_of_any_size(vocabulary_size, rng):
    seq2seq = tiny_model(rng, source_vocabulary_size=vocabulary_size, target_vocabulary_size=vocabulary_size)
    model = numpy_model_of(seq2seq)
    readout = rng.normal(size=(130, 3)).astype("float32")  # more rows than a block
    logits = as_array(seq2seq.readout.logits(ops.convert_to_tensor(readout), seq2seq.target_embedding.embeddings))
    for size in (1, 4, 40):
        found = model.candidates(readout, size)
        for row in range(len(readout)):
            log_probs = log_softmax(logits[row])
            log_probs[[PAD_ID, UNK_ID, BOS_ID]] = -np.inf
            expected = np.sort(log_probs)[::-1][:size]
            np.testing.assert_allclose(np.sort(found.log_probs[row])[::-1][: len(expected)], expected, atol=1e-4)
            real = found.log_probs[row] > -np.inf
            np.testing.assert_allclose(found.log_probs[row][real], log_probs[found.token_ids[row][real]], atol=1e-4)
    labels = rng.integers(vocabulary_size, size=len(readout))
    expected = [log_softmax(row)[label] for row, label in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(model.label_log_probs(readout, labels), expected, atol=1e-4)


def test_more_rows_than_a_product_and_bans_in_all_of_them(rng):
    vocabulary_size = 501
    seq2seq = tiny_model(rng, source_vocabulary_size=vocabulary_size, target_vocabulary_size=vocabulary_size)
    model = numpy_model_of(seq2seq)
    readout = rng.normal(size=(2 * ROWS_PER_PRODUCT + 50, 3)).astype("float32")
    rows = np.repeat(np.arange(len(readout)), 30)
    token_ids = rng.integers(3, vocabulary_size, size=len(rows))
    logits = as_array(seq2seq.readout.logits(ops.convert_to_tensor(readout), seq2seq.target_embedding.embeddings))
    log_probs = np.stack([log_softmax(row) for row in logits])
    labels = rng.integers(vocabulary_size, size=len(readout))
    expected = log_probs[np.arange(len(readout)), labels]
    np.testing.assert_allclose(model.label_log_probs(readout, labels), expected, atol=1e-4)
    log_probs[:, [PAD_ID, UNK_ID, BOS_ID]] = -np.inf
    log_probs[rows, token_ids] = -np.inf
    for size in (1, 6, 31, 32):
        found = model.candidates(readout, size, Banned(rows, token_ids))
        greatest = np.sort(log_probs, axis=1)[:, ::-1][:, :size]
        np.testing.assert_allclose(np.sort(found.log_probs, axis=1)[:, ::-1], greatest, atol=1e-4)
        at_ids = np.take_along_axis(log_probs, found.token_ids, axis=1)
        np.testing.assert_allclose(found.log_probs, at_ids, atol=1e-4)


@of_readouts
def test_a_banned_end_keeps_its_probability(model):
    readout, _, _ = two_steps(model)
    banned = Banned(np.arange(6), np.full(6, EOS_ID))
    free, forbidden = model.candidates(readout, VOCABULARY), model.candidates(readout, VOCABULARY, banned)
    np.testing.assert_allclose(forbidden.eos_log_probs, free.eos_log_probs, atol=1e-6)
    assert not ((forbidden.token_ids == EOS_ID) & (forbidden.log_probs > -np.inf)).any()


def test_a_wide_beam_attends_in_blocks(rng):
    seq2seq = tiny_model(rng)
    model = numpy_model_of(seq2seq)
    encoded, state = model.encode(SOURCES[:1])
    count = 2 * QUERIES_PER_BLOCK + 1
    tokens = rng.integers(4, VOCABULARY, size=count)
    readout, _, attention = model.advance(encoded, state, np.zeros(count, int), tokens, [count])
    for row, token in enumerate(tokens):
        alone, _, weights = model.advance(encoded, state, np.zeros(1, int), np.array([token]), [1])
        np.testing.assert_allclose(readout[row], alone[0], atol=1e-5)
        np.testing.assert_allclose(attention[row], weights[0], atol=1e-5)


def test_extreme_logits_give_no_nan(rng):
    model = numpy_model_of(tiny_model(rng))
    found = model.candidates(rng.normal(scale=1e4, size=(5, 3)).astype("float32"), 4)
    assert not np.isnan(found.log_probs).any()
    assert (found.log_probs.max(axis=1) > -np.inf).all()


@pytest.mark.parametrize("others", [SOURCES, []])
def test_a_sentence_without_a_token_attends_to_nothing(others, seq2seq):
    # It gave NaN, which spread to its scores, and a warning; with no other sentence an IndexError.
    model = numpy_model_of(seq2seq)
    sources = [*others[:2], [], *others[2:]]
    here = len(others[:2])
    encoded, state = model.encode(sources)
    bos, ones = np.full(len(sources), BOS_ID), [1] * len(sources)
    readout, _, attention = model.advance(encoded, state, np.arange(len(sources)), bos, ones)
    np.testing.assert_array_equal(attention[here], 0)
    log_probs = everything(model, readout)
    assert not np.isnan(log_probs).any()
    assert (log_probs[here] > -np.inf).sum() == VOCABULARY - 3
    if others:
        encoded, state = model.encode(others)
        alone, _, weights = model.advance(encoded, state, np.arange(len(others)), bos[1:], ones[1:])
        np.testing.assert_allclose(np.delete(log_probs, here, axis=0), everything(model, alone), atol=1e-5)
        np.testing.assert_allclose(np.delete(attention, here, axis=0), weights, atol=1e-5)


def test_a_sentence_without_a_token_is_the_same_to_both(rng):
    seq2seq = tiny_model(rng)
    targets = [[4, 5, EOS_ID], [6, EOS_ID]]
    in_numpy, in_keras = (
        force(model, [[], SOURCES[0]], targets, with_attention=True)
        for model in (numpy_model_of(seq2seq), KerasModel(seq2seq))
    )
    for one, other in zip(in_numpy, in_keras, strict=True):
        np.testing.assert_allclose(one.log_probs, other.log_probs, atol=2e-5)
        np.testing.assert_allclose(one.attention, other.attention, atol=2e-5)


@of_readouts
@pytest.mark.parametrize("token_id", [-1, -VOCABULARY, 10**6, 2**40])
def test_ids_outside_the_vocabulary_are_refused(token_id, model, seq2seq):
    # NumPy took -1 for the last row; JAX takes whatever lies beyond for the last one, TensorFlow on a GPU for zeros.
    size = seq2seq.get_config()["source_vocabulary_size"]
    with pytest.raises(InputError, match=rf"a source token id must be >= 0 and < {size}.*{token_id} at position 2 of "):
        model.encode([[4, EOS_ID], [4, 5, token_id, EOS_ID]])
    with pytest.raises(
        InputError, match=rf"a target token id must be >= 0 and < {VOCABULARY}.*{token_id} at position 0"
    ):
        force(model, [[4, EOS_ID]], [[token_id, EOS_ID]])


@of_readouts
def test_the_first_id_outside_is_refused_and_the_last_inside_is_not(seq2seq):
    model = numpy_model_of(seq2seq)
    size = seq2seq.get_config()["source_vocabulary_size"]
    assert np.isfinite(force(model, [[size - 1, EOS_ID]], [[VOCABULARY - 1, EOS_ID]])[0].log_probs).all()
    for source, target in (([size], [4]), ([4], [VOCABULARY])):
        with pytest.raises(InputError):
            force(model, [source], [target])
    with pytest.raises(InputError, match=r"must be whole numbers\. Received: float64"):
        model.encode([[4, 5.5]])
