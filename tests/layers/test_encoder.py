"""The encoder: contract, stacking and residuals, and the mean that the bridge starts from.

The dropout that it hands to the model is checked in `tests/numerics/test_dropout.py`.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from nmt.layers.encoder import Encoder, mean_over_tokens
from tests.gradients import as_array
from tests.layer_contract import check_layer

BATCH, SOURCE, INPUTS, UNITS = 2, 7, 3, 16  # of few numbers normalisation makes much of bfloat16's rounding
MASK = np.arange(SOURCE) < np.array([[7], [4]])


@pytest.fixture
def embedded(rng):
    return rng.normal(size=(BATCH, SOURCE, INPUTS)).astype("float32")


@pytest.mark.parametrize(("num_layers", "layer_norm"), [(1, False), (2, False), (2, True)])
def test_contract(num_layers, layer_norm, embedded, tmp_path):
    weights = {}
    for depth in range(num_layers):
        for direction in ("forward", "backward"):
            cell = f"layer_{depth}_{direction}/cell"
            weights[f"{cell}/kernel"] = (INPUTS if depth == 0 else 2 * UNITS, 3 * UNITS)
            weights[f"{cell}/recurrent_kernel"] = (UNITS, 3 * UNITS)
            weights[f"{cell}/bias"] = (3 * UNITS,)
            weights[f"{cell}/candidate_bias"] = (UNITS,)
            if layer_norm:
                weights |= {f"{cell}/gain": (3 * UNITS,), f"{cell}/recurrent_gain": (3 * UNITS,)}
    check_layer(
        Encoder,
        {
            "units": UNITS,
            "num_layers": num_layers,
            "dropout_rate": 0.1,
            "variational_dropout": True,
            "layer_norm": layer_norm,
        },
        {"inputs": embedded, "mask": MASK},
        output_shapes=(BATCH, SOURCE, 2 * UNITS),
        weight_shapes=weights,
        unknown_sizes={BATCH, SOURCE},
        folder=tmp_path,
    )


def test_memory_is_zero_on_padding(embedded):
    memory = as_array(Encoder(UNITS, num_layers=2)(embedded, mask=MASK))
    assert not memory[~MASK].any()
    assert (memory[MASK] != 0).all()


def test_both_directions_read_the_whole_sentence(embedded):
    encoder = Encoder(UNITS)
    memory = as_array(encoder(embedded, mask=MASK))
    last_changed, first_changed = embedded.copy(), embedded.copy()
    last_changed[1, 3] += 1
    first_changed[1, 0] += 1
    differs = as_array(encoder(last_changed, mask=MASK))[1, 0] != memory[1, 0]
    np.testing.assert_array_equal(differs, [False] * UNITS + [True] * UNITS)  # forward units, then backward ones
    differs = as_array(encoder(first_changed, mask=MASK))[1, 3] != memory[1, 3]
    np.testing.assert_array_equal(differs, [True] * UNITS + [False] * UNITS)


def without_upper_layer(one: Encoder, dropout_rate: float = 0.0) -> Encoder:
    """Returns an encoder whose second layer has weights, and so states, of zero; the first has those of `one`."""
    two = Encoder(UNITS, num_layers=2, dropout_rate=dropout_rate)
    two.build((BATCH, SOURCE, one.forward_layers[0].cell.kernel.shape[0]))
    for weight in two.weights:
        weight.assign(np.zeros(weight.shape))
    two.forward_layers[0].set_weights(one.forward_layers[0].get_weights())
    two.backward_layers[0].set_weights(one.backward_layers[0].get_weights())
    return two


def test_upper_layers_add_to_what_they_are_given(embedded):
    one = Encoder(UNITS)
    memory = as_array(one(embedded, mask=MASK))
    np.testing.assert_allclose(as_array(without_upper_layer(one)(embedded, mask=MASK)), memory, atol=1e-6)


def test_no_dropout_on_the_residual_path(rng):
    """Dropout zeroes inputs of the layers, and no state of the first layer that is handed on past the second."""
    embedded = rng.normal(size=(BATCH, SOURCE, 50)).astype("float32")  # so many are never all dropped
    one = Encoder(UNITS)
    one.build(embedded.shape)
    two = without_upper_layer(one, dropout_rate=0.5)
    memory = as_array(two(embedded, mask=MASK, training=True))
    assert (memory != as_array(two(embedded, mask=MASK)))[MASK].any()
    assert (memory[MASK] != 0).all()


def test_hands_the_mask_on(embedded):
    memory = Encoder(UNITS)(embedded, mask=MASK)
    np.testing.assert_array_equal(as_array(memory._keras_mask), MASK)


def test_mean_over_tokens(rng):
    memory = rng.normal(size=(3, 5, 2)).astype("float32")
    mask = np.arange(5) < np.array([[5], [2], [0]])
    mean = as_array(mean_over_tokens(ops.convert_to_tensor(memory), ops.convert_to_tensor(mask)))
    np.testing.assert_allclose(mean[0], memory[0].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(mean[1], memory[1, :2].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(mean[2], [0, 0])


def test_mean_over_tokens_of_a_long_sentence_in_half_precision():
    """bfloat16 can't count beyond 256: the mean of 1,000 ones is 1, not 1,000 / 256."""
    ones = ops.ones((1, 1000, 1), dtype="bfloat16")
    mean = mean_over_tokens(ones, ops.ones((1, 1000), dtype="bool"))
    assert keras.backend.standardize_dtype(mean.dtype) == "bfloat16"
    np.testing.assert_allclose(as_array(mean), 1.0, atol=0.01)
