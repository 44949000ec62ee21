"""The bridge: from a summary of the source to the decoder's first state."""

from __future__ import annotations

from typing import Any

import keras

from nmt.backend import Tensor


@keras.saving.register_keras_serializable(package="nmt")
class Bridge(keras.layers.Layer):
    """Decoder's first state from a summary of the source: s_0 = tanh(W summary + b).

    With the mean of the memory as summary this is Nematus (Sennrich et al. 2017, https://arxiv.org/abs/1703.04357,
    section 3); Bahdanau et al. 2015 took the backward encoder's first state instead (appendix A.2.2).

    Args:
        units: Width of the decoder's state.

    Example:
        >>> import numpy as np
        >>> tuple(Bridge(4)(np.ones((2, 6), "float32")).shape)
        (2, 4)
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units, activation="tanh", dtype=self.dtype_policy, name="dense")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.dense.build(input_shape)
        super().build(input_shape)

    def call(self, summary: Tensor) -> Tensor:
        return self.dense(summary)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
