"""Where the three backends differ: looping over time, gradients by hand, compiling.

`nmt.training.backend` has what only training needs; everything else in the package is written once with `keras.ops`.
This module knows Keras and its backends, nothing of layers, search or text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
            old. It may not change a variable: on JAX it runs once, as a trace.
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
    return ops.scan(step, carry, inputs, reverse=reverse)  # type: ignore[no-any-return]  # Keras is untyped


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

    def step_at(t: Tensor, carry: Structure) -> tuple[Structure, Structure]:
        # A slice of the first axis shares the tensor's memory, where a TensorArray would first copy all of it. The
        # gradient of a slice is of the size of the whole, at every step: scans on the way of training have their own.
        begin = tf.reshape(t, (1,))
        parts = [tf.strided_slice(x, begin, begin + 1, shrink_axis_mask=1) for x in xs]
        return step(carry, tree.pack_sequence_as(inputs, parts))

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


def with_gradient(
    forward: Callable[..., tuple[Structure, Structure]],
    backward: Callable[[tuple[Structure, ...], Structure, Structure], tuple[Structure, ...]],
    *inputs: Structure,
) -> Structure:
    """Returns the outputs of `forward(*inputs)`, with their gradient by `backward` instead of the backend's own.

    `keras.ops.custom_gradient` differs between backends in how it hands over several outputs (PyTorch: not at all).

    Args:
        forward: Takes the inputs; returns outputs, and tensors to keep for `backward`. It may close over no tensor.
        backward: Takes the inputs, what was kept, and the outputs' gradients in the outputs' structure. Returns the
            gradients of the inputs in their structure, None in place of one that no one needs. It can't be
            differentiated again.
        inputs: Structures of tensors and None.

    Example:
        >>> from keras import ops
        >>> float(with_gradient(lambda x: (x * x, ()), lambda inputs, kept, g: (2 * inputs[0] * g,), ops.array(3.0)))
        9.0
    """
    leaves = tree.flatten(inputs)
    is_tensor = [leaf is not None for leaf in leaves]
    structures: list[Structure] = []  # of the outputs, told by `run`

    def unflatten(tensors: Sequence[Tensor]) -> tuple[Structure, ...]:
        rest = iter(tensors)
        return tuple(tree.pack_sequence_as(inputs, [next(rest) if there else None for there in is_tensor]))

    def run(*tensors: Tensor) -> tuple[list[Tensor], Structure]:
        outputs, kept = forward(*unflatten(tensors))
        # Their structure alone: on PyTorch an output that is kept here would keep itself, and what it came from, alive.
        structures[:] = [tree.map_structure(lambda _: 0, outputs)]
        return tree.flatten(outputs), kept

    def gradients(tensors: Sequence[Tensor], kept: Structure, upstream: Sequence[Tensor]) -> list[Tensor | None]:
        flat = tree.flatten(backward(unflatten(tensors), kept, tree.pack_sequence_as(structures[0], list(upstream))))
        return [gradient for gradient, there in zip(flat, is_tensor, strict=True) if there]

    function = {"tensorflow": _tensorflow_gradient, "jax": _jax_gradient, "torch": _torch_gradient}[library_name()]
    outputs = function(run, gradients)(*(leaf for leaf in leaves if leaf is not None))
    return tree.pack_sequence_as(structures[0], list(outputs))


def _tensorflow_gradient(run: Callable[..., Any], gradients: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is untyped
    def function(*tensors: Tensor) -> tuple[list[Tensor], Callable[..., list[Tensor | None]]]:
        outputs, kept = run(*tensors)
        return outputs, lambda *upstream: gradients(tensors, kept, upstream)

    return function  # type: ignore[no-any-return]  # what the framework made of it is untyped


def _jax_gradient(run: Callable[..., Any], gradients: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    def with_residuals(*tensors: Tensor) -> tuple[list[Tensor], tuple[Any, ...]]:
        outputs, kept = run(*tensors)
        return outputs, (tensors, kept)

    function = jax.custom_vjp(lambda *tensors: run(*tensors)[0])
    function.defvjp(with_residuals, lambda residuals, upstream: tuple(gradients(*residuals, upstream)))
    return function  # type: ignore[no-any-return]  # what the framework made of it is untyped


def _torch_gradient(run: Callable[..., Any], gradients: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    class Function(torch.autograd.Function):  # type: ignore[misc]  # mypy does not follow PyTorch, so the base is Any
        @staticmethod
        def forward(context: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
            outputs, kept = run(*tensors)
            context.num_inputs = len(tensors)
            # An output kept in any other way would keep itself alive.
            context.save_for_backward(*tensors, *tree.flatten(kept))
            context.structure = tree.map_structure(lambda _: 0, kept)
            return tuple(outputs)

        @staticmethod
        def backward(context: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
            saved = context.saved_tensors
            tensors, kept = saved[: context.num_inputs], list(saved[context.num_inputs :])
            return tuple(gradients(tensors, tree.pack_sequence_as(context.structure, kept), upstream))

    return Function.apply  # type: ignore[no-any-return]  # PyTorch leaves it untyped


def compiled(function: Callable[..., Structure], variables: list[keras.Variable]) -> Callable[..., Structure]:
    """Returns `function` compiled for inference by the active backend.

    Args:
        function: Takes and returns structures of tensors; reads `variables` and changes nothing.
        variables: Every variable that it reads. Their current values are used at each call.
    """
    backend = library_name()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True)  # type: ignore[no-any-return]  # TensorFlow is untyped
    if backend == "jax":
        import jax

        def pure(values: list[Tensor], *args: Structure) -> Structure:
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return function(*args)

        jitted = jax.jit(pure)
        return lambda *args: jitted([variable.value for variable in variables], *args)

    import torch

    return torch.inference_mode()(function)  # type: ignore[no-any-return]  # PyTorch leaves it untyped


def has_gpu() -> bool:
    """Returns whether the active backend sees a GPU."""
    backend = library_name()
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return any(device.platform == "gpu" for device in jax.devices())

    import torch

    return bool(torch.cuda.is_available())


def library_name() -> str:
    """Returns the active backend: "tensorflow", "jax" or "torch"."""
    return str(keras.backend.backend())
