"""A recurrent cell run over time: masks and direction.

The one scan over the source lives here; the decoder's, which must attend at every step, is in `decoder.py`. This module
knows cells by their two methods, `project` and `step`, and nothing of text.

Shape letters: B batch, T positions, I input width, H units.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nmt.backend import Tensor, scan, with_gradient
from nmt.layers.cells import GRUCell
from nmt.layers.gates import GRUGradient, GRUTrace, GRUWeights, before, gru_step

SHUT = 1e4
"""More than any pre-activation there is: with it added, the sigmoid is exactly 1."""


@keras.saving.register_keras_serializable(package="nmt")
class GRU(keras.layers.Layer):
    """A gated recurrent unit over a masked sequence, in either direction.

    The state stands still where the mask is False, so padding changes nothing on either side of a sentence. Read
    backwards, it starts at each sentence's last real token.

    Args:
        units: Width H of the state.
        reset_after: Variant of the cell, see `GRUCell`.
        reverse: Whether to read from the last position to the first. Outputs keep the positions of their inputs.
        recurrent_dropout_rate: Variational dropout on the state in the recurrent product: one mask a sentence.
        layer_norm: Whether the products are normalised, see `GRUCell`.

    Returns:
        States of shape (B, T, H). At a masked position this is the state carried past it.

    Example:
        >>> import numpy as np
        >>> states = GRU(4)(np.ones((2, 5, 3), "float32"), mask=np.ones((2, 5), bool))
        >>> tuple(states.shape)
        (2, 5, 4)
    """

    def __init__(
        self,
        units: int,
        reset_after: bool = True,
        reverse: bool = False,
        recurrent_dropout_rate: float = 0.0,
        layer_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.units = units
        self.reset_after = reset_after
        self.reverse = reverse
        self.recurrent_dropout_rate = recurrent_dropout_rate
        self.layer_norm = layer_norm
        self.cell = GRUCell(units, reset_after, layer_norm, dtype=self.dtype_policy, name="cell")
        self.recurrent_dropout = keras.layers.Dropout(
            recurrent_dropout_rate, dtype=self.dtype_policy, name="recurrent_dropout"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.cell.build(input_shape)
        super().build(input_shape)

    def call(self, inputs: Tensor, mask: Tensor | None = None, training: bool = False) -> Tensor:
        batch_size = ops.shape(inputs)[0]
        # Transposed before the product, which makes it wider.
        projected = self.cell.project(ops.transpose(inputs, (1, 0, 2)))
        state = ops.zeros((batch_size, self.units), dtype=self.variable_dtype)
        # Drawn before the scan: on JAX no seed may advance inside it.
        recurrent_mask = None
        if training and self.recurrent_dropout_rate:
            recurrent_mask = ops.cast(self.recurrent_dropout(ops.ones_like(state), training=True), state.dtype)

        if mask is not None:
            projected = _shut_update_gate(projected, ops.expand_dims(ops.transpose(mask), -1))
        states = gru_scan(projected, state, self.cell.recurrent_weights(), recurrent_mask, reverse=self.reverse)
        return ops.transpose(ops.cast(states, self.compute_dtype), (1, 0, 2))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "reset_after": self.reset_after,
            "reverse": self.reverse,
            "recurrent_dropout_rate": self.recurrent_dropout_rate,
            "layer_norm": self.layer_norm,
        }


def gru_scan(
    projected: Tensor, state: Tensor, weights: GRUWeights, recurrent_mask: Tensor | None, *, reverse: bool = False
) -> Tensor:
    """Runs `gru_step` over all positions, with a gradient by `GRUGradient`.

    Args:
        projected: (T, B, 3H), the inputs' share of the gates.
        state: (B, H), the first state.
        weights: Of the cell.
        recurrent_mask: (B, H) or None.
        reverse: Whether to run from the last position to the first.

    Returns:
        States (T, B, H).
    """

    def forward(
        projected: Tensor, state: Tensor, weights: GRUWeights, recurrent_mask: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, GRUTrace]]:
        def step(state: Tensor, projected: Tensor) -> tuple[Tensor, tuple[Tensor, GRUTrace]]:
            state, trace = gru_step(projected, state, weights, recurrent_mask)
            return state, (state, trace)

        _, (states, trace) = scan(step, state, projected, reverse=reverse)
        return states, (states, trace)

    def backward(
        inputs: tuple[Tensor, Tensor, GRUWeights, Tensor | None], saved: tuple[Tensor, GRUTrace], upstream: Tensor
    ) -> tuple[Tensor, Tensor, GRUWeights, None]:
        _, state, weights, recurrent_mask = inputs
        states, trace = saved
        gradient = GRUGradient(weights, trace, before(state, states, reverse), recurrent_mask)

        def step(of_state: Tensor, at: tuple[Tensor, tuple[Tensor, ...]]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            upstream, position = at
            return gradient.step(of_state + upstream, position)

        of_first, of_products = scan(step, ops.zeros_like(state), (upstream, gradient.positions), reverse=not reverse)
        return of_products[0], of_first, gradient.weight_gradients(*of_products), None

    return with_gradient(forward, backward, projected, state, weights, recurrent_mask)


def _shut_update_gate(projected: Tensor, is_real: Tensor) -> Tensor:
    """Makes z exactly 1 at masked positions, so that the state passes them unchanged: z h + (1 - z) c = h.

    The gradient at such a position is zero by z (1 - z) = 0 and 1 - z = 0; a choice would only pad it with zeros again.

    Args:
        projected: (T, B, 3H).
        is_real: (T, B, 1).
    """
    units = projected.shape[-1] // 3
    is_z = ops.cast(ops.arange(3 * units) < units, projected.dtype)
    return projected + SHUT * ops.cast(ops.logical_not(is_real), projected.dtype) * is_z
