"""Ensembles in NumPy and in `keras.ops`, against the mean of the probabilities that the plain reference gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nmt.decoding.ensemble import Ensemble, numpy_candidates
from nmt.decoding.forced import force
from nmt.decoding.keras_model import KerasModel, keras_candidates
from nmt.decoding.numpy_model import FOLDS, ROWS_PER_PRODUCT
from nmt.decoding.search import NEVER_EMITTED, Banned, BeamSearch, SearchOptions
from nmt.text.special import BOS_ID, EOS_ID
from tests.numerics import reference
from tests.numerics.test_decoding_models import SOURCES, log_softmax, numpy_model_of, two_steps
from tests.numerics.tiny import ARCHITECTURES, VOCABULARY, reference_weights, tiny_model

MEMBERS = ("conditional-after-all", "input_feeding-after-all", "conditional-before-target")
"""Not one of them is like another."""

READ = [(SOURCES[row], [BOS_ID, token]) for row, token in zip([0, 0, 2, 2, 2, 3], [4, 9, 10, 4, 5, 7], strict=True)]
"""What the hypotheses of `two_steps` have read."""


@pytest.fixture
def members(rng):
    return [tiny_model(rng, **ARCHITECTURES[name]) for name in MEMBERS]


def ensemble_of(members, kind="numpy"):
    if kind == "keras":
        models = [KerasModel(member) for member in members]
        return Ensemble(models, keras_candidates(models), workers=1)
    models = [numpy_model_of(member) for member in members]
    return Ensemble(models, numpy_candidates(models), workers=2)


@pytest.fixture(params=["numpy", "keras"])
def ensemble(request, members):
    return ensemble_of(members, request.param)


def means(members, source, tokens):
    """The logarithm of the mean of the members' softmaxes (T, V) and the mean of their attention (T, S), in float64."""
    probabilities, attention = [], []
    for member in members:
        is_conditional = member.get_config()["decoder"] == "conditional"
        logits, weights = reference.translate_forced(source, tokens, reference_weights(member), is_conditional)
        probabilities.append(np.array([reference.softmax(row) for row in logits]))
        attention.append(weights)
    return np.log(sum(probabilities) / len(members)), sum(attention) / len(members)


def test_candidates_are_those_of_the_mean(ensemble, members):
    readout, attention, _ = two_steps(ensemble)
    for size in (1, 3, VOCABULARY):
        found = ensemble.candidates(readout, size)
        for row, (source, tokens) in enumerate(READ):
            log_probs, weights = (one[-1] for one in means(members, source, tokens))
            np.testing.assert_allclose(found.eos_log_probs[row], log_probs[EOS_ID], atol=2e-5)
            np.testing.assert_allclose(attention[row, : len(source)], weights, atol=2e-5)
            assert not attention[row, len(source) :].any()
            log_probs[NEVER_EMITTED] = -np.inf
            order = np.argsort(-found.log_probs[row])[:size]
            expected = np.sort(log_probs)[::-1][:size]
            np.testing.assert_allclose(found.log_probs[row, order], expected, atol=2e-5)
            real = order[expected > -np.inf]
            np.testing.assert_allclose(log_probs[found.token_ids[row, real]], found.log_probs[row, real], atol=2e-5)


def test_banned_tokens_are_no_candidates_and_keep_their_probability(ensemble, members):
    readout, _, _ = two_steps(ensemble)
    banned = Banned(np.array([0, 0, 2, 5]), np.array([4, 9, 5, EOS_ID]))
    found = ensemble.candidates(readout, VOCABULARY, banned)
    for row, (source, tokens) in enumerate(READ):
        log_probs = means(members, source, tokens)[0][-1]
        np.testing.assert_allclose(found.eos_log_probs[row], log_probs[EOS_ID], atol=2e-5)
        log_probs[[*NEVER_EMITTED, *banned.token_ids[banned.rows == row]]] = -np.inf
        real = found.log_probs[row] > -np.inf
        assert set(found.token_ids[row][real]) == set(np.flatnonzero(log_probs > -np.inf))
        np.testing.assert_allclose(found.log_probs[row][real], log_probs[found.token_ids[row][real]], atol=2e-5)


def test_forced_scores_and_attention_are_those_of_the_mean(ensemble, members):
    targets = [[4, 5, EOS_ID], [EOS_ID], [10, 9, 8, 7, EOS_ID], [6, EOS_ID]]
    for source, target, forced in zip(
        SOURCES, targets, force(ensemble, SOURCES, targets, with_attention=True), strict=True
    ):
        log_probs, attention = means(members, source, [BOS_ID, *target[:-1]])
        np.testing.assert_allclose(forced.log_probs, log_probs[np.arange(len(target)), target], atol=2e-5)
        np.testing.assert_allclose(forced.attention, attention, atol=2e-5)


