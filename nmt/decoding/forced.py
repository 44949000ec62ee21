"""Forced decoding: how probable a model finds a given target, and where it looks while it reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nmt.decoding.search import StepModel
from nmt.decoding.token_ids import check_token_ids
from nmt.text.special import BOS_ID


class Forced(NamedTuple):
    """What a model makes of one target."""

    log_probs: NDArray[np.float32]
    """(T,), of each token, the end of sentence counted."""
    attention: NDArray[np.float32] | None
    """(T, S), over the tokens of the source, the end of sentence counted; where asked for."""


class ForcedModel(StepModel, Protocol):
    """A model that can also be asked about a certain next token."""

    @property
    def target_vocabulary_size(self) -> int:
        """Number of pieces that it can emit."""

    def label_log_probs(self, readout: Any, labels: NDArray[np.integer[Any]], /) -> NDArray[np.float32]:
        """Returns the log-probability (N,) of each label (N,)."""


def force(
    model: ForcedModel,
    source_ids: Sequence[Sequence[int]],
    target_ids: Sequence[Sequence[int]],
    *,
    with_attention: bool = False,
) -> list[Forced]:
    """Decodes known targets.

    Args:
        model: What decodes.
        source_ids: A batch of sentences, one or more, each with its end of sentence.
        target_ids: For each its target, likewise.
        with_attention: Whether to keep the attention weights, T x S numbers for each sentence.

    Raises:
        InputError: A token id is outside its vocabulary.
    """
    check_token_ids(target_ids, model.target_vocabulary_size, "target")
    encoded, state = model.encode(source_ids)
    lengths = [len(ids) for ids in target_ids]
    forced = [
        Forced(
            np.empty(len(target), "float32"),
            np.empty((len(target), len(source)), "float32") if with_attention else None,
        )
        for source, target in zip(source_ids, target_ids, strict=True)
    ]
    # Which row of the state is whose: there is one for each sentence that goes on.
    row_of = {sentence: sentence for sentence in range(len(forced))}
    for t in range(max(lengths)):
        going_on = [sentence for sentence, length in enumerate(lengths) if length > t]
        parents = np.array([row_of[sentence] for sentence in going_on])
        last = np.array([target_ids[sentence][t - 1] if t else BOS_ID for sentence in going_on])
        counts = [int(length > t) for length in lengths]
        readout, state, attention = model.advance(encoded, state, parents, last, counts)
        labels = np.array([target_ids[sentence][t] for sentence in going_on])
        for row, (sentence, log_prob) in enumerate(zip(going_on, model.label_log_probs(readout, labels), strict=True)):
            forced[sentence].log_probs[t] = log_prob
            kept = forced[sentence].attention
            if kept is not None:
                kept[t] = attention[row, : kept.shape[1]]
        row_of = {sentence: row for row, sentence in enumerate(going_on)}
    return forced
