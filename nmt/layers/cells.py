"""One step of a gated recurrent unit.

A cell splits its work in two, because the two halves run at different times: `project` multiplies the inputs of all
positions in one large product before a scan, `step` does what must wait for the previous state. This module knows
nothing of time, masks or text.

Shape letters: B batch, I input width, H units.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nmt.backend import Tensor
from nmt.layers.gates import GRUWeights, gru_step


@keras.saving.register_keras_serializable(package="nmt")
class GRUCell(keras.layers.Layer):
    r"""Gated recurrent unit (Cho et al. 2014, https://arxiv.org/abs/1406.1078, section 2.3).

    With input x, previous state h and gate order z, r, c along the last axis of each kernel:

        z  = sigmoid(W_z x + U_z h + b_z)            update gate
        r  = sigmoid(W_r x + U_r h + b_r)            reset gate
        c  = tanh(W_c x + U_c (r * h) + b_c)         candidate, reset_after=False (the paper)
        c  = tanh(W_c x + r * (U_c h + d_c) + b_c)   candidate, reset_after=True (cuDNN; one product a step)
        h' = z * h + (1 - z) * c

    Args:
        units: Width H of the state.
        reset_after: Whether the reset gate is applied after the recurrent product, or before it.

    Example:
        >>> import numpy as np
        >>> cell = GRUCell(4)
        >>> x, h = np.ones((2, 3), "float32"), np.zeros((2, 4), "float32")
        >>> tuple(cell(x, h).shape)
        (2, 4)
    """

    def __init__(self, units: int, reset_after: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be >= 1. Received: units={units}")
        self.units = units
        self.reset_after = reset_after

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = 3 * self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], width), initializer=_per_gate("glorot_uniform"), name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width), initializer=_per_gate("orthogonal"), name="recurrent_kernel"
        )
        self.bias = self.add_weight(shape=(width,), initializer="zeros", autocast=False, name="bias")
        if self.reset_after:
            # The gates' share of a recurrent bias would only repeat `bias`.
            self.candidate_bias = self.add_weight(
                shape=(self.units,), initializer="zeros", autocast=False, name="candidate_bias"
            )
        super().build(input_shape)

    def call(self, inputs: Tensor, state: Tensor) -> Tensor:
        state = self.step(self.project(inputs), ops.cast(state, self.variable_dtype))
        return ops.cast(state, self.compute_dtype)

    def project(self, inputs: Tensor) -> Tensor:
        """Returns W x + b for inputs of shape (..., I) at any number of positions: (..., 3H), in the weights' dtype."""
        kernel, bias = self.input_weights()
        return ops.cast(ops.matmul(inputs, kernel), bias.dtype) + bias

    def step(self, projected: Tensor, state: Tensor, recurrent_mask: Tensor | None = None) -> Tensor:
        """Returns the next state, in the dtype of the weights like all that it takes.

        Args:
            projected: (B, 3H), what `project` made of this position's input, plus any other input to the gates.
            state: (B, H), the previous state.
            recurrent_mask: (B, H), a variational dropout mask on the state where it enters the products (Gal and
                Ghahramani 2016, https://arxiv.org/abs/1512.05287, eq. 7), or None.
        """
        return gru_step(projected, state, self.recurrent_weights(), recurrent_mask)[0]

    # Keras casts weights inside `call` alone; `project` and `step` are also called by the layers around the cell.
    def input_weights(self) -> tuple[Tensor, Tensor]:
        """Returns the kernel, in the dtype of products, and the bias that `project` reads."""
        return ops.cast(self.kernel, self.compute_dtype), ops.cast(self.bias, self.variable_dtype)

    def recurrent_weights(self) -> GRUWeights:
        """Returns the weights that `step` reads, the kernel in the dtype of products."""
        candidate_bias = ops.cast(self.candidate_bias, self.variable_dtype) if self.reset_after else None
        return GRUWeights(ops.cast(self.recurrent_kernel, self.compute_dtype), candidate_bias)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "reset_after": self.reset_after}


@keras.saving.register_keras_serializable(package="nmt")
class PerGate(keras.initializers.Initializer):
    """Initializes each of the three gates' blocks of a kernel on its own, as if it were a matrix alone.

    Glorot's limits and orthogonality are properties of one square block; over the whole (I, 3H) kernel they would give
    smaller weights.
    """

    def __init__(self, initializer: Any) -> None:
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        block = (*shape[:-1], shape[-1] // 3)
        # A seeded initializer gives the same values at every call: each gate needs one of its own.
        blocks = [self.initializer.clone()(block, dtype=dtype) for _ in range(3)]
        return ops.concatenate(blocks, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"initializer": keras.initializers.serialize(self.initializer)}


def _per_gate(initializer: str) -> PerGate:
    return PerGate(initializer)
