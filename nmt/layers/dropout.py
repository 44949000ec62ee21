"""Dropout of activations (Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html).

That of the recurrent state is in `GRU` and `Decoder`: its mask is drawn once, before the scan.
"""

from __future__ import annotations

from typing import Any

import keras


def dropout(rate: float, variational: bool, dtype: Any, name: str) -> keras.layers.Dropout:
    """Returns dropout for (B, T, width) inputs: one mask a position, or one for all positions of a sentence.

    The second is variational dropout (Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287).
    """
    noise_shape = (None, 1, None) if variational else None
    return keras.layers.Dropout(rate, noise_shape=noise_shape, dtype=dtype, name=name)


def word_dropout(rate: float, dtype: Any, name: str) -> keras.layers.Dropout:
    """Returns dropout of whole positions of (B, T, width) inputs: each is zero with this chance, or 1 / (1 - rate) x.

    So the mean of each position stays. It is the embeddings' dropout of Gal and Ghahramani (2016,
    https://arxiv.org/abs/1512.05287, section 4.2), drawn for each position and not for each word of the vocabulary, as
    Sennrich et al. (2016, https://arxiv.org/abs/1606.02891) drop source and target words.
    """
    return keras.layers.Dropout(rate, noise_shape=(None, None, 1), dtype=dtype, name=name)
