"""The folder of a training run while it is written: new or resumed, locked, logged, and gone if nothing came of it.

This module knows configurations and run directories, nothing of how a model is trained.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from nmt import config, files
from nmt.config import Config
from nmt.config_problems import shown
from nmt.console import log_to_file
from nmt.errors import ConfigError, CorpusError, InputError, TokenizerError
from nmt.run_dir import RunDirectory, library_versions

logger = logging.getLogger(__name__)


def check(path: Path, settings: Config, *, resume: bool, replace: bool) -> Config:
    """Refuses what can't become a run, before Keras is imported.

    Args:
        path: The run directory.
        settings: The configuration.
        resume: Whether the run there goes on; it must then have the same configuration.
        replace: Whether it is to be deleted.

    Returns:
        The configuration of the run: of one that is resumed its own, in which nothing is left to be chosen.

    Raises:
        InputError: It is to be resumed and deleted.
        RunDirectoryError: There is no run to go on with, or something is there that is not to be deleted.
        ConfigError: Its configuration is another one; the message names the keys, with both values.
    """
    if resume and replace:
        raise InputError("--resume goes on with a run, --replace deletes it. Received: both. Choose one.")
    if not resume:
        RunDirectory(path).check_free(replace=replace)
        return settings
    of_run = config.load(RunDirectory.open(path).config_path)
    if settings.training.precision == "auto":
        settings = with_precision(settings, of_run.training.precision)
    old, new = _leaves(of_run.model_dump()), _leaves(settings.model_dump())
    differing = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if differing:
        lines = [f"  {key}: the run has {shown(old.get(key))}. Received: {shown(new.get(key))}" for key in differing]
        count = "1 key differs" if len(differing) == 1 else f"{len(differing)} keys differ"
        raise ConfigError(
            "\n".join([f"{path}: a run goes on with the configuration that it has; {count}", *lines])
            + "\nUndo the change, or start another run with it: --run-dir DIR without --resume."
        )
    return of_run


def with_precision(settings: Config, precision: Literal["auto", "float32", "mixed_bfloat16"]) -> Config:
    """Returns the configuration with this precision, so that a run keeps the one it began with."""
    return settings.model_copy(update={"training": settings.training.model_copy(update={"precision": precision})})


@contextlib.contextmanager
def opened(path: Path, settings: Config, backend: str, *, resume: bool, replace: bool) -> Iterator[RunDirectory]:
    """Makes a run directory, or opens that of a run to go on with, and holds it for the block.

    A mistake that shows before the first checkpoint, such as a corpus that is not there, leaves no new folder behind.

    Args:
        path: The folder.
        settings: The configuration of the run.
        backend: Name of Keras's backend, one of the versions that the folder keeps.
        resume: Open the run that is there.
        replace: Delete the run that is there.

    Yields:
        The run directory, locked; what is logged goes to its log file too.

    Raises:
        RunDirectoryError: Something else is there, nothing is there to be resumed, or it is in use.
        FileError: It can't be written.
    """
    versions = {**library_versions(), "backend": backend}
    if resume:
        with _held(RunDirectory.open(path)) as run:
            _compare_versions(run.versions(), versions)
            yield run
        return
    run = RunDirectory.create(path, config_yaml=config.dump(settings), versions=versions, replace=replace)
    try:
        with _held(run):
            yield run
    except (CorpusError, TokenizerError, InputError):  # raised before the first update
        if not (run.best.exists() or files.list_folder(run.checkpoints)):
            files.remove_folder(run.path)
            logger.info("%s: removed, as it had no checkpoint yet", run.path)
        raise


@contextlib.contextmanager
def _held(run: RunDirectory) -> Iterator[RunDirectory]:
    with run.lock(), log_to_file(run.log_path):
        try:
            yield run
        except KeyboardInterrupt:
            if files.list_folder(run.checkpoints):
                logger.info("interrupted; the same command with --resume goes on from the last checkpoint")
            raise


def _compare_versions(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    changed = [f"{name} {before[name]} -> {new}" for name, new in now.items() if before.get(name, new) != new]
    if changed:
        logger.warning("the run goes on with other versions than it began with: %s", ", ".join(changed))


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values of a tree of mappings by dotted key."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves
