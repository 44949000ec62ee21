"""Token ids before they reach a model: an embedding given a wrong one would take another row, zeros or memory at large.

NumPy counts a negative id from the end, TensorFlow on a GPU returns zeros, JAX takes the last row: none says so. This
module knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nmt.errors import InputError


def check_token_ids(sentences: Sequence[Sequence[int]], vocabulary_size: int, side: str) -> None:
    """Refuses ids that a vocabulary does not have.

    Args:
        sentences: The ids of each sentence.
        vocabulary_size: Number of pieces; ids are from 0 to one less.
        side: "source" or "target", for the message.

    Raises:
        InputError: An id is no whole number, or outside the vocabulary; the first such is named.

    Example:
        >>> check_token_ids([[4, 5], []], 6, "source")
        >>> check_token_ids([[4, 5], [6]], 6, "source")
        Traceback (most recent call last):
        nmt.errors.InputError: a source token id must be >= 0 and < 6, the size of the vocabulary. Received: 6 at
        position 0 of sentence 1. Encode the text with the model's own tokenizer.
    """
    everything = np.array([token_id for ids in sentences for token_id in ids])
    if not everything.size:
        return
    if everything.dtype.kind not in "iu":
        raise InputError(
            f"{side} token ids must be whole numbers. Received: {everything.dtype}. "
            "Encode the text with the model's own tokenizer."
        )
    if everything.min() >= 0 and everything.max() < vocabulary_size:
        return
    number, position, token_id = next(
        (number, position, token_id)
        for number, ids in enumerate(sentences)
        for position, token_id in enumerate(ids)
        if not 0 <= token_id < vocabulary_size
    )
    raise InputError(
        f"a {side} token id must be >= 0 and < {vocabulary_size:,}, the size of the vocabulary. "
        f"Received: {token_id} at position {position} of sentence {number}. "
        "Encode the text with the model's own tokenizer."
    )
