"""The objective: what it sums over the tokens of a padded batch is what NumPy finds, sentence by sentence."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

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


def test_mixed_precision(rng):
    model = tiny_model(rng, dtype="mixed_bfloat16", decoder="input_feeding", reset_after=False)
    expected, _ = reference.mean_loss(rows(), reference_weights(model), False, LABEL_SMOOTHING)
    inputs, labels = padded()
    sums = Objective(model, LABEL_SMOOTHING)(**inputs, labels=labels, training=True)
    np.testing.assert_allclose(float(as_array(sums.loss)), expected * NUM_TOKENS, rtol=0.03)
    assert {str(ops.dtype(value)) for value in sums} == {"float32"}  # a sum of many tokens needs its bits
