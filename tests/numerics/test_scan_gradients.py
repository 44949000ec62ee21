"""Gradients written by hand against automatic differentiation of the plain steps, and what they must not disturb.

Against finite differences they are checked in `test_seq2seq.py`, as part of the whole model.
"""

from __future__ import annotations

import gc

import keras
import numpy as np
import pytest
from keras import ops, tree

from nmt.backend import scan, with_gradient
from nmt.layers.attention import AttentionWeights
from nmt.layers.decoder_scan import DecoderInputs, DecoderState, DecoderWeights, decoder_scan, decoder_step
from nmt.layers.gates import GRUWeights, gru_step
from nmt.layers.recurrence import GRU, gru_scan
from tests.gradients import as_array, value_and_gradients

BATCH, SOURCE, INPUTS, UNITS, MEMORY, ATTENTION = 3, 5, 3, 8, 6, 2

RESET_AFTER = pytest.mark.parametrize("reset_after", [True, False])
LAYER_NORM = pytest.mark.parametrize("layer_norm", [False, True])
LENGTH = pytest.mark.parametrize(("length", "dropout"), [(1, False), (4, True)])


def recurrent_mask(rng, dropout):
    return ops.cast(rng.integers(0, 2, (BATCH, UNITS)) * 2, "float32") if dropout else None


def assert_same_gradients(rng, scans, inputs):
    """Compares two functions of `inputs`, a structure of arrays, with every number of every output worth another."""
    variables = [keras.Variable(array.astype("float32")) for array in tree.flatten(inputs) if array is not None]
    worths = {}

    def loss(function):
        values = iter(variable + 0 for variable in variables)
        structure = tree.map_structure(lambda leaf: None if leaf is None else next(values), inputs)
        total = 0.0
        for i, output in enumerate(tree.flatten(function(structure))):
            worth = worths.setdefault(i, rng.normal(size=tuple(output.shape)).astype("float32"))
            total = total + ops.sum(output * ops.convert_to_tensor(worth))
        return total

    expected, actual = (value_and_gradients(lambda: loss(function), variables) for function in scans)  # noqa: B023
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-5, atol=1e-5)
    for one, other in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)
        assert other.any()


def cell_weights(rng, reset_after, layer_norm):
    return GRUWeights(
        rng.normal(size=(UNITS, 3 * UNITS)),
        rng.normal(size=UNITS) if reset_after else None,
        rng.normal(size=3 * UNITS) if layer_norm else None,
    )


@LENGTH
@RESET_AFTER
@LAYER_NORM
@pytest.mark.parametrize("reverse", [False, True])
def test_gru(reset_after, layer_norm, reverse, length, dropout, rng):
    mask = recurrent_mask(rng, dropout)

    def plain(inputs):
        def step(state, projected):
            state, _ = gru_step(projected, state, weights, mask)
            return state, state

        projected, state, weights = inputs
        return scan(step, state, projected, reverse=reverse)[1]

    def by_hand(inputs):
        return gru_scan(*inputs, mask, reverse=reverse)

    inputs = (
        rng.normal(size=(length, BATCH, 3 * UNITS)),
        rng.normal(size=(BATCH, UNITS)),
        cell_weights(rng, reset_after, layer_norm),
    )
    assert_same_gradients(rng, (plain, by_hand), inputs)


@RESET_AFTER
@LAYER_NORM
@pytest.mark.parametrize("reverse", [False, True])
def test_gru_with_masked_positions(reset_after, layer_norm, reverse, rng):
    """Against a state that is left alone by a choice instead of a shut gate; one sentence is masked throughout."""
    layer = GRU(UNITS, reset_after, reverse, layer_norm=layer_norm)
    layer.build((None, None, INPUTS))
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    inputs = keras.Variable(rng.normal(size=(BATCH, SOURCE, INPUTS)).astype("float32"))
    mask = ops.convert_to_tensor(np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool))
    worth = ops.cast(rng.normal(size=(BATCH, SOURCE, UNITS)), "float32")

    def plain():
        def step(state, position):
            projected, is_real = position
            state = ops.where(is_real, layer.cell.step(projected, state), state)
            return state, state

        projected = ops.transpose(layer.cell.project(inputs + 0), (1, 0, 2))
        is_real = ops.expand_dims(ops.transpose(mask), -1)
        _, states = scan(step, ops.zeros((BATCH, UNITS)), (projected, is_real), reverse=reverse)
        return ops.transpose(states, (1, 0, 2))

    variables = [inputs, *layer.weights]
    expected = value_and_gradients(lambda: ops.sum(worth * plain()), variables)
    actual = value_and_gradients(lambda: ops.sum(worth * layer(inputs + 0, mask=mask)), variables)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-5, atol=1e-6)
    for one, other in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(actual[1][0][~as_array(mask)], 0)


