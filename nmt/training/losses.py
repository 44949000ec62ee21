"""The training loss: cross-entropy with label smoothing, from readout vectors to one number.

Keras's sparse cross-entropy has no label smoothing and its dense one wants one-hot targets. Both need the logits of all
positions at once, the largest tensor of training by far. Here they exist a few rows at a time: the gradient of softmax
cross-entropy has a closed form, so each block of rows gives its share of loss and gradient and is forgotten. This
module knows nothing of models or batches.

Shape letters: N positions, E readout width, V vocabulary size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from nmt.backend import Tensor, scan, with_gradient

MAX_ROWS_PER_BLOCK = 256
"""Positions whose logits exist at a time: 8 MB of float32 at a vocabulary of 8,000, about a core's cache."""


class TokenLosses(NamedTuple):
    """Losses of each token in nats, float32, of the shape of the labels."""

    loss: Tensor
    """What training minimises: smoothed."""
    negative_log_likelihood: Tensor
    """-log p(label): its mean's exponential is the perplexity."""


def cross_entropy(labels: Tensor, logits: Tensor, label_smoothing: float = 0.0) -> TokenLosses:
    """Cross-entropy against labels that share a little of their mass with the whole vocabulary.

        loss = (1 - e) * -log p(label) + e * mean over v of -log p(v)

    Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7, with a uniform prior.

    Args:
        labels: (...), integer ids.
        logits: (..., V), any float dtype; the arithmetic is float32.
        label_smoothing: Mass e in [0, 1).

    Returns:
        The two losses of every position, padding included: the caller weighs them.

    Example:
        >>> import numpy as np
        >>> losses = cross_entropy(np.array([0]), np.zeros((1, 4), "float32"), label_smoothing=0.1)
        >>> round(float(losses.loss[0]), 4)  # log 4
        1.3863
    """
    logits = ops.cast(logits, "float32")
    log_normalizer = ops.logsumexp(logits, axis=-1)
    label_logits = ops.squeeze(ops.take_along_axis(logits, ops.expand_dims(labels, -1), axis=-1), -1)
    nll = log_normalizer - label_logits
    uniform = log_normalizer - ops.mean(logits, axis=-1)
    return TokenLosses((1 - label_smoothing) * nll + label_smoothing * uniform, nll)


