"""How far a training is: all that is not a variable and has to be known to go on with it exactly.

The order of the data is a pure function of (seed, epoch), so the cursor is two integers. This module knows plain
values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


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
    """What training minimises, see `objective.Sums`, of the real target tokens of this epoch, summed, in nats."""
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
    best_average: list[int] = field(default_factory=list)
    """Where the best model is an average: the epochs whose models it is the mean of."""
    kept_models: list[list[float]] = field(default_factory=list)
    """Of the models that may be averaged, best first: epoch, dev metric and dev loss, as of the best one."""
    averaged_epochs: list[int] = field(default_factory=list)
    """Epochs whose models were averaged last, whatever came of it."""
    num_bad_validations: int = 0
    """Validations since the best."""
    num_bad_since_cut: int = 0
    """Validations since the best or the last cut of the learning rate."""

    @property
    def loss(self) -> float:
        """Mean of what training minimises, a token of this epoch, in nats; NaN before the first."""
        return self.loss_sum / self.num_tokens if self.num_tokens else math.nan

    @property
    def nll(self) -> float:
        """Mean negative log-likelihood of a token of this epoch, in nats; NaN before the first."""
        return self.nll_sum / self.num_tokens if self.num_tokens else math.nan

    @property
    def tokens_per_second(self) -> float:
        """Real target tokens a second of training time in this epoch."""
        return self.num_tokens / self.epoch_seconds if self.epoch_seconds else 0.0

    def beats_best(self, value: float, loss: float) -> bool:
        """Returns whether a model is better than the best: of equal metrics the lower loss decides."""
        best = self.best_value, self.best_loss
        return best[0] is None or best[1] is None or (value, -loss) > (best[0], -best[1])

    def keep_model(self, value: float, loss: float, num_models: int) -> bool:
        """Enters the model of this epoch among the best `num_models`; returns whether it is one of them."""
        entry = [self.epoch, value, loss]
        ranked = sorted([*self.kept_models, entry], key=lambda one: (-one[1], one[2], one[0]))
        self.kept_models = ranked[:num_models]
        return entry in self.kept_models

    def kept_epochs(self) -> list[int]:
        """Returns the epochs of the kept models, best first."""
        return [int(epoch) for epoch, _, _ in self.kept_models]

    def begin_epoch(self) -> None:
        """Forgets what was counted of the epoch before."""
        self.batch = self.num_tokens = 0
        self.loss_sum = self.nll_sum = self.epoch_seconds = 0.0
