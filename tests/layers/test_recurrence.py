"""The GRU layer: contract, direction, masks and what Keras passes along by itself.

Its arithmetic is checked in `tests/numerics/test_gru.py`.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest

from nmt.layers.recurrence import GRU
from tests.gradients import as_array
from tests.layer_contract import check_layer

BATCH, LENGTH, INPUTS, UNITS = 2, 7, 3, 16  # of few numbers normalisation makes much of bfloat16's rounding
MASK = np.arange(LENGTH) < np.array([[7], [4]])


@pytest.fixture
def sequences(rng):
    return rng.normal(size=(BATCH, LENGTH, INPUTS)).astype("float32")


@pytest.mark.parametrize(
    ("reverse", "masked", "layer_norm"), [(False, False, False), (True, True, False), (True, True, True)]
)
def test_contract(reverse, masked, layer_norm, sequences, tmp_path):
    gains = {"cell/gain": (3 * UNITS,), "cell/recurrent_gain": (3 * UNITS,)} if layer_norm else {}
    check_layer(
        GRU,
        {
            "units": UNITS,
            "reverse": reverse,
            "recurrent_dropout_rate": 0.25,
            "reset_after": not reverse,
            "layer_norm": layer_norm,
        },
        {"inputs": sequences, "mask": MASK} if masked else {"inputs": sequences},
        output_shapes=(BATCH, LENGTH, UNITS),
        weight_shapes={
            "cell/kernel": (INPUTS, 3 * UNITS),
            "cell/recurrent_kernel": (UNITS, 3 * UNITS),
            "cell/bias": (3 * UNITS,),
        }
        | ({} if reverse else {"cell/candidate_bias": (UNITS,)})
        | gains,
        unknown_sizes={BATCH, LENGTH},
        folder=tmp_path,
    )


def test_state_stands_still_where_masked(sequences):
    states = as_array(GRU(UNITS)(sequences, mask=MASK))
    for position in range(4, LENGTH):
        np.testing.assert_array_equal(states[1, position], states[1, 3])

    states = as_array(GRU(UNITS, reverse=True)(sequences, mask=MASK))
    assert not states[1, 4:].any()  # read backwards, the sentence has not begun there
    assert states[1, 3].any()


def test_reverse_is_forward_on_the_mirrored_sequence(sequences):
    forward, backward = GRU(UNITS), GRU(UNITS, reverse=True)
    mirrored = as_array(forward(sequences[:, ::-1]))[:, ::-1]
    backward.build(sequences.shape)
    backward.set_weights(forward.get_weights())
    np.testing.assert_allclose(as_array(backward(sequences)), mirrored, atol=1e-6)


def test_mask_inside_the_sequence_skips_a_position(sequences):
    layer = GRU(UNITS)
    gap = np.array([[True, True, False, True, True, False, True]] * BATCH)
    states = as_array(layer(sequences, mask=gap))
    np.testing.assert_allclose(states[gap].reshape(BATCH, 5, UNITS), as_array(layer(sequences[:, gap[0]])), atol=1e-6)


def test_takes_the_mask_of_an_embedding_and_hands_it_on():
    ids = np.array([[5, 6, 7, 0, 0], [5, 6, 7, 8, 9]])
    embedding, layer = keras.layers.Embedding(10, INPUTS, mask_zero=True), GRU(UNITS, reverse=True)
    states = layer(embedding(ids))
    explicit = layer(as_array(embedding(ids)).astype("float32"), mask=ids != 0)
    np.testing.assert_allclose(as_array(states), as_array(explicit), atol=1e-6)
    np.testing.assert_array_equal(as_array(states._keras_mask), ids != 0)


def test_one_position(sequences):
    layer = GRU(UNITS)
    np.testing.assert_allclose(as_array(layer(sequences[:, :1])), as_array(layer(sequences))[:, :1], atol=1e-6)
