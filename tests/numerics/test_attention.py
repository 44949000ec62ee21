"""Attention against a plain NumPy reference; masks, groups of queries and numbers at the edge."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from nmt.layers.attention import BahdanauAttention, masked_softmax
from tests.gradients import as_array, value_and_gradients
from tests.numerics import reference

BATCH, QUERIES, SOURCE, QUERY, MEMORY, UNITS = 3, 2, 5, 3, 6, 4
LENGTHS = [5, 3, 1]
MASK = np.arange(SOURCE) < np.array(LENGTHS)[:, None]


@pytest.fixture
def attention(rng):
    layer = BahdanauAttention(UNITS)
    layer.build((None, QUERY), (None, None, MEMORY))
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    return layer


@pytest.fixture
def memory(rng):
    return ops.convert_to_tensor(rng.normal(size=(BATCH, SOURCE, MEMORY)).astype("float32"))


def test_is_the_formula(attention, memory, rng):
    w = {weight.name: as_array(weight) for weight in attention.weights}
    query = rng.normal(size=(BATCH, QUERY)).astype("float32")
    context, weights = attention(query, memory, MASK)
    for b, length in enumerate(LENGTHS):
        expected_context, expected_weights = reference.attend(query[b], as_array(memory)[b, :length], w)
        np.testing.assert_allclose(as_array(context)[b], expected_context, atol=1e-5)
        np.testing.assert_allclose(as_array(weights)[b, :length], expected_weights, atol=1e-5)
        np.testing.assert_array_equal(as_array(weights)[b, length:], 0)


def test_queries_of_a_sentence_share_its_memory(attention, memory, rng):
    """Query q of sentence b stands at row b * Q + q."""
    query = ops.convert_to_tensor(rng.normal(size=(BATCH * QUERIES, QUERY)).astype("float32"))
    mask = ops.convert_to_tensor(MASK)
    together = attention.attend(query, memory, attention.keys(memory), mask)
    copies = ops.repeat(memory, QUERIES, axis=0)
    apart = attention.attend(query, copies, attention.keys(copies), ops.repeat(mask, QUERIES, axis=0))
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(as_array(one), as_array(other), atol=1e-6)


def test_weights_sum_to_one_or_to_nothing(rng):
    energy = rng.normal(scale=5, size=(4, SOURCE)).astype("float32")
    mask = np.arange(SOURCE) < np.array([[5], [2], [1], [0]])
    weights = as_array(masked_softmax(ops.convert_to_tensor(energy), ops.convert_to_tensor(mask)))
    np.testing.assert_allclose(weights.sum(axis=1), [1, 1, 1, 0], atol=1e-6)
    np.testing.assert_array_equal(weights[~mask], 0)


@pytest.mark.parametrize("offset", [-1e5, 0.0, 1e5])
def test_large_energies_do_not_overflow(offset):
    energy = ops.convert_to_tensor(np.array([[0.0, 1.0, 50.0]], "float32") + np.float32(offset))
    mask = ops.convert_to_tensor(np.array([[True, True, False]]))
    weights = as_array(masked_softmax(energy, mask))
    np.testing.assert_allclose(weights, [[1 / (1 + np.e), np.e / (1 + np.e), 0]], atol=0.01)


def test_softmax_is_float32_even_of_half_precision():
    energy = ops.zeros((1, 1000), dtype="bfloat16")
    weights = masked_softmax(energy, ops.ones((1, 1000), dtype="bool"))
    assert keras.backend.standardize_dtype(weights.dtype) == "float32"
    np.testing.assert_allclose(as_array(weights), 0.001, rtol=1e-5)


def test_sentence_without_a_real_token(attention, rng):
    """Its weights and context are zero, and so is every gradient: not NaN, which would spoil the whole batch."""
    query = keras.Variable(rng.normal(size=(BATCH, QUERY)).astype("float32"))
    memory = keras.Variable(rng.normal(size=(BATCH, SOURCE, MEMORY)).astype("float32"))
    mask = ops.convert_to_tensor(MASK & np.array([[True], [False], [True]]))

    context, weights = attention(query.value, memory.value, mask)
    np.testing.assert_array_equal(as_array(context)[1], 0)
    np.testing.assert_array_equal(as_array(weights)[1], 0)
    assert (as_array(weights).sum(axis=1)[[0, 2]] > 0.99).all()

    def loss():
        context, weights = attention(query.value, memory.value, mask)
        return ops.sum(context) + ops.sum(ops.square(weights))

    value, gradients = value_and_gradients(loss, [query, memory, *attention.weights])
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    np.testing.assert_array_equal(gradients[0][1], 0)
    np.testing.assert_array_equal(gradients[1][1], 0)
