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
from nmt.layers.normalization import centred, normalize_positions


class RecurrentCell(keras.layers.Layer):
    """What the cells share: the weights that meet the state, and the step.

    Args:
        units: Width H of the state.
        reset_after: Whether the reset gate is applied after the recurrent product, or before it.
        layer_norm: Whether the products are normalised.
    """

    def __init__(self, units: int, reset_after: bool = True, layer_norm: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be >= 1. Received: units={units}")
        self.units = units
        self.reset_after = reset_after
        self.layer_norm = layer_norm

    def _build_recurrent_weights(self) -> None:
        width = 3 * self.units
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width), initializer=PerGate("orthogonal"), name="recurrent_kernel"
        )
        self.bias = self.add_weight(shape=(width,), initializer="zeros", autocast=False, name="bias")
        if self.reset_after:
            # The gates' share of a recurrent bias would only repeat `bias`.
            self.candidate_bias = self.add_weight(
                shape=(self.units,), initializer="zeros", autocast=False, name="candidate_bias"
            )
        if self.layer_norm:
            self.recurrent_gain = self.add_weight(
                shape=(width,), initializer="ones", autocast=False, name="recurrent_gain"
            )

    def step(self, projected: Tensor, state: Tensor, recurrent_mask: Tensor | None = None) -> Tensor:
        """Returns the next state, in the dtype of the weights like all that it takes.

        Args:
            projected: (B, 3H), W x + b of this position, with any other input to the gates; b of a cell without one.
            state: (B, H), the previous state.
            recurrent_mask: (B, H), a variational dropout mask on the state where it enters the products (Gal and
                Ghahramani 2016, https://arxiv.org/abs/1512.05287, eq. 7), or None.
        """
        return gru_step(projected, state, self.recurrent_weights(), recurrent_mask)[0]

    # Keras casts weights inside `call` alone; `project` and `step` are also called by the layers around the cell.
    def recurrent_weights(self) -> GRUWeights:
        """Returns the weights that `step` reads, the kernel in the dtype of products."""
        candidate_bias = ops.cast(self.candidate_bias, self.variable_dtype) if self.reset_after else None
        gain = ops.cast(self.recurrent_gain, self.variable_dtype) if self.layer_norm else None
        return GRUWeights(self.product_kernel(self.recurrent_kernel), candidate_bias, gain)

    def product_kernel(self, kernel: Tensor) -> Tensor:
        """Returns a kernel (..., 3H) as it meets a vector: centred where products are normalised, in their dtype."""
        if self.layer_norm:
            kernel = centred(ops.cast(kernel, self.variable_dtype))
        return ops.cast(kernel, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = {"units": self.units, "reset_after": self.reset_after, "layer_norm": self.layer_norm}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="nmt")
class GRUCell(RecurrentCell):
    r"""Gated recurrent unit (Cho et al. 2014, https://arxiv.org/abs/1406.1078, section 2.3).

    With input x, previous state h and gate order z, r, c along the last axis of each kernel:

        z  = sigmoid(W_z x + U_z h + b_z)            update gate
        r  = sigmoid(W_r x + U_r h + b_r)            reset gate
        c  = tanh(W_c x + U_c (r * h) + b_c)         candidate, reset_after=False (the paper)
        c  = tanh(W_c x + r * (U_c h + d_c) + b_c)   candidate, reset_after=True (cuDNN; one product a step)
        h' = z * h + (1 - z) * c

    With layer normalisation (Ba et al. 2016, https://arxiv.org/abs/1607.06450, supplementary material) every product
    p above becomes g (p - mean of p) / sqrt(variance of p + epsilon), with a gain g for the input's products and one
    for the state's. Mean and variance are those of the 2H products of the gates together, or of the candidate's H.

    Args:
        units: Width H of the state.
        reset_after: Whether the reset gate is applied after the recurrent product, or before it.
        layer_norm: Whether the products are normalised.

    Example:
        >>> import numpy as np
        >>> cell = GRUCell(4)
        >>> x, h = np.ones((2, 3), "float32"), np.zeros((2, 4), "float32")
        >>> tuple(cell(x, h).shape)
        (2, 4)
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = 3 * self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], width), initializer=PerGate("glorot_uniform"), name="kernel"
        )
        if self.layer_norm:
            self.gain = self.add_weight(shape=(width,), initializer="ones", autocast=False, name="gain")
        self._build_recurrent_weights()
        super().build(input_shape)

    def call(self, inputs: Tensor, state: Tensor) -> Tensor:
        state = self.step(self.project(inputs), ops.cast(state, self.variable_dtype))
        return ops.cast(state, self.compute_dtype)

    def project(self, inputs: Tensor) -> Tensor:
        """Returns W x + b for inputs of shape (..., I) at any number of positions: (..., 3H), in the weights' dtype."""
        kernel, bias, gain = self.input_weights()
        products = ops.cast(ops.matmul(inputs, kernel), bias.dtype)
        return (products if gain is None else normalize_positions(products, gain)) + bias

    def input_weights(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns what `project` reads: the kernel, in the dtype of products, the bias, and the gain or None."""
        gain = ops.cast(self.gain, self.variable_dtype) if self.layer_norm else None
        return self.product_kernel(self.kernel), ops.cast(self.bias, self.variable_dtype), gain


@keras.saving.register_keras_serializable(package="nmt")
class TransitionCell(RecurrentCell):
    """A gated recurrent unit without an input: W x is zero and the bias is left.

    The upper steps of a deep transition (Miceli Barone et al. 2017, https://arxiv.org/abs/1707.07631, section 2.3).

    Args:
        units: Width H of the state.
        reset_after: As in `GRUCell`.
        layer_norm: As in `GRUCell`.

    Example:
        >>> import numpy as np
        >>> tuple(TransitionCell(4)(np.zeros((2, 4), "float32")).shape)
        (2, 4)
    """

    def build(self, state_shape: tuple[int | None, ...]) -> None:
        self._build_recurrent_weights()
        super().build(state_shape)

    def call(self, state: Tensor) -> Tensor:
        state = self.step(ops.expand_dims(self.bias, 0), ops.cast(state, self.variable_dtype))
        return ops.cast(state, self.compute_dtype)


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
