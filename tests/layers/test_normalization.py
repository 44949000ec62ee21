"""Layer normalisation by a centred kernel and the root mean square, against mean and variance in NumPy."""

from __future__ import annotations

import numpy as np
from keras import ops

from nmt.decoding import numpy_cells
from nmt.layers import normalization
from nmt.layers.normalization import centred, normalize, normalize_gates, normalize_gradient
from tests.gradients import as_array

INPUTS, UNITS = 5, 3


def test_it_is_that_of_mean_and_variance(rng):
    """The gates' six products together and the candidate's three: shape (2, 4, 9), any number of leading axes."""
    inputs, kernel = rng.normal(size=(2, 4, INPUTS)), rng.normal(size=(INPUTS, 3 * UNITS))
    gain = rng.normal(size=3 * UNITS)
    products = inputs @ kernel
    expected = np.concatenate(
        [
            (part - part.mean(axis=-1, keepdims=True)) / np.sqrt(part.var(axis=-1, keepdims=True) + 1e-5)
            for part in (products[..., : 2 * UNITS], products[..., 2 * UNITS :])
        ],
        axis=-1,
    )
    x, k, g = (ops.convert_to_tensor(array.astype("float32")) for array in (inputs, kernel, gain))
    actual, _ = normalize_gates(ops.matmul(x, centred(k)), g)
    np.testing.assert_allclose(as_array(actual), gain * expected, atol=1e-4)
    flat = inputs.reshape(-1, INPUTS) @ numpy_cells.centred(kernel)
    in_numpy = numpy_cells.normalize_gates(flat, gain).reshape(products.shape)
    np.testing.assert_allclose(in_numpy, gain * expected, atol=1e-6)


def test_training_and_decoding_have_the_same_epsilon():
    assert numpy_cells.EPSILON == normalization.EPSILON


def test_products_that_are_all_the_same_are_zero():
    """A state of zeros, as before the first token of the encoder: no division by zero, in either direction."""
    zeros, gain = ops.zeros((2, 4)), ops.ones((4,))
    normal, norm = normalize(zeros, gain)
    np.testing.assert_array_equal(as_array(normal), 0)
    assert np.isfinite(as_array(normalize_gradient(ops.ones((2, 4)), gain, norm))).all()


def test_without_a_gain_nothing_is_done():
    products = ops.ones((2, 3 * UNITS))
    normal, norms = normalize_gates(products, None)
    assert normal is products
    assert norms == ((), ())
