"""Gradients by whichever backend is active, so that the tests are written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Gradient = tuple[float, list[np.ndarray]]


def value_and_gradients(loss: Callable[[], Any], variables: Sequence[keras.Variable]) -> Gradient:
    """Returns a scalar loss and its gradient with respect to each variable, as NumPy has them.

    A variable that the loss does not depend on has a gradient of zero.

    Args:
        loss: Computes a scalar from the variables' values; it may change other variables, such as metrics and seeds.
        variables: Trainable or not.
    """
    return gradient_function(loss, variables)()


def gradient_function(loss: Callable[..., Any], variables: Sequence[keras.Variable]) -> Callable[..., Gradient]:
    """Returns `value_and_gradients` of a loss that takes tensors, compiled once for all tensors of the same shapes."""
    function = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()](loss, variables)

    def as_numpy(*args: Any) -> Gradient:
        value, gradients = function(*args)
        arrays = [np.zeros(v.shape) if g is None else as_array(g) for g, v in zip(gradients, variables, strict=True)]
        return float(as_array(value)), arrays

    return as_numpy


def as_array(tensor: Any) -> np.ndarray:
    """Returns a tensor as a NumPy array, in float64 where it is a float of any kind."""
    array = ops.convert_to_numpy(tensor)
    return array if array.dtype.kind in "iub" else array.astype("float64")


def _tensorflow(loss: Callable[..., Any], variables: Sequence[keras.Variable]) -> Callable[..., Any]:
    import tensorflow as tf

    sources = [variable.value for variable in variables]

    def with_gradients(*args: Any) -> tuple[Any, list[Any]]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            value = loss(*args)
        # An embedding's gradient is a tf.IndexedSlices.
        return value, [None if g is None else tf.convert_to_tensor(g) for g in tape.gradient(value, sources)]

    return with_gradients


def _jax(loss: Callable[..., Any], variables: Sequence[keras.Variable]) -> Callable[..., Any]:
    import jax

    def of_values(values: list[Any], *args: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return loss(*args)

    # Compiled as a whole, as `fit` does it: operation by operation would compile hundreds of small programs.
    compiled = jax.jit(jax.value_and_grad(of_values))
    return lambda *args: compiled([variable.value for variable in variables], *args)


def _torch(loss: Callable[..., Any], variables: Sequence[keras.Variable]) -> Callable[..., Any]:
    import torch

    def with_gradients(*args: Any) -> tuple[Any, list[Any]]:
        value = loss(*args)
        if not value.requires_grad:
            return value, [None] * len(variables)
        return value, list(torch.autograd.grad(value, [variable.value for variable in variables], allow_unused=True))

    return with_gradients
