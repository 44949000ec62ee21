"""Several models in one search: at each step a token is as probable as the models find it on average.

    p(token | before, source) = 1/M sum_m p_m(token | before, source)

The arithmetic mean of the probabilities is the usual rule: fairseq's (`EnsembleModel.forward_decoder`, which averages
the attention weights likewise). A number stands for the same piece in all models; who loads them has made sure of that.
This module knows no weights, and no search.

Shape letters: M models, N hypotheses, V vocabulary size, P vocabulary with its padding, C candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmt.decoding.forced import ForcedModel
from nmt.decoding.numpy_cells import Floats
from nmt.decoding.numpy_model import NumpyModel, fold, greatest_tokens
from nmt.decoding.search import NEVER_EMITTED, Banned, Candidates
from nmt.errors import InputError
from nmt.text.special import EOS_ID

Choose = Callable[[Sequence[Any], int, Banned | None], Candidates]
"""From the readout of each model, how many, and what is banned, to the candidates of the mean."""


class Ensemble:
    """Models that decode together, as a search wants one.

    Args:
        models: The models, one or more, all of the same vocabularies.
        choose: Finds the candidates; `numpy_candidates(models)`, or its like in `nmt.decoding.keras_model`.
        workers: How many batches are best worked on at a time.
    """

    def __init__(self, models: Sequence[ForcedModel], choose: Choose, *, workers: int) -> None:
        self.models = models
        self.workers = workers
        self.target_vocabulary_size = models[0].target_vocabulary_size
        self._choose = choose

    @property
    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """None: an ensemble is not saved.

        Raises:
            InputError: Always.
        """
        raise InputError("an ensemble has no weights of its own. Save its models one by one, or average their weights.")

    def encode(self, source_ids: Sequence[Sequence[int]]) -> tuple[list[Any], list[Any]]:
        """Returns what each model needs of the sentences, and its states."""
        pairs = [model.encode(source_ids) for model in self.models]
        return [encoded for encoded, _ in pairs], [state for _, state in pairs]

    def advance(
        self,
        encoded: list[Any],
        state: list[Any],
        parents: NDArray[np.intp],
        token_ids: NDArray[np.integer[Any]],
        counts: Sequence[int],
    ) -> tuple[list[Any], list[Any], NDArray[np.float32]]:
        """Decodes one position of every hypothesis with each model; see `nmt.decoding.search.StepModel`.

        Returns:
            The readout of each model, the state of each after, and the mean of their attention weights.
        """
        readouts, after, attention = [], [], []
        for model, of_model, before in zip(self.models, encoded, state, strict=True):
            readout, one_after, weights = model.advance(of_model, before, parents, token_ids, counts)
            readouts.append(readout)
            after.append(one_after)
            attention.append(weights)
        return readouts, after, np.mean(attention, axis=0)

    def candidates(self, readout: list[Any], size: int, banned: Banned | None = None) -> Candidates:
        """Returns the most probable next tokens of each hypothesis; see `nmt.decoding.search.StepModel`."""
        return self._choose(readout, size, banned)

    def label_log_probs(self, readout: list[Any], labels: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Returns the log-probability (N,) of each label (N,)."""
        return _log_mean([model.label_log_probs(one, labels) for model, one in zip(self.models, readout, strict=True)])


def numpy_candidates(models: Sequence[NumpyModel]) -> Choose:
    """Returns what finds the candidates of the mean of these models."""

    def choose(readouts: Sequence[Floats], size: int, banned: Banned | None) -> Candidates:
        num_rows = len(readouts[0])
        size = min(size, len(models[0].output_bias))
        best = Candidates(
            np.empty((num_rows, size), np.intp), np.empty((num_rows, size), "float32"), np.empty(num_rows, "float32")
        )
        blocks = (model.logit_blocks(readout) for model, readout in zip(models, readouts, strict=True))
        for parts in zip(*blocks, strict=True):
            rows, _, total = parts[0]
            normalizers = [_softmax(logits, probabilities) for _, logits, probabilities in parts]
            for _, _, probabilities in parts[1:]:
                total += probabilities
            # Greatest in the sum is greatest in the mean. What may not come is below whatever has become zero.
            total[:, NEVER_EMITTED] = total[:, models[0].target_vocabulary_size :] = -1
            if banned is not None:
                here = slice(*np.searchsorted(banned.rows, [rows.start, rows.stop]))
                total[banned.rows[here] - rows.start, banned.token_ids[here]] = -1
            token_ids, sums = greatest_tokens(total, fold(total), size)
            # Of the few that are chosen the logarithm of the mean is taken where no probability is too small for it.
            log_probs = _log_mean(
                [
                    np.take_along_axis(logits, token_ids, axis=1) - normalizer
                    for (_, logits, _), normalizer in zip(parts, normalizers, strict=True)
                ]
            )
            best.token_ids[rows], best.log_probs[rows] = token_ids, np.where(sums < 0, -np.inf, log_probs)
            best.eos_log_probs[rows] = _log_mean(
                [
                    logits[:, EOS_ID] - normalizer[:, 0]
                    for (_, logits, _), normalizer in zip(parts, normalizers, strict=True)
                ]
            )
        return best

    return choose


def _softmax(logits: Floats, probabilities: Floats) -> Floats:
    """Writes the probabilities (n, P), and returns the logarithm (n, 1) of what a row was divided by."""
    highest = logits.max(axis=1, keepdims=True)
    np.subtract(logits, highest, out=probabilities)
    np.exp(probabilities, out=probabilities)
    total = probabilities.sum(axis=1, keepdims=True)
    probabilities /= total
    normalizer: Floats = highest + np.log(total)
    return normalizer


def _log_mean(log_probs: Sequence[Floats]) -> NDArray[np.float32]:
    """Returns the logarithm of the mean of probabilities that are given as logarithms; it has their shape."""
    # The greatest of them, or a finite number where all are -inf.
    highest = np.maximum(np.max(log_probs, axis=0), np.finfo("float32").min)
    with np.errstate(divide="ignore"):  # of none that is possible the logarithm is -inf
        total = np.log(sum(np.exp(one - highest) for one in log_probs))
    return np.asarray(highest + (total - math.log(len(log_probs))), "float32")
