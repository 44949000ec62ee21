"""The encoder: a stack of bidirectional recurrent layers over embedded source tokens.

This module knows nothing of vocabularies or of what the decoder does with the memory.

Shape letters: B batch, S source length, E embedding width, H units of one direction, M = 2H memory width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from nmt.backend import Tensor
from nmt.layers.dropout import dropout
from nmt.layers.recurrence import GRU


class EncoderOutput(NamedTuple):
    """All that a decoder step needs of the source; batch-major."""

    memory: Tensor
    """(B, S, M), the encoder's states."""
    keys: Tensor
    """(B, S, A), the memory projected for attention, once a sentence."""
    mask: Tensor
    """(B, S), True on real tokens."""
    summary: Tensor
    """(B, M), what the bridge starts the decoder from."""
    lexical: Tensor
    """(B, S, E), what each token adds to a readout vector by the lexical model; of width 0 without one."""


@keras.saving.register_keras_serializable(package="nmt")
class Encoder(keras.layers.Layer):
    """Bidirectional GRU encoder (Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473, section 3.2), stackable.

    Each layer reads the sentence both ways and joins the two states of each position. From the second layer on, a layer
    adds to the output of the one below (residual), so that depth does not cost trainability; no dropout on that path.

    Args:
        units: Units H of each direction.
        num_layers: Bidirectional layers.
        reset_after: Variant of the GRU.
        dropout_rate: Dropout on what each layer is given.
        variational_dropout: Whether that dropout draws one mask a sentence instead of one a position.
        recurrent_dropout_rate: Variational dropout on the recurrent state.
        layer_norm: Whether the GRUs' products are normalised, see `GRUCell`.

    Returns:
        Memory of shape (B, S, M), zero on padding.

    Example:
        >>> import numpy as np
        >>> tuple(Encoder(4)(np.ones((2, 5, 3), "float32"), mask=np.ones((2, 5), bool)).shape)
        (2, 5, 8)
    """

    def __init__(
        self,
        units: int,
        num_layers: int = 1,
        reset_after: bool = True,
        dropout_rate: float = 0.0,
        variational_dropout: bool = False,
        recurrent_dropout_rate: float = 0.0,
        layer_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.units = units
        self.num_layers = num_layers
        self.reset_after = reset_after
        self.dropout_rate = dropout_rate
        self.variational_dropout = variational_dropout
        self.recurrent_dropout_rate = recurrent_dropout_rate
        self.layer_norm = layer_norm

        def direction(layer: int, reverse: bool) -> GRU:
            name = f"layer_{layer}_{'backward' if reverse else 'forward'}"
            return GRU(
                units,
                reset_after=reset_after,
                reverse=reverse,
                recurrent_dropout_rate=recurrent_dropout_rate,
                layer_norm=layer_norm,
                dtype=self.dtype_policy,
                name=name,
            )

        self.forward_layers = [direction(layer, reverse=False) for layer in range(num_layers)]
        self.backward_layers = [direction(layer, reverse=True) for layer in range(num_layers)]
        self.dropout = dropout(dropout_rate, variational_dropout, self.dtype_policy, "dropout")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = input_shape
        for forward, backward in zip(self.forward_layers, self.backward_layers, strict=True):
            forward.build(shape)
            backward.build(shape)
            shape = (*input_shape[:-1], 2 * self.units)
        super().build(input_shape)

    def call(self, inputs: Tensor, mask: Tensor, training: bool = False) -> Tensor:
        memory = inputs
        for depth, (forward, backward) in enumerate(zip(self.forward_layers, self.backward_layers, strict=True)):
            given = self.dropout(memory, training=training)
            states = ops.concatenate(
                [
                    forward(given, mask=mask, training=training),
                    backward(given, mask=mask, training=training),
                ],
                axis=-1,
            )
            memory = states if depth == 0 else memory + states
        return memory * ops.cast(ops.expand_dims(mask, -1), memory.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 2 * self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_layers": self.num_layers,
            "reset_after": self.reset_after,
            "dropout_rate": self.dropout_rate,
            "variational_dropout": self.variational_dropout,
            "recurrent_dropout_rate": self.recurrent_dropout_rate,
            "layer_norm": self.layer_norm,
        }


def mean_over_tokens(memory: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean of (B, S, M) over the real tokens of each sentence, (B, M); zero where there is none."""
    weights = ops.expand_dims(ops.cast(mask, memory.dtype), -1)
    return ops.sum(memory * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1)
