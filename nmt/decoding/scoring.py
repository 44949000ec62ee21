"""How a hypothesis is scored, and what may not be emitted.

Each function has one job and composes with the others; none knows of models, beams or text.

Shape letters: B batch, K beam, S source length, L longest output, V vocabulary size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import ops

from nmt.backend import Tensor
from nmt.text.special import PAD_ID


def length_penalty(length: Tensor, alpha: float) -> Tensor:
    """Returns ((5 + length) / 6) ** alpha, what a log-probability is divided by.

    Wu et al. 2016, https://arxiv.org/abs/1609.08144, eq. 14. The end of sentence counts as a token.

    Args:
        length: Number of tokens, any shape.
        alpha: 0 leaves the log-probability as it is; larger values favour longer output.

    Example:
        >>> float(length_penalty(7, 1.0))
        2.0
    """
    return ops.power((5.0 + ops.cast(length, "float32")) / 6.0, alpha)


def coverage_penalty(coverage: Tensor, mask: Tensor, beta: float) -> Tensor:
    """Returns beta * sum over s of log(min(coverage_s, 1)), at most 0: lower where source words were left unread.

    Wu et al. 2016, https://arxiv.org/abs/1609.08144, eq. 14.

    Args:
        coverage: (B, K, S), the attention each source position has had, summed over the steps.
        mask: (B, S), True on real positions.
        beta: Strength; 0 gives 0.

    Returns:
        (B, K), float32.
    """
    covered = ops.log(ops.clip(coverage, 1e-10, 1.0))
    return beta * ops.sum(ops.where(ops.expand_dims(mask, 1), covered, 0.0), axis=-1)


def forbid(log_probs: Tensor, token_ids: Sequence[int]) -> Tensor:
    """Returns log-probabilities (..., V) with those of `token_ids` set to minus infinity."""
    banned = np.zeros(log_probs.shape[-1], bool)
    banned[list(token_ids)] = True
    return ops.where(banned, -np.inf, log_probs)


def limit_length(log_probs: Tensor, length: Tensor, min_length: Tensor, max_length: Tensor, eos_id: int) -> Tensor:
    """Forbids the end of sentence before `min_length` tokens, and anything but it as the token number `max_length`.

    Args:
        log_probs: (B, K, V).
        length: Scalar, the number of tokens that the hypothesis will have with this one.
        min_length: (B,), fewest tokens, the end of sentence counted.
        max_length: (B,), most tokens, the end of sentence counted.
        eos_id: The id of the end of sentence.
    """
    is_eos = np.arange(log_probs.shape[-1]) == eos_id
    too_short = ops.reshape(length < min_length, (-1, 1, 1))
    last = ops.reshape(length >= max_length, (-1, 1, 1))
    return ops.where(ops.where(is_eos, too_short, last), -np.inf, log_probs)


def forbid_repeated_ngrams(log_probs: Tensor, tokens: Tensor, length: Tensor, size: int) -> Tensor:
    """Forbids each token that would complete an n-gram which the hypothesis already contains.

    Args:
        log_probs: (B, K, V).
        tokens: (B, K, L), the tokens so far, then padding.
        length: Scalar, the number of tokens so far.
        size: n >= 1; 1 forbids every token already used.
    """
    batch_size, beam_size, max_length = ops.shape(tokens)
    vocabulary_size = log_probs.shape[-1]
    # At each position: does an n-gram end here whose first n - 1 tokens are the last n - 1 of the hypothesis?
    ends = ops.arange(max_length)
    repeats = ops.broadcast_to(ops.logical_and(ends >= size - 1, ends < length), (batch_size, beam_size, max_length))
    for offset in range(1, size):
        recent = ops.take(tokens, ops.reshape(ops.maximum(length - offset, 0), (1,)), axis=-1)
        repeats = ops.logical_and(repeats, ops.roll(tokens, offset, axis=-1) == recent)
    completing = ops.where(repeats, tokens, PAD_ID)
    rows = ops.expand_dims(ops.reshape(ops.arange(batch_size * beam_size), (batch_size, beam_size)), -1)
    flat_ids = ops.reshape(rows * vocabulary_size + completing, (-1, 1))
    flat = ops.reshape(log_probs, (-1,))
    minus_infinity = ops.full((ops.shape(flat_ids)[0],), -np.inf, dtype=flat.dtype)
    return ops.reshape(ops.scatter_update(flat, flat_ids, minus_infinity), ops.shape(log_probs))
