"""What training minimises: a model under teacher forcing, with the loss averaged over real tokens.

This module knows nothing of text, files or callbacks.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nmt.backend import Tensor
from nmt.model import Seq2Seq
from nmt.text.special import PAD_ID
from nmt.training.losses import projected_cross_entropy


class Objective(keras.Model):
    """A `Seq2Seq` with its loss, ready for `compile` (optimizer alone) and `fit`.

    Batches are `({"source_ids": (B, S), "target_ids": (B, T)}, labels (B, T))`. The loss is the mean over the real
    tokens of the batch: padding neither adds to it nor thins it. `nll` is the unsmoothed loss, averaged over all real
    tokens of the epoch; its exponential is the perplexity.

    Args:
        model: The model to train; its weights are shared, not copied.
        label_smoothing: Probability mass spread over the whole vocabulary, in [0, 1).
    """

    def __init__(self, model: Seq2Seq, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.label_smoothing = label_smoothing
        self.nll = keras.metrics.Mean(name="nll")
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Returns readout vectors (B, T, E): the logits of all positions never exist at once."""
        hidden, _ = self.model.teacher_force(inputs["source_ids"], inputs["target_ids"], training)
        return hidden

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        readout = self.model.readout
        matrix, bias = readout.output_weights(self.model.target_embedding.embeddings)
        is_real = ops.cast(ops.not_equal(y, PAD_ID), "float32")
        sums = projected_cross_entropy(
            ops.reshape(y_pred, (-1, readout.units)),
            ops.cast(matrix, y_pred.dtype),
            ops.cast(bias, y_pred.dtype),
            ops.reshape(y, (-1,)),
            ops.reshape(is_real, (-1,)),
            self.label_smoothing if training else 0.0,
        )
        num_tokens = ops.maximum(ops.sum(is_real), 1.0)
        self.nll.update_state(sums[1] / num_tokens, sample_weight=num_tokens)
        return sums[0] / num_tokens
