"""Layer normalisation of what a GRU's kernels make of a vector, and its gradient.

Ba et al. 2016, https://arxiv.org/abs/1607.06450, supplementary material: the products for the two gates are one layer
and those for the candidate another, each with a mean and a variance of its own. A vector times a kernel has mean zero
where the kernel's columns do (`centred`), so that a step only has to divide by the root mean square. This module knows
nothing of gates, masks or time.

Shape letters: H units.
"""

from __future__ import annotations

from keras import ops

from nmt.backend import Tensor, with_gradient

EPSILON = 1e-5
"""Added to a variance; `nmt.decoding.numpy_cells` has the same."""

Norm = tuple[Tensor, ...]
"""What `normalize` leaves behind for its gradient: normalised (..., N) and 1 / deviation (..., 1); empty without."""


def split_gates(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the gates' share (..., 2H) and the candidate's (..., H) of a tensor (..., 3H)."""
    split = 2 * (tensor.shape[-1] // 3)
    return tensor[..., :split], tensor[..., split:]


def centred(kernel: Tensor) -> Tensor:
    """Returns a kernel (I, 3H) less the mean of each row over the gates' columns, and over the candidate's."""
    parts = [part - ops.mean(part, axis=-1, keepdims=True) for part in split_gates(kernel)]
    return ops.concatenate(parts, axis=-1)


def normalize(products: Tensor, gain: Tensor | None) -> tuple[Tensor, Norm]:
    """Returns gain * p / sqrt(mean of p^2 + epsilon), p of mean zero, and what the gradient needs.

    Args:
        products: (..., N), by a kernel that is `centred`.
        gain: (N,), or None: the products are given back as they are.
    """
    if gain is None:
        return products, ()
    scale = ops.rsqrt(ops.mean(products * products, axis=-1, keepdims=True) + EPSILON)
    normal = products * scale
    return normal * gain, (normal, scale)


def normalize_gradient(of_outputs: Tensor, gain: Tensor | None, norm: Norm) -> Tensor:
    """Returns the gradient of the products (..., N).

    With n the normalised products, g the gradient of n and s the scale it is s (g - n mean of g n).

    Args:
        of_outputs: (..., N), the gradient of what `normalize` returned.
        gain: As in `normalize`.
        norm: From `normalize`.
    """
    if gain is None:
        return of_outputs
    normal, scale = norm
    of_normal = of_outputs * gain
    return scale * (of_normal - normal * ops.mean(of_normal * normal, axis=-1, keepdims=True))


def normalize_gates(products: Tensor, gain: Tensor | None) -> tuple[Tensor, tuple[Norm, Norm]]:
    """Returns `normalize` of the gates' products and of the candidate's, (..., 3H) together."""
    if gain is None:
        return products, ((), ())
    (gates, gates_norm), (candidate, candidate_norm) = map(normalize, split_gates(products), split_gates(gain))
    return ops.concatenate([gates, candidate], axis=-1), (gates_norm, candidate_norm)


def normalize_gates_gradient(of_outputs: Tensor, gain: Tensor | None, norms: tuple[Norm, Norm]) -> Tensor:
    """Returns `normalize_gradient` of what `normalize_gates` returned, (..., 3H)."""
    if gain is None:
        return of_outputs
    return ops.concatenate(list(map(normalize_gradient, split_gates(of_outputs), split_gates(gain), norms)), axis=-1)


def gain_gradient(of_parts: tuple[Tensor, Tensor], norms: tuple[Norm, Norm]) -> Tensor:
    """Returns the gradient (3H,) of the gain of `normalize_gates`, from those of its outputs (..., 2H) and (..., H)."""
    axes = tuple(range(len(of_parts[0].shape) - 1))
    parts = [ops.sum(of_part * normal, axis=axes) for of_part, (normal, _) in zip(of_parts, norms, strict=True)]
    return ops.concatenate(parts, axis=-1)


def normalize_positions(products: Tensor, gain: Tensor) -> Tensor:
    """Returns what `normalize_gates` makes of the products of all positions, with its gradient by hand.

    Automatic differentiation keeps the squares and every part of all positions: a third of an update's memory.
    """

    def backward(inputs: tuple[Tensor, Tensor], norms: tuple[Norm, Norm], upstream: Tensor) -> tuple[Tensor, Tensor]:
        _, gain = inputs
        return normalize_gates_gradient(upstream, gain, norms), gain_gradient(split_gates(upstream), norms)

    return with_gradient(normalize_gates, backward, products, gain)
