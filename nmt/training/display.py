"""An epoch as a person sees it run: one live bar on a terminal, a plain line now and then elsewhere.

This module shows what it is given; it knows nothing of how training goes on.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from nmt.training.progress import Progress

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0
"""Between two lines of progress where there is no terminal."""

SECONDS_BETWEEN_DRAWS = 0.5
"""Between two changes of the live bar."""


class Display:
    """Shows how far an epoch is.

    Args:
        num_epochs: Most epochs.
        num_batches: Batches of an epoch.
        console: Where to show it.
    """

    def __init__(self, num_epochs: int, num_batches: int, console: Console) -> None:
        self._num_epochs = num_epochs
        self._num_batches = num_batches
        self._console = console
        self._bar: Bar | None = None
        self._shown = 0.0

    def begin_epoch(self, progress: Progress) -> None:
        """Puts a bar on the terminal."""
        self._shown = time.monotonic()
        if self._console.is_terminal:
            columns = (
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[text]}"),
            )
            # Drawn when it changes, not by a thread of its own: where the terminal has gone, that would be told here.
            self._bar = Bar(*columns, console=self._console, transient=True, auto_refresh=False)
            epoch = f"{progress.epoch + 1}/{self._num_epochs}"
            self._bar.add_task("", total=self._num_batches, completed=progress.batch, epoch=epoch, text="")
            with self._while_terminal_lasts():
                self._bar.start()

    def is_due(self) -> bool:
        """Returns whether it is time to show an update."""
        return time.monotonic() - self._shown >= (SECONDS_BETWEEN_DRAWS if self._bar else SECONDS_BETWEEN_LINES)

    def show(self, progress: Progress, learning_rate: float, seconds_left: float) -> None:
        """Shows how far training is.

        Args:
            progress: How far it is.
            learning_rate: That of the last update.
            seconds_left: Until the training ends, as far as can be told.
        """
        self._shown = time.monotonic()
        text = "  ".join(
            [
                f"loss {progress.loss:.3f}",
                f"lr {learning_rate:.2e}",
                f"grad norm {progress.gradient_norm:.2f}",
                f"{progress.tokens_per_second:,.0f} tokens/s",
                f"{duration(seconds_left)} left",
            ]
        )
        if self._bar:
            with self._while_terminal_lasts():
                self._bar.update(self._bar.task_ids[0], completed=progress.batch, text=text, refresh=True)
        else:
            logger.info("update %s  %s", f"{progress.updates:,}", text)

    def close(self) -> None:
        """Takes the bar off the screen."""
        if self._bar:
            bar, self._bar = self._bar, None
            with self._while_terminal_lasts():
                bar.stop()

    @contextlib.contextmanager
    def _while_terminal_lasts(self) -> Iterator[None]:
        """Goes on without a bar where the terminal has been closed: training is not for those who watch alone."""
        try:
            yield
        except OSError:
            self._bar = None
            self._console = Console(quiet=True)


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
