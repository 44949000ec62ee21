"""The folder of a training run while it is written: new or resumed, locked, logged, and gone if nothing came of it.

This module knows configurations and run directories, nothing of how a model is trained.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nmt import config, files, recipe
from nmt.config import Config
from nmt.config_keys import given, leaves, with_values
from nmt.config_problems import shown
from nmt.console import log_to_file
from nmt.errors import ConfigError, CorpusError, InputError, RunDirectoryError, TokenizerError, did_you_mean
from nmt.run_dir import RunDirectory, library_versions

logger = logging.getLogger(__name__)

SOURCES = ("corpus", "tokenizer")
"""What a run is made from that is compared once it has been read."""

_HARMLESS = ("platform", "cores", "sacrebleu", "datasets")  # told where they change, and no reason to stop


def check(
    path: Path,
    settings: Config,
    *,
    resume: bool,
    replace: bool,
    allow_changed: Sequence[str] = (),
) -> Config:
    """Refuses what can't become a run, before Keras is imported.

    Args:
        path: The run directory.
        settings: The configuration.
        resume: Whether the run there goes on; it must then have the same configuration and versions.
        replace: Whether it is to be deleted.
        allow_changed: Keys or sections of the configuration, names of packages, `corpus`, `tokenizer`: what may differ
            from the run that goes on.

    Returns:
        The configuration of the run, in which nothing is left to be chosen where it is resumed.

    Raises:
        InputError: It is to be resumed and deleted, or `allow_changed` has a name that stands for nothing, or is given
            for a new run.
        RunDirectoryError: There is no run to go on with, or something is there that is not to be deleted, or the run
            was made with other versions, or another process writes to it.
        ConfigError: Its configuration is another one; the message names the keys, with both values.
    """
    if resume and replace:
        raise InputError("--resume goes on with a run, --replace deletes it. Received: both. Choose one.")
    RunDirectory(path).check_unused()
    if not resume:
        if allow_changed:
            raise InputError(
                "--allow-changed is for a run that goes on. Received: no --resume. Add it, or leave it out."
            )
        RunDirectory(path).check_free(replace=replace)
        return settings
    run = RunDirectory.open(path)
    of_run = config.load(run.config_path)
    old = leaves(of_run.model_dump())
    settings = with_values(settings, {key: old[key] for key in _left_open(settings)})
    new = leaves(settings.model_dump())
    before, now = run.versions(), library_versions()
    keys = {**old, **new}
    known = {*keys, *(key.rpartition(".")[0] for key in keys if "." in key), *now, "backend", *SOURCES}
    for name in allow_changed:
        if name not in known:
            raise InputError(f"--allow-changed {name}: nothing has this name. {did_you_mean(name, known)}")
    differing = [key for key in keys if old.get(key) != new.get(key) and not _is_allowed(key, allow_changed)]
    if differing:
        lines = [f"  {key}: the run has {shown(old.get(key))}. Received: {shown(new.get(key))}" for key in differing]
        count = "1 key differs" if len(differing) == 1 else f"{len(differing)} keys differ"
        raise ConfigError(
            "\n".join([f"{path}: a run goes on with the configuration that it has; {count}", *lines])
            + "\nUndo the change, start another run with it (--run-dir DIR without --resume), or go on all the same: "
            + _allowing(differing)
        )
    _check_versions(path, before, now, allow_changed)
    return settings


@contextlib.contextmanager
def opened(
    path: Path,
    settings: Config,
    backend: str,
    *,
    resume: bool,
    replace: bool,
    allow_changed: Sequence[str] = (),
    told: Sequence[logging.LogRecord] = (),
) -> Iterator[RunDirectory]:
    """Makes a run directory, or opens that of a run to go on with, and holds it for the block.

    A mistake that shows before the first checkpoint, such as a corpus that is not there, leaves no new folder behind.

    Args:
        path: The folder.
        settings: The configuration of the run.
        backend: Name of Keras's backend, one of the versions that the folder keeps.
        resume: Open the run that is there.
        replace: Delete the run that is there.
        allow_changed: What may differ from a run that goes on.
        told: What has been logged of the run before it had a folder; its log file begins with it.

    Yields:
        The run directory, locked; what is logged goes to its log file too.

    Raises:
        RunDirectoryError: Something else is there, nothing is there to be resumed, or it is in use.
        FileError: It can't be written.
    """
    versions = {**library_versions(), "backend": backend}
    if resume:
        with _held(RunDirectory.open(path), told) as run:
            before = run.versions()
            _check_versions(path, before, {"backend": backend}, allow_changed)
            changed = [
                f"{name} {before[name]} -> {new}" for name, new in versions.items() if before.get(name, new) != new
            ]
            if changed:
                logger.warning("the run goes on with other versions than it began with: %s", ", ".join(changed))
            yield run
        return
    run = RunDirectory.create(path, config_yaml=config.dump(settings), versions=versions, replace=replace)
    try:
        with _held(run, told):
            yield run
    except (CorpusError, TokenizerError, InputError):  # raised before the first update
        if not (run.best.exists() or files.list_folder(run.checkpoints)):
            files.remove_folder(run.path)
            logger.info("%s: removed, as it had no checkpoint yet", run.path)
        raise


@contextlib.contextmanager
def _held(run: RunDirectory, told: Sequence[logging.LogRecord]) -> Iterator[RunDirectory]:
    with run.lock(), log_to_file(run.log_path, told):
        try:
            yield run
        except KeyboardInterrupt:
            if files.list_folder(run.checkpoints):
                logger.info("interrupted; the same command with --resume goes on from the last checkpoint")
            raise


def _left_open(settings: Config) -> list[str]:
    """Returns the keys whose values are chosen when a run begins."""
    is_auto = settings.recipe == "auto"
    chosen = recipe.open_keys(given(settings), leaves(settings.model_dump())) if is_auto else []
    return chosen + ["recipe"] * is_auto + ["training.precision"] * (settings.training.precision == "auto")


def _check_versions(
    path: Path, before: Mapping[str, str], now: Mapping[str, str], allow_changed: Sequence[str]
) -> None:
    """Refuses other packages than the run began with; what is not known of it is not compared."""
    changed = [name for name, new in now.items() if before.get(name, new) != new and name not in _HARMLESS]
    refused = [name for name in changed if name not in allow_changed]
    if refused:
        lines = [f"  {name}: the run has {before[name]}. Received: {now[name]}" for name in refused]
        raise RunDirectoryError(
            "\n".join([f"{path}: a run goes on with the versions that it began with", *lines])
            + f"\nInstall those, or go on all the same, if not bit for bit: {_allowing(refused)}"
        )


def _is_allowed(key: str, allow_changed: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in allow_changed)


def _allowing(names: Sequence[str]) -> str:
    return " ".join(f"--allow-changed {name}" for name in names)
