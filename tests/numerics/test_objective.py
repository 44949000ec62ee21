"""The objective: what it sums over the tokens of a padded batch is what NumPy finds, sentence by sentence."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from nmt.model import Seq2Seq
from nmt.training.objective import Objective
from tests.gradients import as_array
from tests.numerics import reference
from tests.numerics.tiny import padded, reference_weights, rows, tiny_model

LABEL_SMOOTHING = 0.1
NUM_TOKENS = 11


def sums_of(objective, *, training):
    inputs, labels = padded()
    return [float(as_array(value)) for value in objective(**inputs, labels=labels, training=training)]


def test_sums_over_the_tokens(rng):
    model = tiny_model(rng)
    expected = reference.mean_loss(rows(), reference_weights(model), True, LABEL_SMOOTHING)
    found = sums_of(Objective(model, LABEL_SMOOTHING), training=True)
    np.testing.assert_allclose(found, np.multiply(expected, NUM_TOKENS), rtol=1e-5)


def test_labels_are_smoothed_in_training_alone(rng):
    model = tiny_model(rng)
    loss, nll = sums_of(Objective(model, LABEL_SMOOTHING), training=False)
    expected = reference.mean_loss(rows(), reference_weights(model), conditional=True)[1] * NUM_TOKENS
    assert loss == pytest.approx(nll)
    assert nll == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def rows_read(monkeypatch):
    """The rows of each batch that a model went through."""
    counts = []
    teacher_force = Seq2Seq.teacher_force

    def counted(model, source_ids, *args):
        counts.append(source_ids.shape[0])
        return teacher_force(model, source_ids, *args)

    monkeypatch.setattr(Seq2Seq, "teacher_force", counted)
    return counts


def test_r_drop_goes_twice_through_a_batch_and_counts_it_once(rng, rows_read):
    model = tiny_model(rng)
    # Without dropout both passes agree: the divergence is 0.
    once, twice = (sums_of(Objective(model, LABEL_SMOOTHING, r_drop), training=True) for r_drop in (0.0, 5.0))
    np.testing.assert_allclose(twice, once, rtol=1e-5)
    assert rows_read == [len(rows()), 2 * len(rows())]


def test_r_drop_compares_the_passes_of_each_position(rng, monkeypatch):
    model = tiny_model(rng)
    inputs, labels = padded()
    labels = as_array(labels).astype("int32")
    num_pairs, length = labels.shape
    hidden = rng.normal(size=(2 * num_pairs, length, model.readout.units)).astype("float32")
    monkeypatch.setattr(model, "teacher_force", lambda *args: (ops.convert_to_tensor(hidden), None))
    loss, nll = (float(as_array(x)) for x in Objective(model, 0.0, 2.0)(**inputs, labels=labels, training=True))

    logits = as_array(model.readout.logits(ops.convert_to_tensor(hidden), model.target_embedding.embeddings))
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    first, second = log_p[:num_pairs], log_p[num_pairs:]
    real = labels != 0
    at_labels = [np.take_along_axis(x, labels[..., None], axis=-1)[..., 0][real].sum() for x in (first, second)]
    divergence = ((np.exp(first) - np.exp(second)) * (first - second)).sum(axis=-1)[real].sum()
    assert nll == pytest.approx(-sum(at_labels) / 2, rel=1e-5)
    assert loss == pytest.approx(-sum(at_labels) / 2 + 2.0 / 4 * divergence, rel=1e-5)


def test_r_drop_is_of_training_alone(rng, rows_read):
    model = tiny_model(rng, dropout_rate=0.5)
    losses = [sums_of(Objective(model, 0.0, r_drop), training=False) for r_drop in (0.0, 5.0)]
    assert losses[0] == losses[1]
    assert rows_read == 2 * [len(rows())]


def test_mixed_precision(rng):
    model = tiny_model(rng, dtype="mixed_bfloat16", decoder="input_feeding", reset_after=False)
    expected, _ = reference.mean_loss(rows(), reference_weights(model), False, LABEL_SMOOTHING)
    inputs, labels = padded()
    sums = Objective(model, LABEL_SMOOTHING)(**inputs, labels=labels, training=True)
    np.testing.assert_allclose(float(as_array(sums.loss)), expected * NUM_TOKENS, rtol=0.03)
    assert {str(ops.dtype(value)) for value in sums} == {"float32"}  # a sum of many tokens needs its bits
