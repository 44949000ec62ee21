"""Additive attention: project the memory once, attend at every step.

This module knows nothing of recurrence, beams or text. Queries come in groups: Q queries share one sentence's memory,
which is how a beam attends without copying the memory to every hypothesis.

Shape letters: B batch, S source length, M memory width, H query width, A attention units, Q queries a sentence.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from nmt.backend import Tensor
from nmt.layers.gates import product, weight_gradient


class AttentionWeights(NamedTuple):
    """What a query meets."""

    query_kernel: Tensor
    """(H, A)."""
    energy_vector: Tensor
    """(A, 1)."""


class AttentionTrace(NamedTuple):
    """What `attend` leaves behind for its gradient."""

    projected: Tensor
    """(B * Q, A), W_q q."""
    weights: Tensor
    """(B * Q, S)."""


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
        self.energy_vector = self.add_weight(shape=(self.units, 1), autocast=False, name="energy_vector")
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
        query, memory, keys = (ops.cast(tensor, self.variable_dtype) for tensor in (query, memory, keys))
        context, trace = attend(query, memory, keys, mask, self.query_weights())
        return ops.cast(context, self.compute_dtype), ops.cast(trace.weights, self.compute_dtype)

    def query_weights(self) -> AttentionWeights:
        """Returns the weights that `attend` reads, the kernel in the dtype of products."""
        return AttentionWeights(self._cast(self.query_kernel), ops.cast(self.energy_vector, self.variable_dtype))

    def _cast(self, weight: keras.Variable) -> Tensor:
        # Keras casts weights inside `call` alone; `keys` and `attend` are also called by the layers around this one.
        return ops.cast(weight, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def attend(
    query: Tensor, memory: Tensor, keys: Tensor, mask: Tensor, weights: AttentionWeights
) -> tuple[Tensor, AttentionTrace]:
    """Returns the context (B * Q, M) of each query (B * Q, H), and what its gradient needs.

    The formulas are those of `BahdanauAttention`, the shapes those of its `attend`. `AttentionGradient` differentiates
    them: who changes the one changes the other.
    """
    batch_size, source_length, width = ops.shape(memory)
    units = keys.shape[-1]
    projected = product(query, weights.query_kernel)
    hidden = ops.tanh(ops.reshape(projected, (batch_size, -1, 1, units)) + ops.expand_dims(keys, 1))  # (B, Q, S, A)
    energy = ops.matmul(ops.reshape(hidden, (-1, units)), weights.energy_vector)
    energy = ops.reshape(energy, (batch_size, -1, source_length))  # (B, Q, S)
    shares = ops.cast(masked_softmax(energy, ops.expand_dims(mask, 1)), memory.dtype)
    context = ops.reshape(ops.matmul(shares, memory), (-1, width))
    return context, AttentionTrace(projected, ops.reshape(shares, (-1, source_length)))


class AttentionGradient:
    """The gradient of a sequence of `attend` by one query a sentence.

    With h = tanh(q + k), e the gradient of the energies and w the weights, and sums over the positions s:

        e = w (d - sum of w d),   d = gradient of the weights = memory . gradient of the context
        gradient of q = v sum of e (1 - h^2)        gradient of v = sum of e h

    `step` computes h again: kept by automatic differentiation it would be (T, B, S, A), on long sentences the largest
    share of training's memory. The sums of e over t, which the keys' gradient needs, wait until after the loop.

    Args:
        memory: (B, S, M).
        keys: (B, S, A).
        weights: Of the attention.
        trace: Of all steps, stacked (T, ...).

    Attributes:
        positions: Tensors (T, ...) that a scan hands to `step`, position by position.
        sums: What `step` adds to, before the first: of e h^2 over t (B, S, A), of e h over t and s (B, A).
    """

    def __init__(self, memory: Tensor, keys: Tensor, weights: AttentionWeights, trace: AttentionTrace) -> None:
        self._memory, self._keys = memory, keys
        self._query_kernel, self._vector = ops.transpose(weights.query_kernel), ops.squeeze(weights.energy_vector, -1)
        self._weights = trace.weights
        self.positions = trace
        self.sums = ops.zeros_like(keys), ops.zeros_like(keys[:, 0])

    def step(
        self, of_context: Tensor, of_weights: Tensor, position: AttentionTrace, sums: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Takes the gradients of a step's context (B, M) and weights (B, S) to that of its query.

        Returns:
            The gradient of the query (B, H), the sums, and for `input_gradients` those of q (B, A) and the energies.
        """
        projected, weights = position
        of_weights = of_weights + ops.squeeze(ops.matmul(self._memory, ops.expand_dims(of_context, -1)), -1)
        of_energy = weights * (of_weights - ops.sum(weights * of_weights, axis=-1, keepdims=True))
        hidden = ops.tanh(ops.expand_dims(projected, 1) + self._keys)  # (B, S, A)
        first = ops.expand_dims(of_energy, -1) * hidden
        second = first * hidden
        of_projected = self._vector * (ops.sum(of_energy, axis=-1, keepdims=True) - ops.sum(second, axis=1))
        sums = sums[0] + second, sums[1] + ops.sum(first, axis=1)
        return product(of_projected, self._query_kernel), sums, (of_projected, of_energy)

    def input_gradients(
        self, queries: Tensor, of_contexts: Tensor, sums: tuple[Tensor, Tensor], of_steps: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, AttentionWeights]:
        """Returns the gradients of memory, keys and weights.

        Args:
            queries: (T, B, H), the queries of all steps.
            of_contexts: (T, B, M), the gradients of all contexts.
            sums: After all steps.
            of_steps: What `step` gave at all positions.
        """
        of_projected, of_energy = of_steps
        of_memory = ops.matmul(ops.transpose(self._weights, (1, 2, 0)), ops.transpose(of_contexts, (1, 0, 2)))
        of_keys = self._vector * (ops.expand_dims(ops.sum(of_energy, axis=0), -1) - sums[0])
        of_vector = ops.expand_dims(ops.sum(sums[1], axis=0), -1)
        return (
            of_memory,
            of_keys,
            AttentionWeights(weight_gradient(queries, of_projected, self._query_kernel.dtype), of_vector),
        )


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
    # Keras warns of a softmax over a single position, which a batch of one-piece sentences has.
    weights = ops.ones_like(energy) if energy.shape[-1] == 1 else ops.softmax(energy, axis=-1)
    return ops.where(mask, weights, 0.0)
