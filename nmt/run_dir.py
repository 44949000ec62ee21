"""One run = one folder: what lies in it, the versions it was made with, its metrics, and the lock of its one writer.

    config.yaml     the configuration with every default filled in     checkpoints/   the whole training state
    versions.json   of the packages and the platform                   best/          the best model so far
    metrics.jsonl   one JSON object a line                             tokenizer/     the SentencePiece files
    train.log       what the screen showed                             tensorboard/   its event files
    skipped.jsonl   updates that were not applied, if there were any   test/          translations of the test corpora
    best-models/    the best models, where they are averaged

This module knows paths, not what the configuration, a checkpoint or a model holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from nmt import files
from nmt.errors import FileError, RunDirectoryError
from nmt.json_lines import JSONLines
from nmt.system_errors import explained

_MAX_SETTINGS_BYTES = 1_000_000
_PACKAGES = (
    "nmt",
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "sentencepiece",
    "sacrebleu",
    "safetensors",
    "datasets",
)


class RunDirectory:
    """The folder of one run.

    Attributes:
        path: The folder.
        config_path: `config.yaml`, the configuration with every default filled in.
        versions_path: `versions.json`.
        metrics: `metrics.jsonl`, a record an epoch.
        skipped: `skipped.jsonl`, a record an update that was not applied, as its loss or gradient was no finite number.
        log_path: `train.log`.
        tokenizer: Folder of the SentencePiece files.
        checkpoints: Folder of the checkpoints.
        best: Folder of the best model so far; absent until there is one.
        best_models: Folder of the models that are to be averaged; absent where none are.
        tensorboard: Folder of TensorBoard's event files.
        test_report: Scores on the test corpora, beside the translations; absent until they are translated.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.yaml"
        self.versions_path = self.path / "versions.json"
        self.metrics = JSONLines(self.path / "metrics.jsonl")
        self.skipped = JSONLines(self.path / "skipped.jsonl")
        self.log_path = self.path / "train.log"
        self.tokenizer = self.path / "tokenizer"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.best_models = self.path / "best-models"
        self.tensorboard = self.path / "tensorboard"
        self.test_report = self.path / "test" / "report.json"
        self._lock_path = self.path / "lock"

    @classmethod
    def create(
        cls, path: str | Path, *, config_yaml: str, versions: Mapping[str, str], replace: bool = False
    ) -> RunDirectory:
        """Makes the folder of a new run, with its configuration and versions, in one step.

        Args:
            path: The folder; folders above it are made as needed. It must be absent or empty.
            config_yaml: The configuration with every default filled in.
            versions: What the run is made with, as `library_versions` gives it.
            replace: Delete the run directory that is there. A folder that is no run directory is never deleted.

        Returns:
            The run directory.

        Raises:
            RunDirectoryError: Something else is there, or the run directory to be replaced is in use.
            FileError: It can't be written.
        """
        run = cls(path)
        with contextlib.ExitStack() as stack:
            run.check_free(replace=replace)
            if run._is_occupied():
                stack.enter_context(run.lock())
            files.make_folder(run.path.absolute().parent)
            folder = stack.enter_context(files.new_folder(run.path, replace=replace))
            new = cls(folder)
            files.write_text(new.config_path, config_yaml)
            files.write_text(new.versions_path, _versions_json(versions))
            files.write_bytes(new._lock_path, b"")
            for inner in (new.tokenizer, new.checkpoints, new.tensorboard):
                files.make_folder(inner)
        return run

    def check_free(self, *, replace: bool) -> None:
        """Refuses a folder that `create` would refuse.

        Raises:
            RunDirectoryError: Something else is there.
        """
        if self._is_occupied():
            self._check_replaceable(replace)

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Opens the folder of an existing run.

        Raises:
            RunDirectoryError: It is missing, or no run directory.
        """
        run = cls(path)
        if not os.path.lexists(path):
            raise RunDirectoryError(
                f"{path}: no such run directory. Check the path, or start the run without --resume."
            )
        if not is_run_directory(path):
            raise RunDirectoryError(
                f"{path}: not a run directory, which has config.yaml and versions.json. Check the path."
            )
        return run

    def versions(self) -> dict[str, str]:
        """Returns what the run was made with.

        Raises:
            RunDirectoryError: `versions.json` is damaged.
            FileError: It can't be read.
        """
        content = files.read_bytes(self.versions_path, max_bytes=_MAX_SETTINGS_BYTES)
        try:
            versions = json.loads(content)
        except (ValueError, RecursionError):
            versions = None
        if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
            raise RunDirectoryError(
                f"{self.versions_path}: damaged: it must map names to versions. Restore it from a copy."
            )
        return versions

    def update_settings(self, *, config_yaml: str, versions: Mapping[str, str]) -> None:
        """Replaces the configuration and the versions where they are others, as when a run goes on with others.

        Raises:
            FileError: They can't be written; each is as before or new.
        """
        for path, text in ((self.config_path, config_yaml), (self.versions_path, _versions_json(versions))):
            if files.read_bytes(path, max_bytes=_MAX_SETTINGS_BYTES) != text.encode():
                files.write_text(path, text)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Makes this process the only writer, and clears what an interrupted write has left.

        The lock ends with the block or with the process, however it ends; it leaves nothing to be cleaned up.

        Raises:
            RunDirectoryError: Another holds it. The message names it; nothing was touched.
            FileError: The lock file can't be opened, or a leftover not removed.
        """
        with explained(self._lock_path, "lock"):
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            self._take(descriptor)
            for folder in (self.path, self.checkpoints, self.tokenizer, self.best_models):
                if folder.is_dir():
                    files.remove_leftovers(folder)
            yield
        finally:
            os.close(descriptor)

    def check_unused(self) -> None:
        """Refuses a folder that another process writes to. It touches nothing, and promises nothing for later.

        Raises:
            RunDirectoryError: Another process holds the lock. The message names it.
            FileError: The lock file can't be opened.
        """
        if not self._lock_path.exists():
            return
        with files.open_regular(self._lock_path) as file:
            self._flock(file.fileno(), fcntl.LOCK_SH)  # so that two who look do not see each other

    def _flock(self, descriptor: int, kind: int) -> None:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunDirectoryError(
                f"{self.path}: in use by {_holder(descriptor)}. Wait for it, stop it, or use another run directory."
            ) from None
        except OSError as error:
            raise FileError(
                f"{self._lock_path}: can't lock: {error.strerror}. Use a folder on a file system with locks."
            ) from error

    def _take(self, descriptor: int) -> None:
        self._flock(descriptor, fcntl.LOCK_EX)
        if not self._lock_path.exists() or not os.path.samestat(os.fstat(descriptor), self._lock_path.stat()):
            raise RunDirectoryError(f"{self.path}: replaced by another process at this moment. Try again.")
        since = time.strftime("%Y-%m-%d %H:%M:%S%z")
        holder = {"process": os.getpid(), "host": socket.gethostname(), "since": since}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)

    def _is_occupied(self) -> bool:
        return os.path.lexists(self.path) and (not self.path.is_dir() or bool(files.list_folder(self.path)))

    def _check_replaceable(self, replace: bool) -> None:
        if not (is_run_directory(self.path) and self._lock_path.is_file() and self.checkpoints.is_dir()):
            raise RunDirectoryError(
                f"{self.path}: exists and is no run directory, so it is left alone. Choose another --run-dir."
            )
        if not replace:
            raise RunDirectoryError(
                f"{self.path}: a run is there already. Go on with it: nmt train CONFIG --run-dir {self.path} --resume. "
                "Delete it and start anew: the same command with --replace."
            )


def is_run_directory(path: str | Path) -> bool:
    """Tells whether a folder has what `RunDirectory.create` puts into one."""
    run = RunDirectory(path)
    return os.path.isfile(run.config_path) and os.path.isfile(run.versions_path)  # noqa: PTH113  (no error if unreadable)


def library_versions() -> dict[str, str]:
    """Returns the versions of Python, the platform and the installed packages that decide what a run computes.

    The Keras backend in use is for the caller to add: only Keras can tell, and it is not imported here. `nmt` is
    `unknown` where it runs from its source without being installed.

    Example:
        >>> library_versions()["python"].startswith("3.")
        True
    """
    from importlib import metadata  # here: only a run needs it, and it takes as long to import as all else above

    versions = {"nmt": "unknown", "python": platform.python_version(), "platform": platform.platform()}
    # Sums are split among the threads, and round as they are split.
    versions["cores"] = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _versions_json(versions: Mapping[str, str]) -> str:
    return json.dumps(dict(versions), indent=2, ensure_ascii=False) + "\n"


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {holder['process']:d} on {holder['host']!s} since {holder['since']!s}"
    except (ValueError, KeyError, TypeError):  # its holder is about to write, or has just left
        return "another process"
