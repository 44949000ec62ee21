"""The training loss: cross-entropy with label smoothing, from readout vectors to one number.

Keras's sparse cross-entropy has no label smoothing and its dense one wants one-hot targets. Both need the logits of all
positions at once, the largest tensor of training by far. Here they exist a few rows at a time: the gradient of softmax
cross-entropy has a closed form, so each block of rows gives its share of loss and gradient and is forgotten. This
module knows nothing of models or batches.

Shape letters: N positions, E readout width, V vocabulary size.
"""

from __future__ import annotations

from typing import NamedTuple

from keras import ops

from nmt.backend import Tensor, scan

ROWS_PER_BLOCK = 256
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
) -> Tensor:
    """Weighted sums of `cross_entropy` over the logits `hidden output_matrix^T + output_bias`, without their tensor.

    With p = softmax(logits), w a position's weight and e the smoothing, the gradient of the weighted loss is

        d logits = w * (p - (1 - e) * onehot(label) - e / V)

    and the gradients of the three inputs follow from it block by block, in the forward pass.

    Args:
        hidden: (N, E), any float dtype, which is also that of the products.
        output_matrix: (V, E), of the dtype of `hidden`.
        output_bias: (V,), of the dtype of `hidden`.
        labels: (N,), integer ids.
        weights: (N,), float32; zero on padding.
        label_smoothing: Mass e in [0, 1).

    Returns:
        Float32 tensor of shape (2,): the sum of the smoothed loss, which alone has a gradient, and the sum of the
        negative log-likelihood.
    """
    num_rows, width = ops.shape(hidden)[0], hidden.shape[-1]
    vocabulary_size = output_matrix.shape[0]
    num_blocks = -(-num_rows // ROWS_PER_BLOCK)
    padding = num_blocks * ROWS_PER_BLOCK - num_rows
    label_blocks = ops.reshape(ops.pad(labels, [[0, padding]]), (-1, ROWS_PER_BLOCK))
    weight_blocks = ops.reshape(ops.pad(weights, [[0, padding]]), (-1, ROWS_PER_BLOCK))
    ids = ops.expand_dims(ops.arange(vocabulary_size, dtype=labels.dtype), 0)

    def with_gradient(hidden: Tensor, matrix: Tensor, bias: Tensor) -> tuple[Tensor, object]:
        blocks = ops.reshape(ops.pad(hidden, [[0, padding], [0, 0]]), (-1, ROWS_PER_BLOCK, width))

        def step(
            sums: tuple[Tensor, Tensor, Tensor], block: tuple[Tensor, Tensor, Tensor]
        ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
            losses, matrix_gradient, bias_gradient = sums
            rows, labels, weights = block
            logits = ops.cast(ops.matmul(rows, ops.transpose(matrix)) + bias, "float32")  # (n, V)
            token_losses = cross_entropy(labels, logits, label_smoothing)
            losses = losses + ops.stack([ops.sum(weights * loss) for loss in token_losses])
            is_label = ops.equal(ops.expand_dims(labels, 1), ids)
            gradient = ops.softmax(logits) - ops.where(is_label, 1 - label_smoothing, 0.0)
            gradient = ops.expand_dims(weights, 1) * (gradient - label_smoothing / vocabulary_size)
            bias_gradient = bias_gradient + ops.sum(gradient, axis=0)
            gradient = ops.cast(gradient, rows.dtype)
            matrix_gradient = matrix_gradient + ops.cast(ops.matmul(ops.transpose(gradient), rows), "float32")
            return (losses, matrix_gradient, bias_gradient), ops.matmul(gradient, matrix)

        zeros = (ops.zeros((2,)), ops.zeros((vocabulary_size, width)), ops.zeros((vocabulary_size,)))
        sums, hidden_gradient = scan(step, zeros, (blocks, label_blocks, weight_blocks))
        losses, matrix_gradient, bias_gradient = sums
        hidden_gradient = ops.reshape(hidden_gradient, (-1, width))[:num_rows]

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
            scale = (args[0] if upstream is None else upstream)[0]
            return (
                hidden_gradient * ops.cast(scale, hidden_gradient.dtype),
                ops.cast(matrix_gradient * scale, matrix.dtype),
                ops.cast(bias_gradient * scale, bias.dtype),
            )

        return losses, gradient

    return ops.custom_gradient(with_gradient)(hidden, output_matrix, output_bias)
