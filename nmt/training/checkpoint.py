"""The whole training state in a folder: saved, found and restored exactly.

    state.safetensors   every variable: weights, optimizer slots and averages, seed generators
    progress.json       how far training is, and its best so far

The order of the data is a pure function of (seed, epoch), so the cursor is the epoch. This module knows variables and
plain values, nothing of models.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from nmt import files
from nmt.errors import FileError, RunDirectoryError

_NAME = re.compile(r"epoch-(\d{5})")
_COUNTER = re.compile(r"_\d+(?=/)")


@dataclass
class Progress:
    """How far training is."""

    epoch: int = 0
    """Epochs done."""
    updates: int = 0
    """Optimizer updates done."""
    seconds: float = 0.0
    """Time spent in training and validation."""
    best_epoch: int = 0
    """Epoch of the best model; 0: none yet."""
    best_value: float | None = None
    """Its dev metric."""
    num_bad_validations: int = 0
    """Validations since the best."""
    num_bad_since_cut: int = 0
    """Validations since the best or the last cut of the learning rate."""


def save_checkpoint(folder: Path, variables: list[keras.Variable], progress: Progress, keep: int) -> None:
    """Writes a checkpoint, whole or not at all, then removes all but the newest `keep`.

    Args:
        folder: The run's folder of checkpoints.
        variables: The whole state, in an order that the same program gives again.
        progress: How far training is.
        keep: Newest checkpoints kept, >= 1.

    Raises:
        FileError: The folder can't be written; the old checkpoints are as before.
    """
    import safetensors
    import safetensors.numpy

    # In C order, which safetensors takes for granted; `np.ascontiguousarray` would make vectors of the scalars.
    arrays = {name: np.asarray(keras.ops.convert_to_numpy(v), order="C") for name, v in _named(variables).items()}
    with files.new_folder(folder / f"epoch-{progress.epoch:05d}") as temporary:
        try:
            # Straight to the file: a copy of the state in memory would be the peak of the whole training.
            safetensors.numpy.save_file(arrays, temporary / "state.safetensors")
        except safetensors.SafetensorError as error:
            raise FileError(
                f"{folder}: can't write a checkpoint: {error}. Make room on the disk, then resume the run."
            ) from error
        files.write_text(temporary / "progress.json", json.dumps(dataclasses.asdict(progress), indent=2) + "\n")
    for number in _numbers(folder)[:-keep]:
        files.remove_folder(folder / f"epoch-{number:05d}")


def load_checkpoint(folder: Path, variables: list[keras.Variable]) -> Progress | None:
    """Restores the newest checkpoint into `variables`.

    Returns:
        How far it was, or None where there is no checkpoint.

    Raises:
        RunDirectoryError: The checkpoint is damaged or of another model or optimizer.
    """
    import safetensors
    import safetensors.numpy

    numbers = _numbers(folder)
    if not numbers:
        return None
    path = folder / f"epoch-{numbers[-1]:05d}"
    try:
        arrays = safetensors.numpy.load_file(path / "state.safetensors")
        progress = Progress(**json.loads((path / "progress.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, safetensors.SafetensorError) as error:
        raise RunDirectoryError(
            f"{path}: damaged checkpoint: {error}. Remove it to go back to the one before."
        ) from None
    named = _named(variables)
    differing = sorted(named.keys() ^ arrays.keys()) or [
        name for name, variable in named.items() if tuple(variable.shape) != arrays[name].shape
    ]
    if differing:
        raise RunDirectoryError(
            f"{path}: made by another model, optimizer or backend; it differs in {', '.join(differing[:3])}. "
            "Resume with the configuration and backend of the run, or start a new one."
        )
    for name, variable in named.items():
        variable.assign(arrays[name])
    return progress


def _named(variables: list[keras.Variable]) -> dict[str, keras.Variable]:
    # Keras numbers the optimizers and seed generators of a process as they come, so another run has other numbers: the
    # position tells them apart instead.
    return {f"{number:04d}/{_COUNTER.sub('', variable.path)}": variable for number, variable in enumerate(variables)}


def _numbers(folder: Path) -> list[int]:
    found = (_NAME.fullmatch(name) for name in files.list_folder(folder))
    return sorted(int(match[1]) for match in found if match)
