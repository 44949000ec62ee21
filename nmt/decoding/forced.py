"""Forced decoding: how probable a model finds a given target, and where it looks while it reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nmt.decoding.search import StepModel
from nmt.text.special import BOS_ID


class Forced(NamedTuple):
    """What a model makes of one target."""

    log_probs: NDArray[np.float32]
    """(T,), of each token, the end of sentence counted."""
    attention: NDArray[np.float32]
    """(T, S), over the tokens of the source, the end of sentence counted."""


class Model(StepModel, Protocol):
    """A model that can also be asked about a certain next token, and saved."""

    @property
    def workers(self) -> int:
        """How many batches are best worked on at a time, each in a thread."""

    @property
    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """The weights by name, as in a model file."""

    def label_log_probs(self, readout: Any, labels: NDArray[np.integer[Any]], /) -> NDArray[np.float32]:
        """Returns the log-probability (N,) of each label (N,)."""


def force(model: Model, source_ids: Sequence[Sequence[int]], target_ids: Sequence[Sequence[int]]) -> list[Forced]:
    """Decodes known targets.

    Args:
        model: What decodes.
        source_ids: A batch of sentences, each with its end of sentence.
        target_ids: For each its target, likewise.
    """
    encoded, state = model.encode(source_ids)
    lengths = [len(ids) for ids in target_ids]
    forced = [
        Forced(np.empty(len(target), "float32"), np.empty((len(target), len(source)), "float32"))
        for source, target in zip(source_ids, target_ids, strict=True)
    ]
    row_of = {one: one for one in range(len(forced))}  # in the state, which has a row for each that goes on
    for t in range(max(lengths, default=0)):
        going_on = [one for one, length in enumerate(lengths) if length > t]
        parents = np.array([row_of[one] for one in going_on])
        last = np.array([target_ids[one][t - 1] if t else BOS_ID for one in going_on])
        counts = [int(length > t) for length in lengths]
        readout, state, attention = model.advance(encoded, state, parents, last, counts)
        log_probs = model.label_log_probs(readout, np.array([target_ids[one][t] for one in going_on]))
        for row, one in enumerate(going_on):
            forced[one].log_probs[t] = log_probs[row]
            forced[one].attention[t] = attention[row, : len(source_ids[one])]
        row_of = {one: row for row, one in enumerate(going_on)}
    return forced
