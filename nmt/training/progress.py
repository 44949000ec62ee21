"""How far a training is: all that is not a variable and has to be known to go on with it exactly.

The order of the data is a pure function of (seed, epoch), so the cursor is two integers. This module knows plain
values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Progress:
    """How far training is."""

    epoch: int = 0
    """Epochs done, validation and all."""
    batch: int = 0
    """Batches of the next epoch that are done."""
    updates: int = 0
    """Optimizer updates done."""
    seconds: float = 0.0
    """Time spent in training and validation."""

    loss_sum: float = 0.0
    """Smoothed loss of the real target tokens of this epoch, summed, in nats."""
    nll_sum: float = 0.0
    """Their negative log-likelihood, summed, in nats."""
    num_tokens: int = 0
    """How many they are."""
    epoch_seconds: float = 0.0
    """Time spent in updates of this epoch."""
    gradient_norm: float = 0.0
    """Global norm of the last update's gradient, before clipping."""

    memory_budget: int | None = None
    """Most bytes that an update may take, once a batch had to be worked on in parts."""

    num_skipped: int = 0
    """Updates that were not applied, as their loss or gradient was not finite."""
    num_skipped_in_row: int = 0
    """Such updates since the last one that was applied."""
    num_rollbacks: int = 0
    """Times that the run went back to an earlier state after several such updates in a row."""

    best_epoch: int = 0
    """Epoch of the best model; 0: none yet."""
    best_value: float | None = None
    """Its dev metric, turned so that higher is better."""
    best_loss: float | None = None
    """Its dev loss, in nats."""
    num_bad_validations: int = 0
    """Validations since the best."""
    num_bad_since_cut: int = 0
    """Validations since the best or the last cut of the learning rate."""

    @property
    def loss(self) -> float:
        """Mean smoothed loss of a token of this epoch, in nats; NaN before the first."""
        return self.loss_sum / self.num_tokens if self.num_tokens else math.nan

    @property
    def nll(self) -> float:
        """Mean negative log-likelihood of a token of this epoch, in nats; NaN before the first."""
        return self.nll_sum / self.num_tokens if self.num_tokens else math.nan

    @property
    def tokens_per_second(self) -> float:
        """Real target tokens a second of training time in this epoch."""
        return self.num_tokens / self.epoch_seconds if self.epoch_seconds else 0.0

    def begin_epoch(self) -> None:
        """Forgets what was counted of the epoch before."""
        self.batch = self.num_tokens = 0
        self.loss_sum = self.nll_sum = self.epoch_seconds = 0.0
