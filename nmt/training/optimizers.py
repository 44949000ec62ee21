"""Keras's optimizers, with a rate that can be cut and the averaged weights to hand."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from nmt.backend import Tensor
from nmt.training.backend import adam_in_place

OptimizerName = Literal["adam", "adamw", "rmsprop"]


class _Averaging(keras.optimizers.Optimizer):
    """Mixin before a Keras optimizer: scales the rate, averages the weights.

    The average of a weight follows `average += (1 - d) * (weight - average)` after each update, with the decay
    d = min(ema_decay, t / (t + 9)) at the update after t others: early averages forget the random start quickly, which
    a constant decay of 0.999 takes thousands of updates to do.

    Attributes:
        rate_scale: What the schedule's rate is multiplied by; 1 at first. The plateau rule cuts it.
        averages: The averaged weights, in the order of the weights; empty without `ema_decay`.
    """

    def __init__(self, ema_decay: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ema_decay = ema_decay
        self.averages: list[keras.Variable] = []

    def build(self, variables: list[keras.Variable]) -> None:
        if not self.built:
            # Variables of the optimizer, so that JAX threads them through the step and checkpoints hold them.
            self.rate_scale = self.add_variable((), initializer="ones", name="rate_scale")
            if self.ema_decay is not None:
                self.averages = [self.add_variable_from_reference(weight, name="average") for weight in variables]
        super().build(variables)

    def apply(self, grads: list[Tensor], trainable_variables: list[keras.Variable] | None = None) -> None:
        num_before = ops.cast(self.iterations, "float32")
        super().apply(grads, trainable_variables)
        if self.ema_decay is not None:
            decay = ops.minimum(self.ema_decay, num_before / (num_before + 9.0))
            for weight, average in zip(self._trainable_variables, self.averages, strict=True):
                average.assign(average + (1.0 - decay) * (weight - average))

    def _get_current_learning_rate(self) -> Tensor:
        # Keras offers no public place to scale a schedule.
        return super()._get_current_learning_rate() * self.rate_scale


class _InPlace(keras.optimizers.Adam):
    """Mixin before Keras's Adam: its update in one pass, where the backend has one."""

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        rate, beta_1, beta_2 = (ops.cast(x, dtype) for x in (learning_rate, self.beta_1, self.beta_2))
        updates = ops.cast(self.iterations + 1, dtype)
        done = adam_in_place(
            variable,
            (self._momentums[index], self._velocities[index]),
            ops.cast(gradient, dtype),
            rate=rate,
            betas=(self.beta_1, self.beta_2),
            powers=(ops.power(beta_1, updates), ops.power(beta_2, updates)),
            epsilon=self.epsilon,
        )
        if not done:
            super().update_step(gradient, variable, learning_rate)


class Adam(_Averaging, _InPlace, keras.optimizers.Adam):
    """Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980)."""


class AdamW(_Averaging, _InPlace, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101)."""


class RMSprop(_Averaging, keras.optimizers.RMSprop):
    """RMSprop (Tieleman and Hinton 2012)."""


def build_optimizer(
    name: OptimizerName,
    learning_rate: keras.optimizers.schedules.LearningRateSchedule | float,
    *,
    weight_decay: float = 0.0,
    ema_decay: float | None = None,
) -> keras.optimizers.Optimizer:
    """Returns an optimizer.

    Args:
        name: "adam" (Kingma and Ba 2015), "adamw" (Loshchilov and Hutter 2019) or "rmsprop".
        learning_rate: Schedule or constant.
        weight_decay: Decoupled weight decay of "adamw" on all weights but biases and gains.
        ema_decay: Decay an update of averaged weights kept beside the weights, or None for none.
    """
    shared: dict[str, Any] = {"learning_rate": learning_rate, "ema_decay": ema_decay}
    if name == "adam":
        return Adam(**shared)
    if name == "rmsprop":
        return RMSprop(**shared)
    optimizer = AdamW(**shared, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gain"])
    return optimizer


def averaged_weights(optimizer: keras.optimizers.Optimizer) -> dict[int, keras.Variable]:
    """Returns the averaged value of each trainable weight by the `id` of the weight; empty where none is kept."""
    if not optimizer.averages:
        return {}
    return {
        id(weight): average for weight, average in zip(optimizer._trainable_variables, optimizer.averages, strict=True)
    }
