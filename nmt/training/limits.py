"""What ends a training, and how far off that is: epochs, updates, time, patience.

This module knows the progress and plain limits.
"""

from __future__ import annotations

import math
import time

from nmt.training.progress import Progress


class Limits:
    """Reads the clock and compares.

    Args:
        max_epochs: Most epochs.
        max_updates: Most updates, or None.
        max_minutes: Most minutes of training and validation, or None.
        patience: Validations without improvement that end a run, or None.
        updates_per_epoch: Updates of a whole epoch.
    """

    def __init__(
        self,
        *,
        max_epochs: int,
        max_updates: int | None,
        max_minutes: float | None,
        patience: int | None,
        updates_per_epoch: int,
    ) -> None:
        self._max_epochs = max_epochs
        self._max_updates = max_updates or math.inf
        self._max_seconds = (max_minutes or math.inf) * 60
        self._patience = patience or math.inf
        self._updates_per_epoch = updates_per_epoch
        self.start(Progress())

    def start(self, progress: Progress) -> None:
        """Lets time go on from where `progress` has it."""
        self._seconds_before = progress.seconds
        self._start = time.monotonic()

    def is_over(self, progress: Progress, epoch: int | None = None) -> bool:
        """Returns whether training ends here; `progress` learns the time.

        Args:
            progress: How far it is.
            epoch: Epochs done, if other than `progress` says.
        """
        is_reached = self.is_reached(progress)
        return is_reached or self.has_ended(progress, progress.epoch if epoch is None else epoch)

    def has_ended(self, progress: Progress, epoch: int) -> bool:
        """Returns whether `epoch` epochs, or the validations without improvement, are all there may be."""
        return epoch >= self._max_epochs or progress.num_bad_validations >= self._patience

    def is_reached(self, progress: Progress) -> bool:
        """Returns whether updates or time are used up, also within an epoch; `progress` learns the time."""
        progress.seconds = self._seconds_before + time.monotonic() - self._start
        return progress.updates >= self._max_updates or progress.seconds >= self._max_seconds

    def seconds_left(self, progress: Progress) -> float:
        """Returns the time that training will still take if nothing but epochs, updates and time ends it."""
        updates = min(self._max_epochs * self._updates_per_epoch, self._max_updates)
        by_updates = progress.seconds / max(progress.updates, 1) * (updates - progress.updates)
        return max(0.0, min(by_updates, self._max_seconds - progress.seconds))
