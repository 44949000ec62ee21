"""What happens between the updates: the display, the end of an epoch, the limits.

Each callback has one job. They share a `Progress`, which is what a checkpoint keeps.
"""

from __future__ import annotations

import logging
import math
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from nmt.backend import library_name
from nmt.data.dataset import ParallelDataset
from nmt.errors import TrainingError
from nmt.training.checkpoint import Progress

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0
"""Between two lines of progress where there is no terminal."""

SECONDS_BETWEEN_DRAWS = 0.5
"""Between two looks at the optimizer for the live bar: on JAX a look copies its state."""


class Clock(keras.callbacks.Callback):
    """Counts updates, tokens and time; stops at the limits and at a loss that is no number.

    Args:
        progress: Updated as training goes on.
        dataset: The training batches; its epoch is set before each epoch.
        max_updates: Most updates in all, or None.
        max_minutes: Most minutes in all, or None.

    Attributes:
        tokens_per_second: Real target tokens a second of training time in this epoch.
    """

    def __init__(
        self, progress: Progress, dataset: ParallelDataset, max_updates: int | None, max_minutes: float | None
    ) -> None:
        super().__init__()
        self.progress = progress
        self.dataset = dataset
        self.max_updates = max_updates or math.inf
        self.max_seconds = (max_minutes or math.inf) * 60
        self._seconds_before = progress.seconds
        self._start = time.monotonic()
        self._epoch_start = self._start
        self._num_tokens = 0
        self._tokens_seconds = 1e-9

    @property
    def tokens_per_second(self) -> float:
        return self._num_tokens / self._tokens_seconds

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.dataset.epoch = epoch
        if library_name() == "torch":
            # Its dropout draws from one generator of the process, which no checkpoint holds: like the order of the
            # data it is made a function of seed and epoch.
            keras.utils.set_random_seed(self.dataset.seed + epoch)
        self._epoch_start = time.monotonic()
        self._num_tokens = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.monotonic()
        self._num_tokens += self.dataset.num_target_tokens(batch)
        self._tokens_seconds = now - self._epoch_start
        self.progress.updates += 1
        self._check_finite("loss", (logs or {}).get("loss", 0.0))
        self.progress.seconds = self._seconds_before + now - self._start
        if self.progress.updates >= self.max_updates or self.progress.seconds >= self.max_seconds:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # No later loss would show what the last update of the epoch has broken.
        self._check_finite("gradient_norm", float(self.model.optimizer.gradient_norm))
        self.progress.epoch = epoch + 1

    def is_over(self) -> bool:
        """Reads the clock and returns whether a limit of updates or time is reached."""
        self.progress.seconds = self._seconds_before + time.monotonic() - self._start
        return self.progress.updates >= self.max_updates or self.progress.seconds >= self.max_seconds

    def seconds_left(self, num_epochs: int) -> float:
        """Returns the time that training will still take if nothing but its limits ends it."""
        done = min(num_epochs * len(self.dataset), self.max_updates)
        by_updates = self.progress.seconds / max(self.progress.updates, 1) * (done - self.progress.updates)
        return max(0.0, min(by_updates, self.max_seconds - self.progress.seconds))

    def _check_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"training has diverged in update {self.progress.updates:,}. Rule: loss and gradient stay finite. "
                f"Received: {name}={value}. Start a new run with a lower training.learning_rate or training.clip_norm."
            )


class Display(keras.callbacks.Callback):
    """Shows an epoch as it runs: one live bar on a terminal, a plain line now and then elsewhere.

    Args:
        clock: What counts.
        num_epochs: Most epochs.
        console: Where to show it.
    """

    def __init__(self, clock: Clock, num_epochs: int, console: Console) -> None:
        super().__init__()
        self.clock = clock
        self.num_epochs = num_epochs
        self.console = console
        self._bar: Bar | None = None
        self._shown = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._shown = time.monotonic()
        if self.console.is_terminal:
            columns = (
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[text]}"),
            )
            self._bar = Bar(*columns, console=self.console, transient=True)
            self._bar.add_task("", total=len(self.clock.dataset), epoch=f"{epoch + 1}/{self.num_epochs}", text="")
            self._bar.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.monotonic()
        if now - self._shown < (SECONDS_BETWEEN_DRAWS if self._bar else SECONDS_BETWEEN_LINES):
            return
        self._shown = now
        text = self._describe(logs or {})
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=batch + 1, text=text)
        else:
            logger.info("update %s  %s", f"{self.clock.progress.updates:,}", text)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Takes the bar off the screen."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _describe(self, logs: dict[str, Any]) -> str:
        if library_name() == "jax":
            self.model.jax_state_sync()  # within an epoch `fit` keeps the state of the optimizer to itself
        optimizer = self.model.optimizer
        return "  ".join(
            [
                f"loss {logs.get('loss', math.nan):.3f}",
                f"lr {float(optimizer.learning_rate):.2e}",
                f"grad norm {float(optimizer.gradient_norm):.2f}",
                f"{self.clock.tokens_per_second:,.0f} tokens/s",
                f"{duration(self.clock.seconds_left(self.num_epochs))} left",
            ]
        )


class EpochEnd(keras.callbacks.Callback):
    """Calls a function after each epoch and stops the training where it returns True.

    Args:
        function: Takes the epoch's logs, to which it may add, and returns whether training is over.
    """

    def __init__(self, function: Callable[[dict[str, Any]], bool]) -> None:
        super().__init__()
        self.function = function

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.function(logs if logs is not None else {}):
            self.model.stop_training = True


def duration(seconds: float) -> str:
    """Returns a time for people.

    Example:
        >>> duration(42), duration(340), duration(7_500)
        ('42 s', '6 min', '2 h 5 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def peak_memory_gb() -> float:
    """Returns the most memory that this process has held at a time, in 10^9 bytes."""
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, 3)
