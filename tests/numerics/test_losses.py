"""The loss against NumPy, and its hand-written gradient against automatic differentiation."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from nmt.training import losses
from nmt.training.losses import cross_entropy, projected_cross_entropy
from tests.gradients import as_array, value_and_gradients
from tests.numerics import reference

VOCABULARY, WIDTH = 7, 3

SMOOTHING = pytest.mark.parametrize("label_smoothing", [0.0, 0.1])


@SMOOTHING
def test_cross_entropy_is_the_formula(label_smoothing, rng):
    logits = rng.normal(scale=3, size=(2, 4, VOCABULARY)).astype("float32")
    labels = rng.integers(VOCABULARY, size=(2, 4))
    actual = cross_entropy(ops.convert_to_tensor(labels), ops.convert_to_tensor(logits), label_smoothing)
    for b in range(2):
        smoothed, nll = reference.token_losses(labels[b], logits[b].astype("float64"), label_smoothing)
        np.testing.assert_allclose(as_array(actual.loss)[b], smoothed, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(as_array(actual.negative_log_likelihood)[b], nll, rtol=1e-5, atol=1e-5)


def test_cross_entropy_of_half_precision_is_computed_in_float32():
    logits = ops.cast(ops.convert_to_tensor(np.array([[300.0, 299.0, 0.0]], "float32")), "bfloat16")
    nll = cross_entropy(ops.convert_to_tensor(np.array([1])), logits).negative_log_likelihood
    assert keras.backend.standardize_dtype(nll.dtype) == "float32"
    logits = as_array(logits)[0]  # bfloat16 has no 299
    np.testing.assert_allclose(as_array(nll), np.log(np.exp(logits - logits[1]).sum()), rtol=1e-5)


def problem(rng: np.random.Generator, num_rows: int, dtype: str = "float32"):
    """Returns the three inputs with a gradient, labels and weights: two of three weights are not 0 or 1."""
    variables = [
        keras.Variable(rng.normal(size=shape).astype("float32"), dtype=dtype)
        for shape in ((num_rows, WIDTH), (VOCABULARY, WIDTH), (VOCABULARY,))
    ]
    labels = rng.integers(VOCABULARY, size=num_rows)
    weights = np.where(np.arange(num_rows) % 3 == 2, 0, rng.uniform(0.5, 2, size=num_rows)).astype("float32")
    return variables, ops.convert_to_tensor(labels), ops.convert_to_tensor(weights)


def projected(variables, labels, weights, label_smoothing, r_drop=0.0):
    hidden, matrix, bias = (variable + 0 for variable in variables)  # tensors, as the loss wants them
    return projected_cross_entropy(hidden, matrix, bias, labels, weights, label_smoothing, r_drop)


def plain(variables, labels, weights, label_smoothing):
    hidden, matrix, bias = (ops.cast(variable, "float32") for variable in variables)
    token_losses = cross_entropy(labels, ops.matmul(hidden, ops.transpose(matrix)) + bias, label_smoothing)
    return ops.stack([ops.sum(weights * loss) for loss in token_losses])


def check_against_plain(rng, num_rows, label_smoothing):
    variables, labels, weights = problem(rng, num_rows)
    nll = as_array(projected(variables, labels, weights, label_smoothing))[1]
    expected_nll = as_array(plain(variables, labels, weights, label_smoothing))[1]
    np.testing.assert_allclose(nll, expected_nll, rtol=1e-5, atol=1e-5)
    # Squared, so that what comes from above is not 1.
    actual = value_and_gradients(lambda: projected(variables, labels, weights, label_smoothing)[0] ** 2, variables)
    expected = value_and_gradients(lambda: plain(variables, labels, weights, label_smoothing)[0] ** 2, variables)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-4, atol=1e-5)
    for one, other in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max() + 1e-5)


@pytest.mark.parametrize(("num_rows", "label_smoothing"), [(1, 0.1), (4, 0.1), (10, 0.1), (10, 0.0)])
def test_blocks_are_the_whole(num_rows, label_smoothing, rng, monkeypatch):
    """Less than a block, one exactly, and two and a half."""
    monkeypatch.setattr(losses, "MAX_ROWS_PER_BLOCK", 4)
    check_against_plain(rng, num_rows, label_smoothing)


def test_blocks_of_the_real_size(rng):
    check_against_plain(rng, losses.MAX_ROWS_PER_BLOCK + 3, 0.1)


def divergence(logits: np.ndarray) -> float:
    """Returns KL(p || q) + KL(q || p) of two rows of logits, written out."""
    p, q = np.exp(logits.astype("float64"))
    p, q = p / p.sum(), q / q.sum()
    return float(p @ np.log(p / q) + q @ np.log(q / p))


@pytest.mark.parametrize("num_positions", [1, 2, 5])
def test_r_drop_is_the_formula(num_positions, rng, monkeypatch):
    """Blocks of at most three rows: a position, or two, each with both its passes."""
    monkeypatch.setattr(losses, "MAX_ROWS_PER_BLOCK", 3)
    variables, labels, weights = problem(rng, 2 * num_positions)
    weights = ops.tile(weights[:num_positions], (2,))
    hidden, matrix, bias = map(as_array, variables)
    logits = hidden @ matrix.T + bias
    smoothed, nll = reference.token_losses(as_array(labels), logits, 0.1)
    divergences = [divergence(logits[[row, row + num_positions]]) for row in range(num_positions)] * 2
    sums = as_array(projected(variables, labels, weights, 0.1, r_drop=3.0))
    expected = [as_array(weights) @ (smoothed + 3.0 / 4 * np.array(divergences)), as_array(weights) @ nll]
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-5)


def test_gradient_of_r_drop(rng, monkeypatch):
    monkeypatch.setattr(losses, "MAX_ROWS_PER_BLOCK", 3)
    variables, labels, weights = problem(rng, 10)
    weights = ops.tile(weights[:5], (2,))

    def plain_with_divergence():
        hidden, matrix, bias = (variable + 0 for variable in variables)
        log_p = ops.log_softmax(ops.matmul(hidden, ops.transpose(matrix)) + bias)
        difference = log_p[:5] - log_p[5:]
        divergences = ops.sum((ops.exp(log_p[:5]) - ops.exp(log_p[5:])) * difference, axis=-1)
        return plain(variables, labels, weights, 0.1)[0] + 2 * 3.0 / 4 * ops.sum(weights[:5] * divergences)

    actual = value_and_gradients(lambda: projected(variables, labels, weights, 0.1, r_drop=3.0)[0] ** 2, variables)
    expected = value_and_gradients(lambda: plain_with_divergence() ** 2, variables)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-4)
    for one, other in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max() + 1e-5)


@SMOOTHING
def test_projected_is_the_formula(label_smoothing, rng):
    variables, labels, weights = problem(rng, 10)
    hidden, matrix, bias = map(as_array, variables)
    smoothed, nll = reference.token_losses(as_array(labels), hidden @ matrix.T + bias, label_smoothing)
    sums = as_array(projected(variables, labels, weights, label_smoothing))
    np.testing.assert_allclose(sums, [as_array(weights) @ smoothed, as_array(weights) @ nll], rtol=1e-5, atol=1e-5)


def test_negative_log_likelihood_has_no_gradient(rng):
    variables, labels, weights = problem(rng, 10)
    _, gradients = value_and_gradients(lambda: projected(variables, labels, weights, 0.1)[1], variables)
    assert not any(gradient.any() for gradient in gradients)


def test_rows_of_weight_zero_count_for_nothing(rng):
    variables, labels, weights = problem(rng, 9)
    _, gradients = value_and_gradients(lambda: projected(variables, labels, weights, 0.1)[0], variables)
    np.testing.assert_array_equal(gradients[0][2::3], 0)
    assert (gradients[0][0::3] != 0).all()

    nothing = ops.zeros_like(weights)
    value, gradients = value_and_gradients(lambda: projected(variables, labels, nothing, 0.1)[0], variables)
    assert value == 0
    assert not any(gradient.any() for gradient in gradients)


def test_half_precision(rng):
    variables, labels, weights = problem(rng, 40, dtype="bfloat16")
    sums = projected(variables, labels, weights, 0.1)
    assert keras.backend.standardize_dtype(sums.dtype) == "float32"
    actual = value_and_gradients(lambda: projected(variables, labels, weights, 0.1)[0], variables)
    expected = value_and_gradients(lambda: plain(variables, labels, weights, 0.1)[0], variables)
    np.testing.assert_allclose(actual[0], expected[0], rtol=0.01)
    for one, other in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(one, other, atol=0.05 * np.abs(other).max())


def test_a_likelihood_is_at_most_one_in_half_precision(rng):
    # The normalizer was of rounded logits, the label's logit not: a model that is sure had a negative loss.
    hidden = ops.cast(rng.normal(size=(20, 8)) * 4, "bfloat16")
    matrix, bias = ops.cast(rng.normal(size=(30, 8)) * 4, "bfloat16"), ops.cast(rng.normal(size=30), "bfloat16")
    labels = ops.argmax(ops.cast(ops.matmul(hidden, ops.transpose(matrix)) + bias, "float32"), axis=-1)
    for row in range(20):
        weights = ops.cast(np.arange(20) == row, "float32")
        sums = projected_cross_entropy(hidden, matrix, bias, ops.cast(labels, "int32"), weights)
        assert float(sums[1]) >= -1e-6
