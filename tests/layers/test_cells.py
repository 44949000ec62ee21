"""The GRU cell and its initializer keep the Keras contract; `tests/numerics/test_gru.py` checks the arithmetic."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from nmt.layers.cells import GRUCell, PerGate
from tests.gradients import as_array
from tests.layer_contract import check_layer

BATCH, INPUTS, UNITS = 2, 3, 4


@pytest.mark.parametrize("reset_after", [True, False])
def test_contract(reset_after, rng, tmp_path):
    weights = {"kernel": (INPUTS, 3 * UNITS), "recurrent_kernel": (UNITS, 3 * UNITS), "bias": (3 * UNITS,)}
    check_layer(
        GRUCell,
        {"units": UNITS, "reset_after": reset_after},
        {
            "inputs": rng.normal(size=(BATCH, INPUTS)).astype("float32"),
            "state": rng.uniform(-1, 1, size=(BATCH, UNITS)).astype("float32"),
        },
        output_shapes=(BATCH, UNITS),
        weight_shapes=weights | ({"candidate_bias": (UNITS,)} if reset_after else {}),
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
