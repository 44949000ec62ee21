"""Recurrent cells in NumPy, arranged for decoding; the reference is `nmt.layers.cells`.

Shape letters: I input width, N rows, H units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

EPSILON = 1e-5
"""Added to a variance; `nmt.layers.normalization` has the same."""


class Cell:
    """Weights of a GRU cell, and its step; see `nmt.layers.cells.GRUCell`.

    Args:
        weights: Weights by name, as in a model file.
        name: Path of the cell.
        reset_after: Variant of the GRU.
        layer_norm: Whether the products are normalised.
        has_input: False for a `TransitionCell`, whose `bias` is what `project` gives others.
    """

    def __init__(
        self, weights: Mapping[str, Floats], name: str, reset_after: bool, layer_norm: bool, has_input: bool
    ) -> None:
        self.recurrent_kernel = weights[f"{name}/recurrent_kernel"]
        self.bias = weights[f"{name}/bias"]
        self.candidate_bias = weights[f"{name}/candidate_bias"] if reset_after else None
        self.units = self.recurrent_kernel.shape[0]
        self.recurrent_gain = None
        if layer_norm:
            self.recurrent_kernel = centred(self.recurrent_kernel)
            self.recurrent_gain = weights[f"{name}/recurrent_gain"]
        if has_input:
            kernel = weights[f"{name}/kernel"]
            self.kernel = centred(kernel) if layer_norm else kernel
            self.gain = weights[f"{name}/gain"] if layer_norm else None

    def project(self, inputs: Floats) -> Floats:
        """Returns `W x + b` (N, 3H) of inputs (N, I)."""
        return self.from_products(inputs @ self.kernel)

    def from_products(self, products: Floats) -> Floats:
        """Returns `W x + b` (N, 3H) from the products of inputs with `kernel`."""
        return normalize_gates(products, self.gain) + self.bias

    def step(self, projected: Floats, state: Floats, recurrent: Floats | None = None) -> Floats:
        """Returns the next state (N, H) from `W x + b` (N, 3H) and, where the caller has it, `U h` (N, 3H or more)."""
        split = 2 * self.units
        if self.candidate_bias is None:
            gates = _sigmoid(projected[:, :split] + self._gates(state @ self.recurrent_kernel[:, :split]))
            candidate = self._candidate((gates[:, self.units :] * state) @ self.recurrent_kernel[:, split:])
        else:
            if recurrent is None:
                recurrent = state @ self.recurrent_kernel
            gates = _sigmoid(projected[:, :split] + self._gates(recurrent[:, :split]))
            candidate = self._candidate(recurrent[:, split : split + self.units]) + self.candidate_bias
            candidate *= gates[:, self.units :]
        candidate += projected[:, split:]
        np.tanh(candidate, out=candidate)
        return candidate + gates[:, : self.units] * (state - candidate)

    def _gates(self, products: Floats) -> Floats:
        return products if self.recurrent_gain is None else _normalize(products, self.recurrent_gain[: 2 * self.units])

    def _candidate(self, products: Floats) -> Floats:
        return products if self.recurrent_gain is None else _normalize(products, self.recurrent_gain[2 * self.units :])


def run(cell: Cell, projected: Floats, starts: Integers, reverse: int) -> Floats:
    """Runs a cell over packed sentences: the rows of position t are `starts[t] : starts[t + 1]`, longest first."""
    states = np.empty((len(projected), cell.units), "float32")
    state = np.zeros((int(np.diff(starts).max(initial=0)), cell.units), "float32")
    positions = range(len(starts) - 1)
    for t in reversed(positions) if reverse else positions:
        rows = slice(int(starts[t]), int(starts[t + 1]))
        here = slice(0, rows.stop - rows.start)
        state[here] = states[rows] = cell.step(projected[rows], state[here])
    return states


def centred(kernel: Floats) -> Floats:
    """Returns a kernel (I, 3H) that gives products of mean zero: the gates' 2H together, and the candidate's H."""
    split = 2 * (kernel.shape[1] // 3)
    parts = kernel[:, :split], kernel[:, split:]
    return np.concatenate([part - part.mean(axis=1, keepdims=True) for part in parts], axis=1)


def normalize_gates(products: Floats, gain: Floats | None) -> Floats:
    """Returns products (N, 3H) normalised, the gates' and the candidate's apart; as they are where there is no gain."""
    if gain is None:
        return products
    split = 2 * (len(gain) // 3)
    parts = _normalize(products[:, :split], gain[:split]), _normalize(products[:, split:], gain[split:])
    return np.concatenate(parts, axis=1)


def _normalize(products: Floats, gain: Floats) -> Floats:
    deviations = np.sqrt((products * products).mean(axis=1, keepdims=True) + np.float32(EPSILON))
    normal: Floats = products / deviations
    normal *= gain
    return normal


def _sigmoid(x: Floats) -> Floats:
    # NumPy's tanh is the quickest of its exponential functions, and never overflows.
    x *= 0.5
    np.tanh(x, out=x)
    x += 1.0
    x *= 0.5
    return x