@pytest.mark.parametrize(
    "options", [{}, {"length_penalty": 0.0}, {"coverage_penalty": 0.3}, {"no_repeat_ngram_size": 2}]
)
def test_a_wide_beam_finds_what_all_hypotheses_hold(options, rng):
    """Three tokens beside the end, four positions at most: 40 outputs, all scored by the reference."""
    sizes = {"source_vocabulary_size": 7, "target_vocabulary_size": 7}
    members = [tiny_model(rng, **ARCHITECTURES[name], **sizes) for name in MEMBERS]
    ensemble, source = ensemble_of(members), [5, 4, 6, EOS_ID]
    settings = SearchOptions(**({"beam_size": 90, "n_best": 8} | options))
    [found] = BeamSearch(ensemble, settings)([source], np.array([1]), np.array([4]))
    expected = []
    for length in range(4):
        for tokens in itertools.product((4, 5, 6), repeat=length):
            pairs = list(itertools.pairwise(tokens))
            if settings.no_repeat_ngram_size and len(pairs) > len(set(pairs)):
                continue
            log_probs, attention = means(members, source, [BOS_ID, *tokens])
            log_prob = log_probs[np.arange(length + 1), [*tokens, EOS_ID]].sum()
            coverage = np.log(np.clip(attention.sum(axis=0), 1e-10, 1)).sum()  # Wu et al. 2016, eq. 14
            divisor = ((5 + length + 1) / 6) ** settings.length_penalty
            expected.append((log_prob / divisor + settings.coverage_penalty * coverage, tokens, log_prob))
    expected.sort(reverse=True)
    assert len(found) == 8
    assert [one.score for one in found] == pytest.approx([score for score, *_ in expected[:8]], abs=1e-4)
    forced = force(ensemble, [source] * 8, [[*one.token_ids, EOS_ID] for one in found])
    assert [one.log_prob for one in found] == pytest.approx([each.log_probs.sum() for each in forced], abs=1e-4)
    known = {tokens: log_prob for _, tokens, log_prob in expected}
    assert [one.log_prob for one in found] == pytest.approx([known[one.token_ids] for one in found], abs=1e-4)


def test_both_find_the_same(members):
    limits = np.array([1, 2, 3, 1]), np.array([8, 5, 9, 4])
    options = SearchOptions(beam_size=3, n_best=2, coverage_penalty=0.3)
    in_numpy, in_keras = (
        BeamSearch(ensemble_of(members, kind), options)(SOURCES, *limits) for kind in ("numpy", "keras")
    )
    for pool, other in zip(in_numpy, in_keras, strict=True):
        assert [one.token_ids for one in pool] == [one.token_ids for one in other]
        assert [one.score for one in pool] == pytest.approx([one.score for one in other], abs=1e-4)


@pytest.mark.parametrize("kind", ["numpy", "keras"])
def test_a_model_beside_itself_is_that_model(kind, members):
    limits = np.ones(4, int), np.full(4, 9)
    options = SearchOptions(beam_size=3, n_best=3)
    alone = KerasModel(members[0]) if kind == "keras" else numpy_model_of(members[0])
    expected = BeamSearch(alone, options)(SOURCES, *limits)
    for pool, other in zip(
        BeamSearch(ensemble_of(members[:1] * 2, kind), options)(SOURCES, *limits), expected, strict=True
    ):
        assert [one.token_ids for one in pool] == [one.token_ids for one in other]
        assert [one.score for one in pool] == pytest.approx([one.score for one in other], abs=1e-5)


def test_large_vocabularies_many_rows_and_bans(rng):
    size, num_rows = 10 * FOLDS + 3, ROWS_PER_PRODUCT + 50
    members = [tiny_model(rng, source_vocabulary_size=size, target_vocabulary_size=size) for _ in range(2)]
    ensemble = ensemble_of(members)
    readouts = [rng.normal(size=(num_rows, 3)).astype("float32") for _ in members]
    table = np.log(
        np.mean(
            [
                np.exp([log_softmax(row) for row in one @ model.output_matrix[:, :size] + model.output_bias[:size]])
                for one, model in zip(readouts, ensemble.models, strict=True)
            ],
            axis=0,
        )
    )
    rows, token_ids = np.repeat(np.arange(num_rows), 5), rng.integers(3, size, size=5 * num_rows)
    labels = rng.integers(size, size=num_rows)
    expected = table[np.arange(num_rows), labels]
    np.testing.assert_allclose(ensemble.label_log_probs(readouts, labels), expected, atol=1e-4)
    table[:, NEVER_EMITTED] = -np.inf
    table[rows, token_ids] = -np.inf
    found = ensemble.candidates(readouts, 6, Banned(rows, token_ids))
    np.testing.assert_allclose(np.sort(found.log_probs)[:, ::-1], np.sort(table)[:, ::-1][:, :6], atol=1e-4)
    np.testing.assert_allclose(found.log_probs, np.take_along_axis(table, found.token_ids, axis=1), atol=1e-4)


def test_what_is_all_but_impossible_keeps_a_finite_score(rng):
    """Probabilities this small are zero in float32; their logarithms are not -inf."""
    ensemble = ensemble_of([tiny_model(rng), tiny_model(rng)])
    for model in ensemble.models:
        model.output_bias[4] = -500.0
    readouts = [rng.normal(size=(2, 3)).astype("float32") for _ in range(2)]
    labels = np.array([4, 4])
    log_probs = ensemble.label_log_probs(readouts, labels)
    assert np.isfinite(log_probs).all()
    assert (log_probs < -400).all()
    found = ensemble.candidates(readouts, VOCABULARY)
    assert not np.isnan(found.log_probs).any()
    assert found.log_probs[found.token_ids == 4] == pytest.approx(log_probs)
