"""The objective in `fit`: it learns, and what it reports is the mean over tokens that NumPy finds."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from nmt.training.objective import Objective
from tests.gradients import as_array
from tests.numerics import reference
from tests.numerics.tiny import padded, reference_weights, rows, tiny_model

LABEL_SMOOTHING = 0.1


def compiled(model, **arguments) -> Objective:
    """Returns the objective ready for `fit`; XLA, which TensorFlow's `fit` would choose too, compiles for long."""
    objective = Objective(model, LABEL_SMOOTHING)
    objective.compile(jit_compile=keras.backend.backend() == "jax", **arguments)
    return objective


def numpy_batch():
    inputs, labels = padded()
    return {name: as_array(ids) for name, ids in inputs.items()}, as_array(labels)


def test_fit_reports_the_token_mean_and_lowers_it(rng):
    model = tiny_model(rng)
    expected = reference.mean_loss(rows(), reference_weights(model), True, LABEL_SMOOTHING)
    objective = compiled(model, optimizer=keras.optimizers.Adam(0.02))
    inputs, labels = numpy_batch()
    history = objective.fit(inputs, labels, batch_size=3, epochs=8, verbose=0).history
    np.testing.assert_allclose([history["loss"][0], history["nll"][0]], expected, rtol=1e-5)  # before the first update
    assert history["loss"][-1] < history["loss"][0]
    assert history["nll"][-1] < history["nll"][0]


def test_evaluation_is_unsmoothed_and_weighs_tokens_not_batches(rng):
    model = tiny_model(rng)
    objective = compiled(model)
    inputs, labels = numpy_batch()
    weights = reference_weights(model)
    logs = objective.evaluate(inputs, labels, batch_size=2, verbose=0, return_dict=True)  # 9 tokens, then 2
    np.testing.assert_allclose(logs["nll"], reference.mean_loss(rows(), weights, conditional=True)[1], rtol=1e-5)
    logs = objective.evaluate(inputs, labels, batch_size=3, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["nll"])


def test_mixed_precision(rng):
    model = tiny_model(rng, dtype="mixed_bfloat16", decoder="input_feeding", reset_after=False)
    expected, _ = reference.mean_loss(rows(), reference_weights(model), False, LABEL_SMOOTHING)
    objective = compiled(model, optimizer=keras.optimizers.Adam(0.02))
    inputs, labels = numpy_batch()
    history = objective.fit(inputs, labels, batch_size=3, epochs=8, verbose=0).history
    np.testing.assert_allclose(history["loss"][0], expected, rtol=0.03)
    assert history["loss"][-1] < history["loss"][0]
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_shares_the_weights_of_its_model(rng):
    model = tiny_model(rng)
    objective = Objective(model)
    assert {id(weight) for weight in objective.trainable_weights} == {id(weight) for weight in model.weights}
