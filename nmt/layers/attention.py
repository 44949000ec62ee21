"""Additive attention: project the memory once, attend at every step.

This module knows nothing of recurrence, beams or text. Queries come in groups: Q queries share one sentence's memory,
which is how a beam attends without copying the memory to every hypothesis.

Shape letters: B batch, S source length, M memory width, H query width, A attention units, Q queries a sentence.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nmt.backend import Tensor


@keras.saving.register_keras_serializable(package="nmt")
class BahdanauAttention(keras.layers.Layer):
    """Additive attention of Bahdanau et al. 2015 (https://arxiv.org/abs/1409.0473, section 3.1 and appendix A.1.2).

        energy_s  = v . tanh(W_q q + W_k m_s + b)
        weights   = softmax over the real positions of energy
        context   = sum over s of weights_s m_s

    Args:
        units: Width A of the hidden layer.

    Example:
        >>> import numpy as np
        >>> attention = BahdanauAttention(8)
        >>> memory, mask = np.ones((2, 5, 6), "float32"), np.ones((2, 5), bool)
        >>> context, weights = attention(np.ones((2, 4), "float32"), memory, mask)
        >>> tuple(context.shape), tuple(weights.shape)
        ((2, 6), (2, 5))
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be >= 1. Received: units={units}")
        self.supports_masking = True
        self.units = units

    def build(self, query_shape: tuple[int | None, ...], memory_shape: tuple[int | None, ...]) -> None:
        self.query_kernel = self.add_weight(shape=(query_shape[-1], self.units), name="query_kernel")
        self.memory_kernel = self.add_weight(shape=(memory_shape[-1], self.units), name="memory_kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.energy_vector = self.add_weight(shape=(self.units, 1), name="energy_vector")
        super().build(query_shape)

    def call(self, query: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return self.attend(query, memory, self.keys(memory), mask)

    def compute_mask(self, inputs: Any, previous_mask: Tensor | None) -> None:
        """Returns None: the mask that came in is the memory's, and neither output has its positions."""

    def keys(self, memory: Tensor) -> Tensor:
        """Returns W_k m + b for every position of the memory (B, S, M): (B, S, A). Once a sentence is enough."""
        return ops.matmul(memory, self._cast(self.memory_kernel)) + self._cast(self.bias)

    def attend(self, query: Tensor, memory: Tensor, keys: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the context and the weights of each query.

        Args:
            query: (B * Q, H), the Q queries of a sentence side by side.
            memory: (B, S, M).
            keys: (B, S, A), `keys(memory)`.
            mask: (B, S), True on real positions. Where a sentence has none, weights and context are zero.

        Returns:
            Context (B * Q, M), and weights (B * Q, S) of the layer's dtype, zero on masked positions.
        """
        batch_size, source_length, _ = ops.shape(memory)
        projected = ops.matmul(query, self._cast(self.query_kernel))
        projected = ops.reshape(projected, (batch_size, -1, 1, self.units))  # (B, Q, 1, A)
        energy = additive_energy(projected, ops.expand_dims(keys, 1), self._cast(self.energy_vector))  # (B, Q, S)
        weights = ops.cast(masked_softmax(energy, ops.expand_dims(mask, 1)), self.compute_dtype)
        context = ops.matmul(weights, memory)  # (B, Q, M)
        width = memory.shape[-1]
        return ops.reshape(context, (-1, width)), ops.reshape(weights, (-1, source_length))

    def _cast(self, weight: keras.Variable) -> Tensor:
        # Keras casts weights inside `call` alone; `keys` and `attend` are also called by the layers around this one.
        return ops.cast(weight, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def additive_energy(queries: Tensor, keys: Tensor, vector: Tensor) -> Tensor:
    """Returns v . tanh(q + k) for every query and key, with a gradient that keeps no (B, Q, S, A) tensor.

    Automatic differentiation keeps the tanh of every step until the backward pass: on long sentences the largest share
    of training's memory. It is computed again instead. With g the gradient of the energy and h = tanh(q + k):

        d (q + k) = g v (1 - h^2)        d v = sum of g h

    Args:
        queries: (B, Q, 1, A).
        keys: (B, 1, S, A).
        vector: (A, 1).

    Returns:
        (B, Q, S).
    """

    def with_gradient(queries: Tensor, keys: Tensor, vector: Tensor) -> tuple[Tensor, object]:
        energy = ops.squeeze(ops.matmul(ops.tanh(queries + keys), vector), -1)

        def gradient(*args: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
            g = ops.expand_dims(args[0] if upstream is None else upstream, -1)  # (B, Q, S, 1)
            hidden = ops.tanh(queries + keys)
            vector_gradient = ops.matmul(
                ops.transpose(ops.reshape(hidden, (-1, hidden.shape[-1]))), ops.reshape(g, (-1, 1))
            )
            sum_gradient = g * ops.squeeze(vector, -1) * (1 - hidden * hidden)  # (B, Q, S, A)
            return (
                ops.sum(sum_gradient, axis=2, keepdims=True),
                ops.sum(sum_gradient, axis=1, keepdims=True),
                vector_gradient,
            )

        return energy, gradient

    return ops.custom_gradient(with_gradient)(queries, keys, vector)


def masked_softmax(energy: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis, in float32, with weight exactly zero where the mask is False.

    A row without a True anywhere gives zeros: not NaN, and not a uniform distribution over nothing.

    Args:
        energy: Any float dtype, shape (..., S).
        mask: Boolean, broadcastable to `energy`.

    Returns:
        Float32 weights of the shape of `energy`; each row sums to 1, or to 0 where all of it is masked.

    Example:
        >>> import numpy as np
        >>> weights = masked_softmax(np.array([[1.0, 1.0, 9.0]]), np.array([[True, True, False]]))
        >>> [float(w) for w in weights[0]]
        [0.5, 0.5, 0.0]
    """
    energy = ops.where(mask, ops.cast(energy, "float32"), -1e30)
    exponentials = ops.where(mask, ops.exp(energy - ops.stop_gradient(ops.max(energy, axis=-1, keepdims=True))), 0.0)
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    return exponentials / ops.where(total > 0, total, 1.0)
