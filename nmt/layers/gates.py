"""The arithmetic of a gated recurrent unit on plain tensors: one step, and the gradient of a sequence of steps.

Automatic differentiation of a scan makes two small products at every step for the gradient of each kernel, adds them to
an accumulator of the kernel's size, and pads the gradient of every slice with zeros. Here the loop backwards does only
what must wait for the next state: factors known beforehand are computed for all positions before it, and the gradient
of a kernel is one large product after it, as cuDNN does it (Appleyard et al. 2016, https://arxiv.org/abs/1604.01946,
section 3.1). This module knows nothing of layers, masks over time or attention.

Shape letters: T positions, B batch, H units.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from nmt.backend import Tensor
from nmt.layers.normalization import Norm, gain_gradient, normalize, normalize_gradient, split_gates


class GRUWeights(NamedTuple):
    """What the state of a gated recurrent unit meets; the gates stand in the order z, r, c.

    The kernel may be of lower precision than the rest: it is that of the products, see `product`.
    """

    recurrent_kernel: Tensor
    """(H, 3H)."""
    candidate_bias: Tensor | None
    """(H,) where the reset gate is applied after the recurrent product, None where before it."""
    recurrent_gain: Tensor | None = None
    """(3H,) where the products are normalised; the kernel is centred then, see `nmt.layers.normalization`."""


class GRUTrace(NamedTuple):
    """What a step leaves behind for its gradient."""

    gates: Tensor
    """(B, 2H), z and r."""
    candidate: Tensor
    """(B, H), c."""
    reset: Tensor
    """(B, H): U_c h + d, which the reset gate multiplies, or r * h, which U_c does."""
    norms: tuple[Norm, Norm]
    """Of the products of the gates and of the candidate; empty without normalisation."""


def gru_step(
    projected: Tensor, state: Tensor, weights: GRUWeights, recurrent_mask: Tensor | None = None
) -> tuple[Tensor, GRUTrace]:
    """Returns the next state (B, H) by the formulas of `GRUCell`.

    Args:
        projected: (B, 3H), the input's share of the gates.
        state: (B, H).
        weights: Of the cell.
        recurrent_mask: (B, H), multiplied with the state where it meets the kernel, or None.
    """
    units = state.shape[-1]
    h = state if recurrent_mask is None else state * recurrent_mask
    kernel = weights.recurrent_kernel
    gates_gain, candidate_gain = _gains(weights)
    if weights.candidate_bias is not None:
        recurrent = product(h, kernel)
        to_gates, gates_norm = normalize(recurrent[:, : 2 * units], gates_gain)
        gates = ops.sigmoid(projected[:, : 2 * units] + to_gates)
        to_candidate, candidate_norm = normalize(recurrent[:, 2 * units :], candidate_gain)
        reset = to_candidate + weights.candidate_bias
        c = ops.tanh(projected[:, 2 * units :] + gates[:, units:] * reset)
    else:
        to_gates, gates_norm = normalize(product(h, kernel[:, : 2 * units]), gates_gain)
        gates = ops.sigmoid(projected[:, : 2 * units] + to_gates)
        reset = gates[:, units:] * h
        to_candidate, candidate_norm = normalize(product(reset, kernel[:, 2 * units :]), candidate_gain)
        c = ops.tanh(projected[:, 2 * units :] + to_candidate)
    z = gates[:, :units]
    return z * state + (1 - z) * c, GRUTrace(gates, c, reset, (gates_norm, candidate_norm))


class GRUGradient:
    """The gradient of a sequence of `gru_step`.

    With g the gradient of the new state h', and primes for derivatives at the gates' own values:

        g_z = g (h - c) sigmoid'_z        g_c = g (1 - z) tanh'_c        g_r = g_c (U_c h + d) sigmoid'_r

    Each is g times a factor that no later step decides. Where the reset gate comes before the product, g_r is
    (U_c^T g_c) h sigmoid'_r instead and has to wait for g_c. Where products are normalised, their gradients pass
    `normalize_gradient` before they meet a kernel.

    Args:
        weights: Of the cell.
        trace: Of all steps, stacked (T, ...).
        previous: (T, B, H), the states before each step.
        recurrent_mask: As in `gru_step`.

    Attributes:
        positions: Tensors (T, ...) that a scan hands to `step`, position by position.
    """

    def __init__(self, weights: GRUWeights, trace: GRUTrace, previous: Tensor, recurrent_mask: Tensor | None) -> None:
        self._reset_after = weights.candidate_bias is not None
        self._units = units = previous.shape[-1]
        self._mask = recurrent_mask
        self._gains, self._norms = _gains(weights), trace.norms
        self._is_normalized = weights.recurrent_gain is not None
        self._dropped = previous if recurrent_mask is None else previous * recurrent_mask
        self._reset = trace.reset
        z, r, c = trace.gates[:, :, :units], trace.gates[:, :, units:], trace.candidate
        self._r = r
        of_c = (1 - z) * (1 - c * c)
        of_z = (previous - c) * z * (1 - z)
        kernel = ops.transpose(weights.recurrent_kernel)
        if self._reset_after:
            # One product of the state's gradient with four factors: the first three are the gradient of U h, the last
            # three that of W x.
            of_reset = of_c * r
            factors = ops.stack([of_reset, of_z, of_reset * (1 - r) * trace.reset, of_c], axis=2)
            self.positions: tuple[Any, ...] = (z, factors, trace.norms)
            self._kernel = ops.concatenate([kernel[2 * units :], kernel[: 2 * units]], axis=0)
        else:
            self.positions = (z, of_c, of_z, self._dropped * r * (1 - r), r, trace.norms)
            self._gates_kernel, self._candidate_kernel = kernel[: 2 * units], kernel[2 * units :]

    def step(self, gradient: Tensor, position: tuple[Any, ...]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Takes the gradient of a step's new state (B, H) to that of its previous state.

        Returns:
            The gradient of the previous state (B, H), and for `weight_gradients` those of W x + b (B, 3H) and of
            the products U h.
        """
        units = self._units
        gates_gain, candidate_gain = self._gains
        if self._reset_after:
            z, factors, (gates_norm, candidate_norm) = position
            products = ops.reshape(ops.expand_dims(gradient, 1) * factors, (-1, 4 * units))
            of_recurrent, of_projected = products[:, : 3 * units], products[:, units:]
            if self._is_normalized:
                of_candidate = normalize_gradient(of_recurrent[:, :units], candidate_gain, candidate_norm)
                of_gates = normalize_gradient(of_recurrent[:, units:], gates_gain, gates_norm)
                of_recurrent = ops.concatenate([of_candidate, of_gates], axis=-1)
            through_kernel = product(of_recurrent, self._kernel)
        else:
            z, of_c, of_z, of_r, r, (gates_norm, candidate_norm) = position
            of_candidate = gradient * of_c
            to_candidate = normalize_gradient(of_candidate, candidate_gain, candidate_norm)
            of_reset = product(to_candidate, self._candidate_kernel)
            of_gates = ops.concatenate([gradient * of_z, of_reset * of_r], axis=-1)
            of_projected = of_recurrent = ops.concatenate([of_gates, of_candidate], axis=-1)
            to_gates = normalize_gradient(of_gates, gates_gain, gates_norm)
            if self._is_normalized:
                of_recurrent = ops.concatenate([to_gates, to_candidate], axis=-1)
            through_kernel = product(to_gates, self._gates_kernel) + of_reset * r
        if self._mask is not None:
            through_kernel = through_kernel * self._mask
        return gradient * z + through_kernel, (of_projected, of_recurrent)

    def weight_gradients(self, of_projected: Tensor, of_recurrent: Tensor) -> GRUWeights:
        """Returns the gradients of the weights from what `step` gave at all positions, (T, B, 3H) each."""
        units = self._units
        of_gain = None
        if self._is_normalized:
            of_gates, of_candidate = split_gates(of_projected)
            if self._reset_after:
                of_candidate = of_candidate * self._r
            of_gain = gain_gradient((of_gates, of_candidate), self._norms)
        if self._reset_after:
            of_bias = of_candidate if self._is_normalized else of_recurrent[:, :, :units]
            kernel = weight_gradient(self._dropped, of_recurrent, self._kernel.dtype)  # in the order c, z, r
            kernel = ops.concatenate([kernel[:, units:], kernel[:, :units]], axis=1)
            return GRUWeights(kernel, ops.sum(of_bias, axis=(0, 1)), of_gain)
        dtype = self._gates_kernel.dtype
        of_products = of_recurrent if self._is_normalized else of_projected  # one tensor: no second stack of it is made
        gates = weight_gradient(self._dropped, of_products[:, :, : 2 * units], dtype)
        candidate = weight_gradient(self._reset, of_products[:, :, 2 * units :], dtype)
        return GRUWeights(ops.concatenate([gates, candidate], axis=1), None, of_gain)


