"""The learning rate as a function of the number of updates.

The plateau rule, which depends on validation, is not here: it scales the rate of the optimizer (`optimizers.py`).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
from keras import ops

from nmt.backend import Tensor

Decay = Literal["constant", "inverse_sqrt", "cosine"]


@keras.saving.register_keras_serializable(package="nmt")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a peak, then a decay.

    With u the number of this update, counted from 1, w the warm-up, d the `decay_updates` and f the floor:

        warm-up        peak * u / w                                                     while u <= w
        constant       peak
        inverse_sqrt   peak * max(f, sqrt((w + d) / u))                                 from u = w + d on, peak before
        cosine         peak * (f + (1 - f) * (1 + cos(pi * min((u - w) / d, 1))) / 2)

    The inverse root is that of Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762, section 5.3) with a stretch at
    the peak; the cosine that of Loshchilov and Hutter 2017 (https://arxiv.org/abs/1608.03983, eq. 5) without restarts.

    Args:
        peak: Highest rate.
        decay: "constant", "inverse_sqrt" or "cosine".
        warmup_updates: Updates of warm-up; 0 for none.
        decay_updates: See the formulas.
        floor: Lowest rate after the warm-up, as a fraction of the peak.

    Example:
        >>> schedule = WarmupSchedule(1.0, "inverse_sqrt", warmup_updates=10, decay_updates=90)
        >>> [round(float(schedule(step)), 3) for step in (0, 9, 99, 399)]
        [0.1, 1.0, 1.0, 0.5]
    """

    def __init__(
        self, peak: float, decay: Decay, warmup_updates: int = 0, decay_updates: int = 1, floor: float = 0.0
    ) -> None:
        super().__init__()
        if decay not in ("constant", "inverse_sqrt", "cosine"):
            raise ValueError(f"`decay` must be 'constant', 'inverse_sqrt' or 'cosine'. Received: decay={decay!r}")
        self.peak = peak
        self.decay = decay
        self.warmup_updates = warmup_updates
        self.decay_updates = decay_updates
        self.floor = floor

    def __call__(self, step: Tensor) -> Tensor:
        """Returns the rate of the update after `step` others."""
        update = ops.cast(step, "float32") + 1.0
        warmup, length = float(self.warmup_updates), float(self.decay_updates)
        if self.decay == "inverse_sqrt":
            factor = ops.sqrt((warmup + length) / ops.maximum(update, warmup + length))
            factor = ops.maximum(factor, self.floor)
        elif self.decay == "cosine":
            progress = ops.clip((update - warmup) / length, 0.0, 1.0)
            factor = self.floor + (1.0 - self.floor) * 0.5 * (1.0 + ops.cos(math.pi * progress))
        else:
            factor = ops.ones_like(update)
        return self.peak * ops.where(update < warmup, update / max(warmup, 1.0), factor)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "decay": self.decay,
            "warmup_updates": self.warmup_updates,
            "decay_updates": self.decay_updates,
            "floor": self.floor,
        }
