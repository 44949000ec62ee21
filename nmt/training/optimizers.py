"""Keras's optimizers, with a rate that can be cut, a gradient norm to look at, and the averaged weights to hand."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from nmt.backend import Tensor

OptimizerName = Literal["adam", "adamw", "rmsprop"]


class _Clipped(keras.optimizers.Optimizer):
    """Mixin before a Keras optimizer: clips by global norm, remembers the norm, scales the schedule's rate.

    Attributes:
        gradient_norm: Global norm of the last update's gradients, before clipping.
        rate_scale: What the schedule's rate is multiplied by; 1 at first. The plateau rule cuts it.
    """

    def __init__(self, clip_norm: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clip_norm = clip_norm

    def build(self, variables: list[keras.Variable]) -> None:
        if not self.built:
            # Variables of the optimizer, so that JAX threads them through the step and checkpoints hold them.
            self.gradient_norm = self.add_variable((), name="gradient_norm")
            self.rate_scale = self.add_variable((), initializer="ones", name="rate_scale")
        super().build(variables)

    def apply(self, grads: list[Tensor], trainable_variables: list[keras.Variable] | None = None) -> None:
        # TensorFlow's gradient of an embedding is sparse until it is made a tensor.
        grads = [ops.convert_to_tensor(grad) for grad in grads]
        squares = [ops.sum(ops.square(ops.cast(grad, "float32"))) for grad in grads]
        norm = ops.sqrt(ops.sum(ops.stack(squares)))
        self.gradient_norm.assign(norm)
        scale = self.clip_norm / ops.maximum(norm, self.clip_norm)
        super().apply([grad * ops.cast(scale, grad.dtype) for grad in grads], trainable_variables)

    def _get_current_learning_rate(self) -> Tensor:
        # Keras offers no public place to scale a schedule; a rate set from a callback would be lost on JAX, which keeps
        # the state of the optimizer to itself during an epoch.
        return super()._get_current_learning_rate() * self.rate_scale


class Adam(_Clipped, keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980), clipped."""


class AdamW(_Clipped, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101), clipped."""


class RMSprop(_Clipped, keras.optimizers.RMSprop):
    """RMSprop (Tieleman and Hinton 2012), clipped."""


def build_optimizer(
    name: OptimizerName,
    learning_rate: keras.optimizers.schedules.LearningRateSchedule | float,
    *,
    clip_norm: float,
    weight_decay: float = 0.0,
    ema_decay: float | None = None,
) -> keras.optimizers.Optimizer:
    """Returns an optimizer.

    Args:
        name: "adam" (Kingma and Ba 2015), "adamw" (Loshchilov and Hutter 2019) or "rmsprop".
        learning_rate: Schedule or constant.
        clip_norm: Gradients are scaled down to this global norm (Pascanu et al. 2013).
        weight_decay: Decoupled weight decay of "adamw" on all weights but the biases.
        ema_decay: Decay an update of averaged weights kept beside the weights, or None for none.
    """
    shared: dict[str, Any] = {"learning_rate": learning_rate, "clip_norm": clip_norm}
    if ema_decay is not None:
        shared |= {"use_ema": True, "ema_momentum": ema_decay}
    if name == "adam":
        return Adam(**shared)
    if name == "rmsprop":
        return RMSprop(**shared)
    optimizer = AdamW(**shared, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def averaged_weights(optimizer: keras.optimizers.Optimizer) -> dict[int, keras.Variable]:
    """Returns the averaged value of each trainable weight by the `id` of the weight; empty where none is kept."""
    if not optimizer.use_ema:
        return {}
    # Keras shows the averages nowhere but in `SwapEMAWeights`, which leaves them in the model after `predict` (3.15.1).
    averages = optimizer._model_variables_moving_average
    return {id(weight): average for weight, average in zip(optimizer._trainable_variables, averages, strict=True)}
