"""The backend's few parts: `scan` against a Python loop in NumPy, and `compiled`."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from keras import ops

from nmt.backend import compiled, scan
from nmt.layers.recurrence import GRU
from tests.gradients import as_array, value_and_gradients

BATCH, WIDTH = 2, 3


class Carry(NamedTuple):
    state: Any  # (BATCH, WIDTH) float32
    count: Any  # () int32


class Output(NamedTuple):
    before: Any  # (BATCH, 2, WIDTH) float32
    counts: tuple[Any, Any]  # () int32 and (1,) bool


def step(carry: Carry, at: tuple[Any, Any]) -> tuple[Carry, Output]:
    """Reads inputs of two shapes; its outputs are shaped like neither the carry nor the inputs."""
    x, skip = at  # (WIDTH,) float32, () bool
    state = ops.where(skip, carry.state, carry.state * 0.5 + x)
    before = ops.stack([carry.state, state], axis=1)
    return Carry(state, carry.count + 1), Output(before, (carry.count * 10, ops.reshape(skip, (1,))))


def loop(carry: Carry, xs: np.ndarray, skips: np.ndarray, reverse: bool) -> tuple[Carry, list[Output]]:
    """The same by NumPy, position by position."""
    outputs: list[Any] = [None] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        state = carry.state if skips[t] else carry.state * 0.5 + xs[t]
        outputs[t] = Output(np.stack([carry.state, state], axis=1), (carry.count * 10, skips[t : t + 1]))
        carry = Carry(state, carry.count + 1)
    return carry, outputs


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 5])
def test_is_a_loop(length, reverse, rng):
    first = Carry(rng.normal(size=(BATCH, WIDTH)).astype("float32"), np.int32(3))
    xs, skips = rng.normal(size=(length, WIDTH)).astype("float32"), np.arange(length) % 3 == 1
    expected, expected_outputs = loop(first, xs, skips, reverse)

    tensors = Carry(ops.convert_to_tensor(first.state), ops.convert_to_tensor(first.count))
    inputs = (ops.convert_to_tensor(xs), ops.convert_to_tensor(skips))
    last, outputs = scan(step, tensors, inputs, reverse=reverse)

    assert type(last) is Carry
    assert type(outputs) is Output
    np.testing.assert_allclose(as_array(last.state), expected.state, atol=1e-6)
    assert as_array(last.count) == expected.count == 3 + length
    np.testing.assert_allclose(as_array(outputs.before), np.stack([o.before for o in expected_outputs]), atol=1e-6)
    np.testing.assert_array_equal(as_array(outputs.counts[0]), [o.counts[0] for o in expected_outputs])
    np.testing.assert_array_equal(as_array(outputs.counts[1]), [o.counts[1] for o in expected_outputs])


def test_dtypes_stay():
    carry = (ops.zeros((2,), dtype="bfloat16"), ops.zeros((), dtype="int32"))
    last, outputs = scan(lambda c, x: ((c[0] + x, c[1] + 1), (c[0], x)), carry, ops.ones((4, 2), dtype="bfloat16"))
    assert [keras.backend.standardize_dtype(x.dtype) for x in (*last, *outputs)] == [
        "bfloat16",
        "int32",
        "bfloat16",
        "bfloat16",
    ]
    np.testing.assert_array_equal(as_array(last[0]), [4, 4])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 4])
def test_gradients_against_finite_differences(length, reverse, rng):
    """With respect to the first carry, the inputs, and a weight that the step closes over."""
    values = [rng.normal(size=shape) for shape in ((WIDTH,), (length, WIDTH), (WIDTH, WIDTH))]
    coefficients = rng.normal(size=(length, WIDTH))

    def loop_loss(carry: np.ndarray, xs: np.ndarray, kernel: np.ndarray) -> float:
        total = 0.0
        for t in reversed(range(length)) if reverse else range(length):
            carry = np.tanh(xs[t] + carry @ kernel)
            total += coefficients[t] @ carry**2
        return total + carry.sum()

    variables = [keras.Variable(value.astype("float32")) for value in values]

    def loss():
        carry, xs, kernel = (variable + 0 for variable in variables)

        def step(carry, x):
            carry = ops.tanh(x + ops.squeeze(ops.matmul(carry[None], kernel), 0))
            return carry, carry

        last, states = scan(step, carry, xs, reverse=reverse)
        return ops.sum(ops.cast(coefficients, "float32") * states**2) + ops.sum(last)

    value, gradients = value_and_gradients(loss, variables)
    np.testing.assert_allclose(value, loop_loss(*values), rtol=1e-5, atol=1e-5)
    for i, gradient in enumerate(gradients):
        for place in np.ndindex(gradient.shape):
            shifted = [np.array(value) for value in values]
            shifted[i][place] += 1e-5
            above = loop_loss(*shifted)
            shifted[i][place] -= 2e-5
            below = loop_loss(*shifted)
            np.testing.assert_allclose(gradient[place], (above - below) / 2e-5, rtol=1e-3, atol=1e-4)


def test_scan_is_compiled_for_any_length(rng):
    """One compiled model, its length unknown when it was traced, serves one position and several."""
    inputs = keras.Input((None, WIDTH))
    layer = GRU(2, reverse=True)
    model = keras.Model(inputs, layer(inputs))
    for length in (4, 1):
        x = rng.normal(size=(BATCH, length, WIDTH)).astype("float32")
        np.testing.assert_allclose(as_array(model.predict_on_batch(x)), as_array(layer(x)), atol=1e-6)


def test_compiled_reads_the_variables_of_the_day():
    scale = keras.Variable([2.0, 3.0])
    function = compiled(lambda x: (x * scale, {"sum": ops.sum(x, axis=0)}), [scale])
    for length in (2, 3):  # two shapes: JAX compiles twice, TensorFlow once or twice
        product, rest = function(ops.ones((length, 2)))
        np.testing.assert_allclose(as_array(product), [[2, 3]] * length)
        np.testing.assert_allclose(as_array(rest["sum"]), [length, length])
    scale.assign([5.0, 7.0])
    np.testing.assert_allclose(as_array(function(ops.ones((3, 2)))[0]), [[5, 7]] * 3)