def _gains(weights: GRUWeights) -> tuple[Tensor | None, Tensor | None]:
    """Returns the gains of the gates' products (2H,) and of the candidate's (H,), None without normalisation."""
    return (None, None) if weights.recurrent_gain is None else split_gates(weights.recurrent_gain)


def product(inputs: Tensor, kernel: Tensor) -> Tensor:
    """Returns inputs times kernel, multiplied in the kernel's dtype and given back in the inputs'.

    In mixed precision the kernels of a scan are bfloat16, which doubles the speed of the products where the processor
    has instructions for it, and everything else is float32: elementwise bfloat16 has none, and took twice as long as
    float32.
    """
    return ops.cast(ops.matmul(ops.cast(inputs, kernel.dtype), kernel), inputs.dtype)


def weight_gradient(inputs: Tensor, gradient: Tensor, dtype: Any) -> Tensor:
    """Returns the gradient (I, O) of a kernel that met inputs (..., I), from that of the products (..., O).

    Args:
        inputs: Of any dtype.
        gradient: Of any dtype.
        dtype: The kernel's, in which is multiplied.
    """
    inputs, gradient = (ops.cast(ops.reshape(tensor, (-1, tensor.shape[-1])), dtype) for tensor in (inputs, gradient))
    return ops.matmul(ops.transpose(inputs), gradient)


def before(first: Tensor, states: Tensor, reverse: bool = False) -> Tensor:
    """Returns the states (T, B, H) before each step of a scan, from the first (B, H) and those after each step."""
    first = ops.expand_dims(first, 0)
    return ops.concatenate([states[1:], first] if reverse else [first, states[:-1]], axis=0)
