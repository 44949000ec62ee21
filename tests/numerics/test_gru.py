"""The GRU against a plain NumPy reference and against Keras's own layer, both variants."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from nmt.layers.cells import GRUCell, TransitionCell
from nmt.layers.recurrence import GRU
from tests.gradients import as_array
from tests.numerics import reference

BATCH, LENGTH, INPUTS, UNITS = 3, 6, 3, 4
LENGTHS = [6, 4, 1]
MASK = np.arange(LENGTH) < np.array(LENGTHS)[:, None]

RESET_AFTER = pytest.mark.parametrize("reset_after", [True, False])
LAYER_NORM = pytest.mark.parametrize("layer_norm", [False, True])

TOLERANCE = {False: 1e-5, True: 1e-4}
"""By `layer_norm`: normalised, four numbers that are nearly alike make much of a rounding, see `assert_near`."""


def with_random_weights(layer: keras.layers.Layer, rng: np.random.Generator) -> dict[str, np.ndarray]:
    layer.build((None, None, INPUTS))
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    return {weight.name: as_array(weight) for weight in layer.weights}


@pytest.fixture
def sequences(rng):
    return rng.normal(size=(BATCH, LENGTH, INPUTS)).astype("float32")


@RESET_AFTER
@LAYER_NORM
def test_cell_is_the_formula(reset_after, layer_norm, rng):
    cell = GRUCell(UNITS, reset_after, layer_norm)
    w = with_random_weights(cell, rng)
    x, h = rng.normal(size=(BATCH, INPUTS)).astype("float32"), rng.uniform(-1, 1, (BATCH, UNITS)).astype("float32")
    expected = [reference.gru_step(x[b], h[b], w) for b in range(BATCH)]
    np.testing.assert_allclose(as_array(cell(x, h)), expected, atol=TOLERANCE[layer_norm])


@RESET_AFTER
@LAYER_NORM
def test_transition_is_the_formula_without_an_input(reset_after, layer_norm, rng):
    cell = TransitionCell(UNITS, reset_after, layer_norm)
    w = with_random_weights(cell, rng)
    h = rng.uniform(-1, 1, (BATCH, UNITS)).astype("float32")
    expected = [reference.transition_step(h[b], w) for b in range(BATCH)]
    np.testing.assert_allclose(as_array(cell(h)), expected, atol=TOLERANCE[layer_norm])


@RESET_AFTER
@LAYER_NORM
def test_recurrent_mask_drops_the_state_in_the_products_alone(reset_after, layer_norm, rng):
    cell = GRUCell(UNITS, reset_after, layer_norm)
    w = with_random_weights(cell, rng)
    x, h = rng.normal(size=(BATCH, INPUTS)).astype("float32"), rng.uniform(-1, 1, (BATCH, UNITS)).astype("float32")
    mask = np.array([[0, 2, 0, 2], [2, 2, 0, 0], [0, 0, 0, 0]], "float32")
    x, h, mask = (ops.convert_to_tensor(array) for array in (x, h, mask))
    actual = as_array(cell.step(cell.project(x), h, mask))
    x, h, mask = (as_array(tensor) for tensor in (x, h, mask))
    expected = [reference.gru_step(x[b], h[b], w, dropped_h=h[b] * mask[b]) for b in range(BATCH)]
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE[layer_norm])


@RESET_AFTER
@LAYER_NORM
@pytest.mark.parametrize("reverse", [False, True])
def test_layer_is_the_formula_on_each_sentence(reset_after, layer_norm, reverse, sequences, rng):
    layer = GRU(UNITS, reset_after, reverse, layer_norm=layer_norm)
    w = with_random_weights(layer, rng)
    states = as_array(layer(sequences, mask=MASK))
    for b, length in enumerate(LENGTHS):
        expected = reference.gru(sequences[b, :length], w, reverse)
        np.testing.assert_allclose(states[b, :length], expected, atol=TOLERANCE[layer_norm])


@RESET_AFTER
@pytest.mark.parametrize("reverse", [False, True])
def test_layer_is_keras_gru(reset_after, reverse, sequences, rng):
    """Keras has the same gate order, and a second bias whose shares for z and r only add to the first."""
    layer = GRU(UNITS, reset_after, reverse)
    w = with_random_weights(layer, rng)
    keras_gru = keras.layers.GRU(UNITS, return_sequences=True, go_backwards=reverse, reset_after=reset_after)
    keras_gru.build(sequences.shape)
    bias = w["bias"]
    if reset_after:
        bias = np.stack([bias, np.concatenate([np.zeros(2 * UNITS), w["candidate_bias"]])])
    keras_gru.set_weights([w["kernel"], w["recurrent_kernel"], bias])

    expected = as_array(keras_gru(sequences, mask=MASK))
    if reverse:
        expected = expected[:, ::-1]  # Keras returns the positions in the order of reading
    np.testing.assert_allclose(as_array(layer(sequences, mask=MASK))[MASK], expected[MASK], atol=1e-5)
