"""Where the three backends differ in training: gradients, updates, memory that does not suffice.

Beside `nmt.backend` the one place of this kind. This module knows Keras and its backends, nothing of models or batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops, tree

from nmt.backend import Structure, Tensor, library_name


def compiled_gradient(
    function: Callable[..., tuple[Tensor, Structure]],
    weights: Sequence[keras.Variable],
    state: Sequence[keras.Variable],
) -> Callable[..., tuple[list[Tensor], Structure]]:
    """Compiles the gradient of a scalar.

    Args:
        function: From arrays to a scalar tensor, and a structure of other tensors.
        weights: Variables, with respect to which the scalar is differentiated.
        state: Other variables that `function` may change, such as those of seed generators.

    Returns:
        A function from arrays, whose number of axes stays the same from call to call, to the gradients by `weights`,
        ordinary tensors of their shapes, and the structure of other tensors.
    """
    backend = library_name()
    if backend == "tensorflow":
        import tensorflow as tf

        def taped(*args: Tensor) -> tuple[list[Tensor], Structure]:
            values = [weight.value for weight in weights]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(values)
                scalar, others = function(*args)
            gradients = tape.gradient(scalar, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return [_dense(gradient) for gradient in gradients], others

        return _traced_once(taped)
    if backend == "jax":
        import jax

        def pure(
            values: list[Tensor], states: list[Tensor], *args: Tensor
        ) -> tuple[Tensor, tuple[Structure, list[Tensor]]]:
            mapping = [*zip(weights, values, strict=True), *zip(state, states, strict=True)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                scalar, others = function(*args)
            return scalar, (others, [scope.get_current_value(variable) for variable in state])

        jitted = jax.jit(jax.value_and_grad(pure, has_aux=True))

        def differentiated(*args: Tensor) -> tuple[list[Tensor], Structure]:
            (_, (others, states)), gradients = jitted([w.value for w in weights], [s.value for s in state], *args)
            for variable, value in zip(state, states, strict=True):
                variable.assign(value)
            return gradients, others

        return differentiated

    import torch

    def backward(*args: Tensor) -> tuple[list[Tensor], Structure]:
        scalar, others = function(*map(ops.convert_to_tensor, args))
        values = [weight.value for weight in weights]
        gradients = torch.autograd.grad(scalar, values, allow_unused=True, materialize_grads=True)
        return list(gradients), tree.map_structure(lambda tensor: tensor.detach(), others)

    return backward


def compiled_update(
    function: Callable[..., Structure], variables: Sequence[keras.Variable]
) -> Callable[..., Structure]:
    """Compiles what changes variables.

    Args:
        function: From structures of tensors to a structure of tensors. It may change `variables`.
        variables: On JAX the memory of their former values is used anew.
    """
    backend = library_name()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)  # type: ignore[no-any-return]  # untyped
    if backend == "jax":
        import jax

        def pure(values: list[Tensor], *args: Structure) -> tuple[Structure, list[Tensor]]:
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))) as scope:
                outputs = function(*args)
            return outputs, [scope.get_current_value(variable) for variable in variables]

        jitted = jax.jit(pure, donate_argnums=(0,))

        def update(*args: Structure) -> Structure:
            outputs, values = jitted([variable.value for variable in variables], *args)
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            return outputs

        return update

    import torch

    return torch.no_grad()(function)  # type: ignore[no-any-return]  # untyped


def apply_if(condition: Tensor, change: Callable[[], object], variables: Sequence[keras.Variable]) -> None:
    """Changes variables where a condition holds, and leaves every one of them as it is otherwise.

    Args:
        condition: Scalar boolean tensor.
        change: Changes `variables` and nothing else.
        variables: All that it may change.
    """
    backend = library_name()
    if backend == "jax":  # the branches of its conditions may not change variables
        before = [variable.value for variable in variables]
        change()
        for variable, value in zip(variables, before, strict=True):
            variable.assign(ops.where(condition, variable.value, value))
    elif backend == "tensorflow":
        import tensorflow as tf

        def branch() -> Tensor:
            change()
            return tf.constant(0)

        tf.cond(condition, branch, lambda: tf.constant(0))
    elif bool(condition):
        change()


def seed_dropout(*key: int) -> None:
    """Makes the dropout that follows a function of the key, where it would depend on what was drawn before.

    PyTorch draws it from one generator of the process, which no checkpoint holds. The generators of the others are
    variables.
    """
    if library_name() == "torch":
        keras.utils.set_random_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether an error says that memory, of the machine or of a GPU, did not suffice."""
    if isinstance(error, MemoryError):
        return True
    # TensorFlow's ResourceExhaustedError, JAX's XlaRuntimeError, PyTorch's OutOfMemoryError and its error on a CPU.
    text = f"{type(error).__name__}: {error}"
    return any(sign in text for sign in ("ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemory", "can't allocate"))


def adam_in_place(
    weight: keras.Variable,
    moments: tuple[keras.Variable, keras.Variable],
    gradient: Tensor,
    *,
    rate: Tensor,
    betas: tuple[float, float],
    powers: tuple[Tensor, Tensor],
    epsilon: float,
) -> bool:
    """Updates a weight and its moments by Adam in one pass over memory; returns whether the backend can.

    TensorFlow runs each operation of the formula as a pass of its own: 10 million weights took 26 ms on two cores, and
    12 so. JAX fuses them when it compiles.

    Args:
        weight: Of the model.
        moments: Running means of the gradient and of its square.
        gradient: Of the weight.
        rate: Learning rate.
        betas: Decays of the moments.
        powers: The decays to the power of the number of this update.
        epsilon: Added to the root of the second moment.
    """
    if library_name() != "tensorflow":
        return False
    import tensorflow as tf

    # Keras hands its optimizer TensorFlow's variable of a weight.
    tensors = [v.value if isinstance(v, keras.Variable) else v for v in (weight, *moments)]
    tf.raw_ops.ResourceApplyAdam(
        **{name: tensor.handle for name, tensor in zip(("var", "m", "v"), tensors, strict=True)},
        beta1_power=powers[0],
        beta2_power=powers[1],
        lr=rate,
        beta1=betas[0],
        beta2=betas[1],
        epsilon=epsilon,
        grad=gradient,
    )
    return True


def _traced_once(function: Callable[..., Structure]) -> Callable[..., Structure]:
    """Compiles a function of arrays on TensorFlow, whatever their shapes; it would else be traced for each new one."""
    import tensorflow as tf

    compiled: list[Callable[..., Structure]] = []

    def call(*args: Tensor) -> Structure:
        arrays = [tf.convert_to_tensor(arg) for arg in args]
        if not compiled:
            signature = [tf.TensorSpec([None] * len(array.shape), array.dtype) for array in arrays]
            compiled.append(tf.function(function, input_signature=signature))
        return compiled[0](*arrays)

    return call


def _dense(gradient: Tensor) -> Tensor:
    """Returns a gradient of TensorFlow as an ordinary tensor.

    That of an embedding is a `tf.IndexedSlices`, in which a row that was looked up twice stands twice: its norm, and
    the squares that Adam keeps, would be those of the two parts. `keras.ops.convert_to_tensor` leaves it so (3.15.1).
    """
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)
