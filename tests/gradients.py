"""Gradients by whichever backend is active, so that the tests are written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


def value_and_gradients(loss: Callable[[], Any], variables: Sequence[keras.Variable]) -> tuple[float, list[np.ndarray]]:
    """Returns a scalar loss and its gradient with respect to each variable, as NumPy has them.

    A variable that the loss does not depend on has a gradient of zero.

    Args:
        loss: Computes a scalar from the variables' values; it may change other variables, such as metrics and seeds.
        variables: Trainable or not.
    """
    value, gradients = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()](
        loss, variables
    )
    arrays = [np.zeros(v.shape) if g is None else as_array(g) for g, v in zip(gradients, variables, strict=True)]
    return float(as_array(value)), arrays


def as_array(tensor: Any) -> np.ndarray:
    """Returns a tensor as a NumPy array, in float64 where it is a float of any kind."""
    array = ops.convert_to_numpy(tensor)
    return array if array.dtype.kind in "iub" else array.astype("float64")


def _tensorflow(loss: Callable[[], Any], variables: Sequence[keras.Variable]) -> tuple[Any, list[Any]]:
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([variable.value for variable in variables])
        value = loss()
    return value, [
        None if g is None else tf.convert_to_tensor(g)  # an embedding's gradient is a tf.IndexedSlices
        for g in tape.gradient(value, [variable.value for variable in variables])
    ]


def _jax(loss: Callable[[], Any], variables: Sequence[keras.Variable]) -> tuple[Any, list[Any]]:
    import jax

    def of_values(values: list[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return loss()

    # Compiled as a whole, as `fit` does it: operation by operation would compile hundreds of small programs.
    return jax.jit(jax.value_and_grad(of_values))([variable.value for variable in variables])


def _torch(loss: Callable[[], Any], variables: Sequence[keras.Variable]) -> tuple[Any, list[Any]]:
    import torch

    value = loss()
    if not value.requires_grad:
        return value, [None] * len(variables)
    return value, list(torch.autograd.grad(value, [variable.value for variable in variables], allow_unused=True))
