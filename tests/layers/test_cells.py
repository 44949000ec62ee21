"""The GRU cell and its initializer keep the Keras contract; `tests/numerics/test_gru.py` checks the arithmetic."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from nmt.layers.cells import GRUCell, PerGate, TransitionCell
from tests.gradients import as_array
from tests.layer_contract import check_layer

BATCH, INPUTS, UNITS = 2, 3, 16  # of few numbers normalisation makes much of bfloat16's rounding


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("layer_norm", [True, False])
def test_contract(reset_after, layer_norm, rng, tmp_path):
    weights = {"kernel": (INPUTS, 3 * UNITS), "recurrent_kernel": (UNITS, 3 * UNITS), "bias": (3 * UNITS,)}
    if layer_norm:
        weights |= {"gain": (3 * UNITS,), "recurrent_gain": (3 * UNITS,)}
    check_layer(
        GRUCell,
        {"units": UNITS, "reset_after": reset_after, "layer_norm": layer_norm},
        {
            "inputs": rng.normal(size=(BATCH, INPUTS)).astype("float32"),
            "state": rng.uniform(-1, 1, size=(BATCH, UNITS)).astype("float32"),
        },
        output_shapes=(BATCH, UNITS),
        weight_shapes=weights | ({"candidate_bias": (UNITS,)} if reset_after else {}),
        unknown_sizes={BATCH},
        folder=tmp_path,
    )


@pytest.mark.parametrize(("reset_after", "layer_norm"), [(True, False), (False, True)])
def test_contract_of_a_transition(reset_after, layer_norm, rng, tmp_path):
    weights = {"recurrent_kernel": (UNITS, 3 * UNITS), "bias": (3 * UNITS,)}
    weights |= {"candidate_bias": (UNITS,)} if reset_after else {}
    weights |= {"recurrent_gain": (3 * UNITS,)} if layer_norm else {}
    check_layer(
        TransitionCell,
        {"units": UNITS, "reset_after": reset_after, "layer_norm": layer_norm},
        {"state": rng.uniform(-1, 1, size=(BATCH, UNITS)).astype("float32")},
        output_shapes=(BATCH, UNITS),
        weight_shapes=weights,
        unknown_sizes={BATCH},
        folder=tmp_path,
    )


def test_units_must_be_positive():
    with pytest.raises(ValueError, match="Received: units=0"):
        GRUCell(0)


def test_biases_start_at_zero_and_recurrent_blocks_orthogonal():
    cell = GRUCell(UNITS)
    cell.build((None, INPUTS))
    assert not as_array(cell.bias).any()
    assert not as_array(cell.candidate_bias).any()
    blocks = np.split(as_array(cell.recurrent_kernel), 3, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(UNITS), atol=1e-5)
    assert not np.allclose(blocks[0], blocks[1])
    assert not np.allclose(blocks[1], blocks[2])


def test_gains_start_at_one():
    cell = GRUCell(UNITS, layer_norm=True)
    cell.build((None, INPUTS))
    np.testing.assert_array_equal(as_array(cell.gain), 1)
    np.testing.assert_array_equal(as_array(cell.recurrent_gain), 1)


@pytest.mark.parametrize("reset_after", [True, False])
def test_normalised_the_scale_of_the_kernels_means_nothing(reset_after, rng):
    cell = GRUCell(UNITS, reset_after, layer_norm=True)
    x, h = rng.normal(size=(BATCH, INPUTS)).astype("float32"), rng.normal(size=(BATCH, UNITS)).astype("float32")
    cell(x, h)  # makes the weights
    outputs = []
    for _ in range(2):  # large, as for rows that hardly vary epsilon is not small beside the variance
        for kernel in (cell.kernel, cell.recurrent_kernel):
            kernel.assign(100 * as_array(kernel))
        outputs.append(as_array(cell(x, h)))
    np.testing.assert_allclose(*outputs, atol=1e-5)


def test_glorot_limit_is_that_of_one_gate():
    inputs, units = 30, 50
    cell = GRUCell(units)
    cell.build((None, inputs))
    limit = np.sqrt(6 / (inputs + units))  # over the whole kernel it would be sqrt(6 / (30 + 150))
    for block in np.split(as_array(cell.kernel), 3, axis=1):
        assert 0.97 * limit < np.abs(block).max() <= limit


def test_per_gate_survives_serialization():
    initializer = PerGate(keras.initializers.RandomUniform(-2.0, 2.0))
    revived = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(initializer))
    assert type(revived) is PerGate
    assert revived.get_config() == initializer.get_config()
