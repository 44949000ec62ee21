"""What is told of an epoch: its record, its line in the log, translations to look at, TensorBoard's curves.

This module knows how far training is and what a validation found, nothing of how training goes on.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nmt.terminal import printable
from nmt.text.corpus import SentencePair
from nmt.training.display import duration, peak_memory_gb
from nmt.training.progress import Progress
from nmt.training.validation import Validation

logger = logging.getLogger(__name__)


def epoch_record(progress: Progress, validation: Validation, learning_rate: float) -> dict[str, Any]:
    """Returns the record of an epoch for `metrics.jsonl`.

    Args:
        progress: With `epoch` the number of this one, and the sums of its updates.
        validation: What followed it.
        learning_rate: That of its last update.
    """
    return {
        "epoch": progress.epoch,
        "updates": progress.updates,
        "seconds": round(progress.seconds, 1),
        "loss": progress.loss,
        "perplexity": math.exp(min(progress.nll, 700.0)),
        "learning_rate": learning_rate,
        "gradient_norm": progress.gradient_norm,
        "skipped_updates": progress.num_skipped,
        "tokens_per_second": progress.tokens_per_second,
        "peak_memory_gb": peak_memory_gb(),
        "validation_loss": validation.loss,
        "validation_perplexity": validation.perplexity,
        **{name: score.score for name, score in validation.scores.items()},
    }


def log_epoch(record: Mapping[str, Any], validation: Validation, *, is_best: bool) -> None:
    """Logs an epoch on one line."""
    logger.info(
        "epoch %d  loss %.3f  %s  %s tokens/s  %s%s",
        record["epoch"],
        record["loss"],
        _dev(validation),
        f"{record['tokens_per_second']:,.0f}",
        duration(record["seconds"]),
        "  (best)" if is_best else "",
    )


def log_average(epochs: Sequence[int], validation: Validation, *, is_best: bool) -> None:
    """Logs what a validation found of the mean of the models of these epochs."""
    logger.info(
        "mean of the models of epochs %s  %s%s",
        ", ".join(map(str, sorted(epochs))),
        _dev(validation),
        "  (best)" if is_best else "  (not better than the best of them)",
    )


def _dev(validation: Validation) -> str:
    perplexity = f"{validation.perplexity:.2f}" if validation.perplexity < 1e6 else f"{validation.perplexity:.1e}"
    scores = "".join(f"  {score.name} {score.score:.2f}" for score in validation.scores.values())
    return f"dev perplexity {perplexity}{scores}"


def warn_if_guessing_is_better(loss: float, vocabulary_size: int) -> None:
    """Warns of a dev loss above that of pieces drawn by chance."""
    guessing = math.log(vocabulary_size)
    if loss > guessing:
        logger.warning(
            "dev loss %.2f is worse than that of guessing (%.2f): if it stays so, start a new run with a lower "
            "training.learning_rate",
            loss,
            guessing,
        )


def log_samples(pairs: Sequence[SentencePair], translations: Sequence[str], num_samples: int) -> None:
    """Logs the first translations, each between its source and its reference."""
    for pair, translation in list(zip(pairs, translations, strict=True))[:num_samples]:
        logger.info(
            "  source      %s\n  translation %s\n  reference   %s",
            printable(pair.source),
            printable(translation),
            printable(pair.target),
        )


class Curves:
    """TensorBoard's event files, where the package is installed; nothing otherwise.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._writer: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            with self._while_writable():
                self._writer = importlib.import_module("tensorboard.summary").Writer(str(folder))

    def add(self, record: Mapping[str, Any]) -> None:
        """Adds the numbers of an epoch."""
        if self._writer is None:
            return
        with self._while_writable():
            for name, value in record.items():
                self._writer.add_scalar(name, value, record["epoch"])
            self._writer.flush()

    @contextlib.contextmanager
    def _while_writable(self) -> Iterator[None]:
        """Draws no more where the files can't be written: all that is in them stands in the records."""
        try:
            yield
        except OSError as error:
            self._writer = None
            logger.warning("TensorBoard's files can't be written: %s. Its curves end here", error)
