"""One update of the weights: gradients of one batch or several, clipped together, applied if they are finite.

This module knows batches of ids, nothing of text, files or the course of a training.

Shape letters: B batch, S source length, T target length.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from nmt.backend import Tensor
from nmt.data.dataset import Batch
from nmt.errors import InputError
from nmt.text.special import PAD_ID
from nmt.training.backend import apply_if, compiled_gradient, compiled_update, is_out_of_memory
from nmt.training.objective import Objective, Sums

logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """What an update found, before it changed anything."""

    loss: float
    """What training minimises, see `objective.Sums`, summed over the real target tokens, in nats."""
    nll: float
    """Sum of their negative log-likelihoods, in nats."""
    num_tokens: int
    """Real target tokens."""
    gradient_norm: float
    """Global norm of the gradient of the mean loss, before clipping."""
    is_applied: bool
    """Whether the weights were changed: not if the loss or the norm is no finite number."""


class Updater:
    """Makes updates.

    The gradient is that of the mean loss over the real tokens of all batches of an update. Batches are worked on one
    after the other and their gradients summed, so an update of several batches, or of one in parts, has the gradient of
    one large batch and the memory of a small one. It is scaled down to `clip_norm` (Pascanu et al. 2013,
    https://arxiv.org/abs/1211.5063). Where the loss or the norm is not finite nothing is changed: no weight, no slot of
    the optimizer, no average, no count.

    Args:
        objective: What is minimised.
        optimizer: What applies the gradients; built here.
        clip_norm: Largest global norm of a gradient that is applied.
    """

    def __init__(self, objective: Objective, optimizer: keras.optimizers.Optimizer, clip_norm: float) -> None:
        self.optimizer = optimizer
        self._model = model = objective.model
        weights = model.trainable_variables
        optimizer.build(weights)
        self.variables: list[keras.Variable] = [*model.variables, *optimizer.variables]
        """All that updates change, seed generators too: what a checkpoint has to hold."""

        def share(source_ids: Tensor, target_ids: Tensor, labels: Tensor, num_tokens: Tensor) -> tuple[Tensor, Sums]:
            sums = objective(source_ids, target_ids, labels, training=True)
            return sums.loss / num_tokens, sums

        def apply(gradients: list[Tensor], loss: Tensor) -> tuple[Tensor, Tensor]:
            norm = ops.sqrt(ops.sum(ops.stack([ops.sum(ops.square(gradient)) for gradient in gradients])))
            is_finite = ops.logical_and(ops.isfinite(norm), ops.isfinite(loss))
            scale = ops.minimum(1.0, clip_norm / norm)
            clipped = [gradient * scale for gradient in gradients]
            apply_if(is_finite, lambda: optimizer.apply(clipped, weights), [*weights, *optimizer.variables])
            return norm, is_finite

        self._share = compiled_gradient(share, weights, model.non_trainable_variables)
        self._apply = compiled_update(apply, [*weights, *optimizer.variables])

    def __call__(self, batches: Sequence[Batch]) -> Outcome:
        """Makes one update.

        Args:
            batches: At least one; `ParallelDataset` tells their form.

        Raises:
            InputError: An id lies outside its vocabulary; some backends would take another piece for it.
        """
        for batch in batches:
            _check_ids(batch.source_ids, self._model.source_embedding.input_dim, "source")
            _check_ids(batch.target_ids, self._model.target_embedding.input_dim, "target")
            _check_ids(batch.labels, self._model.target_embedding.input_dim, "target")
        num_tokens = sum(int(np.count_nonzero(batch.labels != PAD_ID)) for batch in batches)
        loss = nll = 0.0
        total: list[Tensor] = []
        waiting = list(batches)
        while waiting:
            batch = waiting.pop(0)
            try:
                ids = batch.source_ids, batch.target_ids, batch.labels
                gradients, sums = self._share(*ids, np.float32(max(num_tokens, 1)))
                part_loss, part_nll = float(sums.loss), float(sums.nll)
            except Exception as error:
                if not is_out_of_memory(error) or len(batch.labels) == 1:
                    raise
                logger.warning("a batch of %d pairs does not fit into memory: it is halved", len(batch.labels))
                waiting[:0] = halves(batch)
                continue
            loss, nll = loss + part_loss, nll + part_nll
            total = [old + new for old, new in zip(total, gradients, strict=True)] if total else gradients
        norm, is_applied = self._apply(total, np.float32(loss))
        return Outcome(loss, nll, num_tokens, float(norm), bool(is_applied))


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Returns the first and the other pairs of a batch of several, each padded to the longest of its own."""
    middle = len(batch.labels) // 2
    first, second = slice(middle), slice(middle, None)
    return _rows(batch, first), _rows(batch, second)


def _check_ids(ids: np.ndarray, vocabulary_size: int, side: str) -> None:
    lowest, highest = int(ids.min()), int(ids.max())
    if lowest < 0 or highest >= vocabulary_size:
        raise InputError(
            f"{side} ids are from 0 to {vocabulary_size - 1:,}, those of the vocabulary. Received: "
            f"{lowest if lowest < 0 else highest:,}. Was the corpus encoded with the tokenizer of this model?"
        )


def _rows(batch: Batch, rows: slice) -> Batch:
    source_ids, target_ids, labels = (
        array[rows, : max(1, (array[rows] != PAD_ID).any(axis=0).sum())]
        for array in (batch.source_ids, batch.target_ids, batch.labels)
    )
    return Batch(source_ids, target_ids, labels, batch.numbers[rows])
