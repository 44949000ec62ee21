"""What training minimises: a model under teacher forcing, with the loss summed over real tokens.

This module knows nothing of text, files, optimizers or the course of a training.

Shape letters: B batch, S source length, T target length, E embedding width.
"""

from __future__ import annotations

from typing import NamedTuple

from keras import ops

from nmt.backend import Tensor
from nmt.model import Seq2Seq
from nmt.text.special import PAD_ID
from nmt.training.losses import projected_cross_entropy


class Sums(NamedTuple):
    """Losses of a batch, in nats, summed over its real tokens: sums of parts add up to that of the whole."""

    loss: Tensor
    """What is minimised, scalar: the cross-entropy with smoothed labels, and R-Drop's divergence."""
    nll: Tensor
    """Negative log-likelihood of the labels, scalar."""


class Objective:
    """The loss of a `Seq2Seq` on a batch. Padding adds nothing to it.

    Args:
        model: The model to train.
        label_smoothing: Probability mass spread over the whole vocabulary, in [0, 1).
        r_drop: Weight of the divergence between two passes of training, see `projected_cross_entropy`; 0: one pass.
    """

    def __init__(self, model: Seq2Seq, label_smoothing: float = 0.0, r_drop: float = 0.0) -> None:
        self.model = model
        self.label_smoothing = label_smoothing
        self.r_drop = r_drop

    def __call__(self, source_ids: Tensor, target_ids: Tensor, labels: Tensor, training: bool = False) -> Sums:
        """Returns the losses of a batch.

        Args:
            source_ids: (B, S) int32, padded on the right.
            target_ids: (B, T) int32, likewise; what the decoder reads.
            labels: (B, T) int32, likewise; what it should say.
            training: Whether dropout is applied, labels are smoothed and the divergence is added.
        """
        r_drop = self.r_drop if training else 0.0
        weights = ops.cast(ops.not_equal(labels, PAD_ID), "float32")
        if r_drop:
            source_ids, target_ids, labels, weights = (
                ops.concatenate([rows, rows], axis=0) for rows in (source_ids, target_ids, labels, weights / 2)
            )
        # (B, T, E): the logits of all positions never exist at once.
        hidden, _ = self.model.teacher_force(source_ids, target_ids, training)
        readout = self.model.readout
        matrix, bias = readout.output_weights(self.model.target_embedding.embeddings)
        sums = projected_cross_entropy(
            ops.reshape(hidden, (-1, readout.units)),
            ops.cast(matrix, hidden.dtype),
            ops.cast(bias, hidden.dtype),
            ops.reshape(labels, (-1,)),
            ops.reshape(weights, (-1,)),
            self.label_smoothing if training else 0.0,
            r_drop,
        )
        return Sums(sums[0], sums[1])
