"""The whole training states of a run on disk: saved, found, verified; the damaged ones passed over.

    update-00001234/            a checkpoint, by the number of updates done
        state.safetensors       every array of the state
        progress.json           how far training is: plain values
        manifest.json           the number of updates; size and sha256 of the other two
    damaged-update-00001230/    one that failed its check: never read, counted or removed again

The newest valid checkpoint is found by looking at each, never by a file that points to it. A checkpoint has its name
only once it has been read back, and older ones go only after that. This module knows arrays and plain values, nothing
of models or of Keras.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field

from nmt import files, strict_json
from nmt.errors import FileError, RunDirectoryError, TrainingError
from nmt.manifest import MANIFEST, Kind, Manifest, to_json, write_file, write_manifest
from nmt.weights_file import DamagedTensorsError, check_dtype, is_finite, read_arrays, tensor_parts

FORMAT_VERSION = 1

_LOGGER = logging.getLogger(__name__)
_NAME = re.compile(r"update-([0-9]{8,})")
_STATE: Final = "state.safetensors"
_PROGRESS: Final = "progress.json"
_MAX_PROGRESS_BYTES = 100_000_000
_KIND = Kind(name="checkpoint", version=FORMAT_VERSION, error=RunDirectoryError, remedy="", origin="")
_NOT_FINITE = (
    "must be finite. Received: NaN or infinite values. Nothing was saved; the checkpoint before is as it was. "
    "Resume from it with a lower learning rate."
)
# The disk is well: another limit, or other permissions, and the same checkpoint can be read.
_NOT_DAMAGE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class _Manifest(Manifest[Literal["state.safetensors", "progress.json"]]):
    update: int = Field(ge=0)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A whole training state.

    Attributes:
        path: Its folder.
        arrays: The arrays by name.
        progress: How far training is.
    """

    path: Path
    update: int
    arrays: dict[str, np.ndarray]
    progress: dict[str, Any]


def save_checkpoint(
    folder: str | Path, *, update: int, arrays: Mapping[str, np.ndarray], progress: Mapping[str, Any], keep: int
) -> None:
    """Writes a checkpoint, whole or not at all; once it has been read back, removes all but the newest `keep`.

    Args:
        folder: The run's folder of checkpoints.
        update: Updates done, >= 0. A checkpoint of the same update is replaced; newer ones are left alone.
        arrays: The whole state by name: numbers or booleans of any shape, finite. One is asked for at a time, and three
            times in all, so a mapping that fetches them when asked needs memory for one.
        progress: How far training is: finite plain values that JSON gives back as they are.
        keep: Newest checkpoints kept, this one included, >= 1. That an older one can't be removed is logged, no more.

    Raises:
        TrainingError: A value is not finite; nothing was written.
        FileError: The folder can't be written; the old checkpoints are as before.
        RunDirectoryError: What was written reads back otherwise; the old checkpoints are as before.
        ValueError: An argument breaks its rule; nothing was written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_checkpoint(folder, update=7, arrays={"w": np.ones(2)}, progress={"epoch": 1}, keep=2)
        ...     newest = load_newest(folder)
        >>> newest.update, newest.arrays["w"].tolist(), newest.progress
        (7, [1.0, 1.0], {'epoch': 1})
    """
    folder = Path(folder)
    if update < 0 or keep < 1:
        raise ValueError(f"`update` must be >= 0 and `keep` >= 1. Received: update={update}, keep={keep}")
    encoded = _encode(progress, folder)
    for name, array in arrays.items():
        check_dtype(name, array)
        if not is_finite(array):
            raise TrainingError(f"{folder}: `{name}` {_NOT_FINITE}")
    with files.new_folder(folder / _name(update)) as temporary:
        entries = {
            _STATE: write_file(temporary / _STATE, tensor_parts(arrays)),
            _PROGRESS: write_file(temporary / _PROGRESS, [encoded]),
        }
        write_manifest(temporary, FORMAT_VERSION, entries, update=update)
        _verify(temporary, update)
    try:
        for number in [number for number in stored_updates(folder) if number <= update][:-keep]:
            files.remove_folder(folder / _name(number))
    except FileError as error:
        _LOGGER.warning("%s %s is whole; what is too old is removed after the next.", error, _name(update))


def load_newest(folder: str | Path) -> Checkpoint | None:
    """Reads the newest valid checkpoint; only for the one process that writes there.

    Newer ones that are damaged are named in warnings and set aside under another name.

    Returns:
        The checkpoint; None where there are none at all.

    Raises:
        RunDirectoryError: There are checkpoints and none is valid; nothing was touched.
        FileError: The folder can't be read, or a checkpoint for a reason other than damage.
    """
    folder = Path(folder)
    problems: dict[int, str] = {}
    for update in reversed(stored_updates(folder)):
        try:
            found = _load(folder / _name(update), update)
        except RunDirectoryError as error:
            problems[update] = str(error)
        except FileError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _NOT_DAMAGE:
                raise
            problems[update] = str(error)
        else:
            for damaged, problem in problems.items():
                aside = _set_aside(folder, _name(damaged))
                _LOGGER.warning("%s It is now %s; %s is used instead.", problem, aside.name, found.path.name)
            return found
    if problems:
        listing = "".join(f"\n  {problem}" for problem in problems.values())
        raise RunDirectoryError(
            f"{folder}: none of the checkpoints is valid, and the run is not started afresh over them:{listing}\n"
            "Restore one of them from a copy, or give them up and start anew: nmt train with --replace."
        )
    return None


def stored_updates(folder: str | Path) -> list[int]:
    """Returns the updates of which there is a checkpoint, whether valid or not, in ascending order.

    Raises:
        FileError: The folder can't be read.
    """
    matches = (_NAME.fullmatch(name) for name in files.list_folder(folder))
    return sorted(update for match in matches if match and _name(update := int(match[1])) == match[0])


def _load(path: Path, update: int) -> Checkpoint:
    progress = _verify(path, update)
    try:
        arrays = read_arrays(path / _STATE)
    except DamagedTensorsError as error:
        raise _KIND.damaged(path / _STATE, str(error)) from None
    return Checkpoint(path, update, arrays, _KIND.parse(progress, path / _PROGRESS))


def _verify(path: Path, update: int) -> bytes:
    """Checks every byte of a checkpoint; returns its progress."""
    manifest = _KIND.read_manifest(path, _Manifest, {_STATE, _PROGRESS})
    if manifest.update != update:
        raise _KIND.damaged(path / MANIFEST, f"must be of update {update:,}. Received: {manifest.update:,}")
    _KIND.verify(path / _STATE, manifest.files[_STATE])
    return _KIND.verify(path / _PROGRESS, manifest.files[_PROGRESS], max_bytes=_MAX_PROGRESS_BYTES)


def _encode(progress: Mapping[str, Any], folder: Path) -> bytes:
    fields = dict(progress)
    encoded = to_json(fields)
    try:
        same = strict_json.parse(encoded) == fields
    except ValueError:  # JSON has no word for it
        raise TrainingError(f"{folder}: the progress {_NOT_FINITE}") from None
    if not same:
        raise ValueError(f"`progress` must be plain values that JSON gives back as they are. Received: {fields!r}")
    return encoded


def _set_aside(folder: Path, name: str) -> Path:
    taken = set(files.list_folder(folder))
    number, aside = 1, f"damaged-{name}"
    while aside in taken:
        number += 1
        aside = f"damaged-{name}-{number}"
    files.rename(folder / name, folder / aside)
    return folder / aside


def _name(update: int) -> str:
    return f"update-{update:08d}"
