"""The whole state of a training: its variables and its progress, saved and restored exactly.

This module knows variables and plain values, nothing of what they are for. How they lie on disk is decided in
`nmt.checkpoints`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from nmt.checkpoints import Checkpoint, load_newest, save_checkpoint
from nmt.errors import RunDirectoryError
from nmt.training.progress import Progress

_COUNTER = re.compile(r"_\d+(?=/)")


class TrainingState:
    """What a run has to keep to go on as if it had never stopped.

    Args:
        folder: The run's folder of checkpoints.
        variables: Weights, slots of the optimizer, averages, seed generators, in an order that the same program gives
            again.
        keep: Newest checkpoints kept, >= 1.

    Attributes:
        progress: How far training is.
        made_from: What the training is made from, digests by name; kept with each checkpoint.
    """

    def __init__(
        self, folder: Path, variables: Sequence[keras.Variable], keep: int, made_from: Mapping[str, str]
    ) -> None:
        self._folder = folder
        # Keras numbers the optimizers and seed generators of a process as they come, so another run has other numbers:
        # the position tells them apart instead.
        self._variables = {
            f"{number:04d}/{_COUNTER.sub('', variable.path)}": variable for number, variable in enumerate(variables)
        }
        self._keep = keep
        self.made_from = made_from
        self.progress = Progress()

    def save(self) -> None:
        """Writes a checkpoint, whole or not at all.

        Raises:
            FileError: It can't be written; the old checkpoints are as before.
            TrainingError: A variable is not finite; likewise.
        """
        progress = {**dataclasses.asdict(self.progress), "made_from": dict(self.made_from)}
        arrays = _Arrays(self._variables)
        save_checkpoint(self._folder, update=self.progress.updates, arrays=arrays, progress=progress, keep=self._keep)

    def newest(self) -> Checkpoint | None:
        """Reads the newest valid checkpoint; None where there is none yet.

        Raises:
            RunDirectoryError: There are some and none is valid, or it is of another version of nmt.
        """
        checkpoint = load_newest(self._folder)
        if checkpoint is not None and not isinstance(checkpoint.progress.get("made_from"), dict):
            raise _of_another_version(checkpoint)
        return checkpoint

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes to a checkpoint.

        Raises:
            RunDirectoryError: It is of another model, optimizer, backend or version; nothing has changed.
        """
        self._check_variables(checkpoint)
        values = {name: value for name, value in checkpoint.progress.items() if name != "made_from"}
        try:
            progress = Progress(**values)
        except TypeError:
            raise _of_another_version(checkpoint) from None
        for name, variable in self._variables.items():
            variable.assign(checkpoint.arrays[name])
        self.progress = progress

    def _check_variables(self, checkpoint: Checkpoint) -> None:
        arrays = checkpoint.arrays
        differing = sorted(self._variables.keys() ^ arrays.keys()) or [
            name for name, variable in self._variables.items() if tuple(variable.shape) != arrays[name].shape
        ]
        if differing:
            raise RunDirectoryError(
                f"{checkpoint.path}: made by another model, optimizer or backend; it differs in "
                f"{', '.join(differing[:3])}. Resume with the configuration and backend of the run, or start a new one."
            )


def _of_another_version(checkpoint: Checkpoint) -> RunDirectoryError:
    return RunDirectoryError(
        f"{checkpoint.path}: made by another version of nmt. Go on with that version, or start a new run."
    )


class _Arrays(Mapping[str, np.ndarray]):
    """The variables' values, each fetched when it is asked for: together they may be most of a GPU's memory."""

    def __init__(self, variables: dict[str, keras.Variable]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> np.ndarray:
        array: Any = ops.convert_to_numpy(self._variables[name])
        return np.asarray(array, order="C")

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
