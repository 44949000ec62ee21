"""What is new of a run, on its way to the disk: records, the best model, then the checkpoint that counts on them.

What a disk refuses waits for the next save. This module decides the order; how each is written, others do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from nmt.errors import FileError, ModelFileError, RunDirectoryError
from nmt.json_lines import JSONLines
from nmt.training.state import TrainingState

logger = logging.getLogger(__name__)


class Saver:
    """Saves what it is given, in an order in which a stop at any moment leaves what a resumed run can go on from.

    Args:
        records: The records of epochs.
        state: What the checkpoint holds.

    Attributes:
        is_current: Whether the last save was made.
    """

    def __init__(self, records: JSONLines, state: TrainingState) -> None:
        self._records = records
        self._state = state
        self._new: list[dict[str, Any]] = []
        self._last_epoch: int | None = None
        self._save_best: Callable[[], None] | None = None
        self.is_current = False

    def add_record(self, record: dict[str, Any]) -> None:
        """Takes the record of an epoch."""
        self._new.append(record)

    def set_best(self, save: Callable[[], None]) -> None:
        """Takes what writes the best model of the moment."""
        self._save_best = save

    def forget_after(self, epoch: int) -> None:
        """Takes back the records of later epochs, as when a run goes back to a checkpoint."""
        self._new = [record for record in self._new if record["epoch"] <= epoch]
        self._last_epoch = epoch

    def save(self, *, is_last: bool = False) -> None:
        """Writes what is new. Where that fails a warning tells, and it is tried again at the next save.

        Args:
            is_last: Whether there is no next save.

        Raises:
            FileError: It can't be written, and there is no next save.
        """
        self.is_current = False
        try:
            self._write()
        except (FileError, ModelFileError, RunDirectoryError) as error:
            if is_last:
                raise
            logger.warning("nothing is saved: %s Training goes on, and the next save tries again", error)
        else:
            self.is_current = True

    def _write(self) -> None:
        if self._last_epoch is not None:
            kept = [record for record in self._records.read() if record["epoch"] <= self._last_epoch]
            self._records.replace(kept)
            self._last_epoch = None
        while self._new:
            self._records.append(self._new[0])
            del self._new[0]
        if self._save_best is not None:
            self._save_best()
            self._save_best = None
        self._state.save()