def projected_cross_entropy(
    hidden: Tensor,
    output_matrix: Tensor,
    output_bias: Tensor,
    labels: Tensor,
    weights: Tensor,
    label_smoothing: float = 0.0,
    r_drop: float = 0.0,
) -> Tensor:
    """Weighted sums of `cross_entropy` over the logits `hidden output_matrix^T + output_bias`, without their tensor.

    With p = softmax(logits), w a position's weight and e the smoothing, the gradient of the weighted loss is

        d logits = w * (p - (1 - e) * onehot(label) - e / V)

    and the gradients of the three inputs follow from it in the forward pass. A block has only those passes
    over (n, V) that need its logits: with x = exp(logits - highest) and p = x / sum of x, the division and w scale the
    rows that x meets, and the other two terms, a number a row, are added after the last block. The loss of 1,280 rows
    and a vocabulary of 8,000 took 52 ms before and 44 so.

    With R-Drop (Liang et al. 2021, https://arxiv.org/abs/2106.14448, equation 4, halved) the second half of the
    rows are the positions of the first again, read with different dropout, and each has half its position's weight.
    What the two predict, p and q, is to agree: the loss of each row has a further term

        w * r_drop / 4 * (KL(p || q) + KL(q || p)) = w * r_drop / 4 * sum over v of (p - q) d,    d = p's - q's logits

    and to the gradient of p's logits w * r_drop / 2 * (p (1 + d - sum of p d) - q), to that of q's the same with p and
    q exchanged.

    Args:
        hidden: (N, E), any float dtype, which is also that of the products.
        output_matrix: (V, E), of the dtype of `hidden`.
        output_bias: (V,), of the dtype of `hidden`.
        labels: (N,), integer ids.
        weights: (N,), float32; zero on padding.
        label_smoothing: Mass e in [0, 1).
        r_drop: Weight of the divergence, >= 0; 0 where all rows are of different positions.

    Returns:
        Float32 tensor of shape (2,): the sum of the smoothed loss and the divergence, which alone has a gradient,
        and the sum of the negative log-likelihood.
    """
    label_mass = 1 - label_smoothing

    def forward(hidden: Tensor, matrix: Tensor, bias: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Any]:
        (log_normalizer, label_logits, divergences), of_normalizer = _normalizer(
            hidden, matrix, bias, labels, weights, r_drop
        )
        hidden_gradient, matrix_gradient, bias_gradient = of_normalizer
        hidden, matrix, bias = (ops.cast(tensor, "float32") for tensor in (hidden, matrix, bias))
        vocabulary_size = matrix.shape[0]
        label_rows, matrix_sum = ops.take(matrix, labels, axis=0), ops.sum(matrix, axis=0)

        logit_sums = ops.squeeze(ops.matmul(hidden, ops.expand_dims(matrix_sum, -1)), -1) + ops.sum(bias)
        nll = log_normalizer - label_logits
        loss = label_mass * nll + label_smoothing * (log_normalizer - logit_sums / vocabulary_size)
        loss = loss + divergences

        of_label = ops.expand_dims(-label_mass * weights, -1)
        of_each = ops.expand_dims(-label_smoothing / vocabulary_size * weights, -1)
        hidden_gradient = hidden_gradient + of_label * label_rows + of_each * matrix_sum
        at_labels = ops.segment_sum(of_label * hidden, labels, vocabulary_size)
        matrix_gradient = matrix_gradient + at_labels + ops.sum(of_each * hidden, axis=0)
        at_labels = ops.segment_sum(of_label, labels, vocabulary_size)
        bias_gradient = bias_gradient + ops.squeeze(at_labels, -1) + ops.sum(of_each)
        sums = ops.stack([ops.sum(weights * loss), ops.sum(weights * nll)])
        return sums, (hidden_gradient, matrix_gradient, bias_gradient)

    def backward(inputs: Any, gradients: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        scaled = (ops.cast(g * upstream[0], x.dtype) for g, x in zip(gradients, inputs[:3], strict=True))
        return *scaled, None, None

    return with_gradient(forward, backward, hidden, output_matrix, output_bias, labels, weights)


def _normalizer(
    hidden: Tensor, matrix: Tensor, bias: Tensor, labels: Tensor, weights: Tensor, r_drop: float
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Returns log sum of exp(logits), label's logit and R-Drop's share of each row, and the gradient of first and last.

    The three are (N,), and of the same logits, so that a likelihood is at most 1 in bfloat16 too. The gradients, of the
    sum of the first and the last, weighted, are float32, in the order and of the shapes of hidden, matrix and bias.
    """
    num_passes = 2 if r_drop else 1
    num_positions = ops.shape(hidden)[0] // num_passes
    num_blocks = -(-num_passes * num_positions // MAX_ROWS_PER_BLOCK)
    positions_per_block = -(-num_positions // num_blocks)
    padding = num_blocks * positions_per_block - num_positions  # less than a position a block

    def to_blocks(rows: Tensor) -> Tensor:
        """Returns (blocks, n, width): in each the first passes of its positions, then the second ones."""
        width = rows.shape[-1]
        rows = ops.pad(ops.reshape(rows, (num_passes, -1, width)), [[0, 0], [0, padding], [0, 0]])
        rows = ops.transpose(ops.reshape(rows, (num_passes, -1, positions_per_block, width)), (1, 0, 2, 3))
        return ops.reshape(rows, (-1, num_passes * positions_per_block, width))

    def from_blocks(blocks: Tensor) -> Tensor:
        width = blocks.shape[-1]
        rows = ops.transpose(ops.reshape(blocks, (-1, num_passes, positions_per_block, width)), (1, 0, 2, 3))
        return ops.reshape(ops.reshape(rows, (num_passes, -1, width))[:, :num_positions], (-1, width))

    transposed = ops.transpose(matrix)

    def step(carry: tuple[Tensor, Tensor], block: tuple[Tensor, Tensor, Tensor]) -> tuple[Any, Any]:
        matrix_gradient, bias_gradient = carry
        rows, labels, weights = block
        logits = ops.cast(ops.matmul(rows, transposed) + bias, "float32")  # (n, V)
        label_logits = ops.take_along_axis(logits, labels, axis=-1)
        highest = ops.max(logits, axis=-1, keepdims=True)
        exponentials = ops.exp(logits - highest)
        total = ops.sum(exponentials, axis=-1, keepdims=True)
        scale, divergences = weights / total, ops.zeros_like(total)
        if r_drop:
            divergences, exponentials = _divergence(logits, exponentials / total, r_drop)
            scale = weights
        bias_gradient = bias_gradient + ops.matmul(ops.transpose(scale), exponentials)
        exponentials = ops.cast(exponentials, rows.dtype)
        scaled_rows = ops.cast(scale * ops.cast(rows, "float32"), rows.dtype)
        product = ops.matmul(ops.transpose(scaled_rows), exponentials)
        hidden_gradient = scale * ops.cast(ops.matmul(exponentials, matrix), "float32")
        carry = matrix_gradient + ops.cast(product, "float32"), bias_gradient
        return carry, (highest + ops.log(total), label_logits, divergences, hidden_gradient)

    # The matrix's gradient grows transposed, so that no tensor of a block is.
    zeros = ops.zeros((hidden.shape[-1], matrix.shape[0])), ops.zeros((1, matrix.shape[0]))
    blocks = [to_blocks(rows) for rows in (hidden, ops.expand_dims(labels, -1), ops.expand_dims(weights, -1))]
    (matrix_gradient, bias_gradient), outputs = scan(step, zeros, tuple(blocks))
    *of_rows, hidden_gradient = map(from_blocks, outputs)
    log_normalizer, label_logits, divergences = (ops.squeeze(values, -1) for values in of_rows)
    return (log_normalizer, label_logits, divergences), (
        hidden_gradient,
        ops.transpose(matrix_gradient),
        bias_gradient[0],
    )


def _divergence(logits: Tensor, probabilities: Tensor, r_drop: float) -> tuple[Tensor, Tensor]:
    """Returns what R-Drop adds to each row's loss (2n, 1), and the gradient (2n, V) of it and the log normalizer.

    Args:
        logits: (2n, V), of the first passes, then of the second ones.
        probabilities: (2n, V), their softmax.
        r_drop: See `projected_cross_entropy`.
    """
    (first, second), (p, q) = ops.split(logits, 2), ops.split(probabilities, 2)
    half = r_drop / 2
    differences = half * (first - second)
    mean_by_p, mean_by_q = (ops.sum(x * differences, axis=-1, keepdims=True) for x in (p, q))
    gradients = (
        p * (differences + (1 + half - mean_by_p)) - half * q,
        q * ((1 + half + mean_by_q) - differences) - half * p,
    )
    return ops.concatenate([(mean_by_p - mean_by_q) / 2] * 2, axis=0), ops.concatenate(gradients, axis=0)