@LENGTH
@RESET_AFTER
@LAYER_NORM
@pytest.mark.parametrize("num_cells", [1, 2, 4])
def test_decoder(num_cells, reset_after, layer_norm, length, dropout, rng):
    """Every input's gradient, from states, contexts and attention weights; one sentence is masked throughout."""
    mask = ops.convert_to_tensor(np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool))
    dropped = recurrent_mask(rng, dropout)

    def plain(given):
        def step(state, projected):
            state, trace = decoder_step(projected, state, given.memory, given.keys, mask, given.weights, dropped)
            return state, (state.hidden, state.context, trace.attention.weights)

        return scan(step, given.state, given.projected)[1]

    def by_hand(given):
        return decoder_scan(given._replace(mask=mask, recurrent_mask=dropped))

    weights = DecoderWeights(
        tuple(cell_weights(rng, reset_after, layer_norm) for _ in range(num_cells)),
        AttentionWeights(rng.normal(size=(UNITS, ATTENTION)), rng.normal(size=(ATTENTION, 1))),
        rng.normal(size=(MEMORY, 3 * UNITS)),
        rng.normal(size=3 * UNITS) if num_cells > 1 else None,
        rng.normal(size=3 * UNITS) if layer_norm else None,
        tuple(rng.normal(size=3 * UNITS) for _ in range(num_cells - 2)),
    )
    # The conditional decoder reads no previous context.
    context = ops.zeros((BATCH, MEMORY))
    state = DecoderState(rng.normal(size=(BATCH, UNITS)), None)
    inputs = DecoderInputs(
        rng.normal(size=(length, BATCH, 3 * UNITS)),
        state if num_cells > 1 else state._replace(context=rng.normal(size=(BATCH, MEMORY))),
        rng.normal(size=(BATCH, SOURCE, MEMORY)),
        rng.normal(size=(BATCH, SOURCE, ATTENTION)),
        None,
        weights,
        None,
    )

    def with_context(function):
        def run(given):
            return function(given if num_cells == 1 else given._replace(state=given.state._replace(context=context)))

        return run

    assert_same_gradients(rng, (with_context(plain), with_context(by_hand)), inputs)


def test_with_gradient_takes_the_word_of_backward():
    """Structures in and out, an input that is None, one that no gradient is wanted of, and a gradient that is wrong."""
    x, y = keras.Variable([1.0, 2.0]), keras.Variable([5.0])

    def forward(pair, nothing, flag):
        return {"product": pair[0] * pair[1], "sum": ops.sum(pair[0])}, (pair[0],)

    def backward(inputs, kept, upstream):
        pair, nothing, _ = inputs
        assert nothing is None
        return (10 * pair[1] * upstream["product"] + upstream["sum"], ops.reshape(ops.sum(kept[0]), (1,))), None, None

    def loss():
        outputs = with_gradient(forward, backward, (x + 0, y + 0), None, ops.convert_to_tensor([True]))
        return ops.sum(outputs["product"]) + 3 * outputs["sum"]

    value, gradients = value_and_gradients(loss, [x, y])
    assert value == 15 + 9
    np.testing.assert_array_equal(gradients[0], [53, 53])
    np.testing.assert_array_equal(gradients[1], [3])


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch alone counts references through its graph")
def test_nothing_is_kept_of_a_gradient_that_is_done():
    # The outputs were kept for their structure, and with them their graph: 5 MB an update, for ever.
    import torch

    def num_tensors() -> int:
        gc.collect()
        return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())

    variable = keras.Variable(np.ones((4, 3), "float32"))

    def update() -> None:
        doubled, squared = with_gradient(
            lambda x: ((2 * x, x * x), ()), lambda inputs, _, g: (2 * g[0] + 2 * inputs[0] * g[1],), variable + 0
        )
        ops.sum(doubled + squared).backward()
        variable.value.grad = None

    update()
    before = num_tensors()
    for _ in range(10):
        update()
    assert num_tensors() < before + 10  # 30 more were there, 3 an update
