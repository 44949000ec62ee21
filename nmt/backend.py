"""The one place where the three backends differ: looping over time, compiling a function, sparse gradients.

Everything else in the package is written once with `keras.ops`. This module knows Keras and its backends, nothing of
layers, search or text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

Tensor = Any
"""A tensor of whichever backend is active. The three have no common type."""

Structure = Any
"""A tensor, or a (named) tuple of structures."""


def scan(
    step: Callable[[Structure, Structure], tuple[Structure, Structure]],
    carry: Structure,
    inputs: Structure,
    *,
    reverse: bool = False,
) -> tuple[Structure, Structure]:
    """Runs `step` over axis 0 of `inputs`, threading `carry` through.

    Args:
        step: `(carry, input at t) -> (carry, output at t)`. The new carry has the structure, shapes and dtypes of the
        old.
            It may not change a variable: on JAX it runs once, as a trace.
        carry: The carry before the first step.
        inputs: Tensors of shape (T, ...), T >= 1.
        reverse: Whether to go from T - 1 down to 0. Outputs keep the positions of their inputs.

    Returns:
        The last carry, and the outputs stacked to (T, ...).

    Example:
        >>> from keras import ops
        >>> total, sums = scan(lambda c, x: (c + x, c + x), ops.array(0), ops.array([1, 2, 3]))
        >>> int(total), [int(s) for s in sums]
        (6, [1, 3, 6])
    """
    if library_name() == "tensorflow":
        return _tensorflow_scan(step, carry, inputs, reverse)
    return ops.scan(step, carry, inputs, reverse=reverse)  # type: ignore[no-any-return]


def _tensorflow_scan(
    step: Callable[[Structure, Structure], tuple[Structure, Structure]],
    carry: Structure,
    inputs: Structure,
    reverse: bool,
) -> tuple[Structure, Structure]:
    # `keras.ops.scan` on TensorFlow wants outputs shaped like the carry, keeps the carry in TensorArrays and fails
    # where T is unknown and `inputs` is a tuple (Keras 3.15.1); `tf.while_loop` has none of these limits.
    import tensorflow as tf

    xs = [ops.convert_to_tensor(x) for x in tree.flatten(inputs)]
    num_steps = tf.shape(xs[0])[0]
    first, stride = (num_steps - 1, -1) if reverse else (0, 1)
    arrays = [tf.TensorArray(x.dtype, num_steps, element_shape=x.shape[1:]).unstack(x) for x in xs]

    def step_at(t: Tensor, carry: Structure) -> tuple[Structure, Structure]:
        return step(carry, tree.pack_sequence_as(inputs, [array.read(t) for array in arrays]))

    def body(i: Tensor, carry: Structure, outputs: list[Any]) -> tuple[Tensor, Structure, list[Any]]:
        t = first + stride * i
        carry, output = step_at(t, carry)
        return i + 1, carry, [array.write(t, o) for array, o in zip(outputs, tree.flatten(output), strict=True)]

    # The first step stands before the loop: it tells the structure, shapes and dtypes of the outputs.
    carry, structure = step_at(first, carry)
    outputs = [
        tf.TensorArray(o.dtype, num_steps, element_shape=o.shape).write(first, o) for o in tree.flatten(structure)
    ]
    _, carry, outputs = tf.while_loop(
        lambda i, *_: i < num_steps, body, (tf.constant(1), carry, outputs), maximum_iterations=num_steps - 1
    )
    return carry, tree.pack_sequence_as(structure, [array.stack() for array in outputs])


def compiled(function: Callable[..., Structure], variables: list[keras.Variable]) -> Callable[..., Structure]:
    """Returns `function` compiled for inference by the active backend.

    Args:
        function: Takes and returns structures of tensors; reads `variables` and changes nothing.
        variables: Every variable that it reads. Their current values are used at each call.
    """
    backend = library_name()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True)  # type: ignore[no-any-return]
    if backend == "jax":
        import jax

        def pure(values: list[Tensor], *args: Structure) -> Structure:
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return function(*args)

        jitted = jax.jit(pure)
        return lambda *args: jitted([variable.value for variable in variables], *args)

    import torch

    return torch.inference_mode()(function)  # type: ignore[no-any-return]


def dense(gradient: Tensor) -> Tensor:
    """Returns a gradient as an ordinary tensor.

    TensorFlow's gradient of an embedding is a `tf.IndexedSlices`, in which a row that was looked up twice stands twice:
    its norm, and the squares that Adam keeps, would be those of the two parts. `keras.ops.convert_to_tensor` leaves it
    so (3.15.1).
    """
    if library_name() == "tensorflow":
        import tensorflow as tf

        return tf.convert_to_tensor(gradient)
    return gradient


def library_name() -> str:
    """Returns the active backend: "tensorflow", "jax" or "torch"."""
    return str(keras.backend.backend())
