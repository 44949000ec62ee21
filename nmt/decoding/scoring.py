"""How a hypothesis is scored, and which tokens it may not have next.

Each function has one job and composes with the others; none knows of models, beams or text.

Shape letters: A sentences, K beam, N hypotheses, S source length, L longest output.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def length_penalty(length: ArrayLike, alpha: float) -> NDArray[np.float32]:
    """Returns ((5 + length) / 6) ** alpha, what a log-probability is divided by.

    Wu et al. 2016, https://arxiv.org/abs/1609.08144, eq. 14. The end of sentence counts as a token.

    Args:
        length: Number of tokens, any shape.
        alpha: 0 leaves the log-probability as it is; larger values favour longer output.

    Example:
        >>> float(length_penalty(7, 1.0))
        2.0
    """
    return np.power((5.0 + np.asarray(length, "float32")) / 6.0, np.float32(alpha))


def coverage_penalty(coverage: NDArray[np.float32], mask: NDArray[np.bool_], beta: float) -> NDArray[np.float32]:
    """Returns beta * sum over s of log(min(coverage_s, 1)), at most 0: lower where source words were left unread.

    Wu et al. 2016, https://arxiv.org/abs/1609.08144, eq. 14. A position that was never read counts as 1e-10, so that
    the penalty stays finite.

    Args:
        coverage: (A, K, S), the attention each source position has had, summed over the steps.
        mask: (A, S), True on real positions.
        beta: Strength; 0 gives 0.

    Returns:
        (A, K).
    """
    covered = np.log(np.clip(coverage, 1e-10, 1.0))
    total: NDArray[np.float32] = np.where(mask[:, None], covered, np.float32(0)).sum(axis=-1)
    return np.float32(beta) * total


def repeated_ngrams(tokens: NDArray[np.integer[Any]], size: int) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Finds each token that would complete an n-gram which the hypothesis already contains.

    Args:
        tokens: (N, L), the tokens of each hypothesis so far, all of the same length.
        size: n >= 1; 1 forbids every token already used.

    Returns:
        Rows of `tokens`, ascending, and for each a token that it may not have next; some may stand there twice.

    Example:
        >>> rows, token_ids = repeated_ngrams(np.array([[4, 5, 4], [4, 5, 6]]), 2)
        >>> rows.tolist(), token_ids.tolist()
        ([0], [5])
    """
    length = tokens.shape[1]
    if length < size:
        return np.empty(0, np.intp), np.empty(0, tokens.dtype)
    # Windows of n tokens: does one begin with the last n - 1 tokens of the hypothesis? Then it may not end as it did.
    windows = np.lib.stride_tricks.sliding_window_view(tokens, size, axis=1)
    recent = tokens[:, length - size + 1 :]
    rows, places = np.nonzero((windows[:, :, :-1] == recent[:, None]).all(axis=-1))
    return rows, windows[rows, places, -1]
