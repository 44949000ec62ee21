"""What is new of a run, on its way to the disk: records, the best models, then the checkpoint that counts on them.

What a disk refuses waits for the next save. This module decides the order; how each is written, others do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
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
        remove_old: Called after each checkpoint: no newer one needs what it removes.

    Attributes:
        is_current: Whether the last save was made.
    """

    def __init__(self, records: JSONLines, state: TrainingState, remove_old: Callable[[], None]) -> None:
        self._records = records
        self._state = state
        self._remove_old = remove_old
        self._kept: dict[int, Callable[[], None]] = {}
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

    def set_kept(self, epoch: int, save: Callable[[], None], epochs: Collection[int]) -> None:
        """Takes what writes the model of an epoch that is among the best; those of other than `epochs` are not."""
        kept = {**self._kept, epoch: save}
        self._kept = {each: write for each, write in kept.items() if each in epochs}

    def forget_after(self, epoch: int) -> None:
        """Takes back the records and models of later epochs, as when a run goes back to a checkpoint."""
        self._new = [record for record in self._new if record["epoch"] <= epoch]
        self._kept = {each: write for each, write in self._kept.items() if each <= epoch}
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
        for epoch in list(self._kept):
            self._kept[epoch]()
            del self._kept[epoch]
        self._state.save()
        self._remove_old()
