"""Writing to disk so that a file or a folder is there whole, or not at all.

Everything the package writes goes through these few functions: a temporary name in the same folder, the data, flush,
fsync, rename, fsync of the folder. A crash, a full disk or a kill at any moment leaves the old content or the new one,
and at most a temporary that `remove_leftovers` takes away. The system is called through the functions of `os` alone, so
that a test can record each call or let it fail. This module knows nothing of what is written. POSIX only.
"""

# pathlib would hide which call is made.
# ruff: noqa: PTH102, PTH103, PTH104, PTH105, PTH108, PTH116, PTH123, PTH208

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nmt import name_exchange
from nmt.errors import FileError
from nmt.system_errors import explained

_LOGGER = logging.getLogger(__name__)
_TEMPORARY = re.compile(r"\.nmt-(?:[0-9a-f]{16}|[0-9a-z_]{8})\.tmp")  # ours, and those of `tempfile`
_ASIDE = re.compile(r"\.nmt-old\.(.+)")
_TAIL_BYTES = 65_536


def write_bytes(path: str | Path, data: bytes) -> None:
    """Writes a file whole or not at all.

    Args:
        path: The file; an old one is replaced, and keeps its permissions. A device or a pipe is written as it stands.
        data: Its whole content.

    Raises:
        FileError: The file can't be written. The old content is untouched.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_bytes(f"{folder}/data", b"whole")
        ...     read_bytes(f"{folder}/data", max_bytes=100)
        b'whole'
    """
    with new_file(path) as file:
        file.write(data)


def write_text(path: str | Path, text: str) -> None:
    r"""Writes UTF-8 text whole or not at all, `\n` as it stands; otherwise as `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


@contextlib.contextmanager
def new_file(path: str | Path) -> Iterator[io.RawIOBase]:
    """Opens an unbuffered binary file that takes the name `path` when the block ends well, and vanishes otherwise.

    Args:
        path: The file; an old one is replaced, and keeps its permissions. A symbolic link is followed. A device or a
            pipe (such as `/dev/stdout`) is written directly, as there is nothing to rename.

    Yields:
        The file; `write` takes all bytes or raises.

    Raises:
        FileError: The file can't be written. What the block itself raises passes unchanged.
    """
    path = Path(path)
    with explained(path, "write"):
        final = Path(os.path.realpath(path))
        old = os.stat(path) if path.exists() else None
        if old and stat.S_ISDIR(old.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        special = old is not None and not stat.S_ISREG(old.st_mode)
        temporary = path if special else _temporary_name(final)
        creation = 0 if special else os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CLOEXEC | creation, 0o666)
    try:
        try:
            yield _File(descriptor, path)
            with explained(path, "write"):
                if not special:
                    if old:
                        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
                    os.fsync(descriptor)
        finally:
            with explained(path, "write"):
                os.close(descriptor)
        if not special:
            with explained(path, "write"):
                os.replace(temporary, final)
                _sync_folder(final.parent)
    except BaseException:
        if not special:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise


@contextlib.contextmanager
def new_folder(path: str | Path, *, replace: bool = True) -> Iterator[Path]:
    """Makes a folder that takes the name `path` when the block ends well, and vanishes with all in it otherwise.

    An old folder is exchanged for the new one in one step where the system can (Linux). Elsewhere it is aside for a
    moment between two renames; `remove_leftovers` brings it back should the machine stop there.

    Args:
        path: The folder. Its parent must exist.
        replace: Replace an old folder, once the new one is whole on disk. Otherwise only an empty one is replaced.

    Yields:
        A temporary folder beside `path`, to be filled.

    Raises:
        FileError: The folder can't be written, or exists and `replace` is false. What was there is untouched.
    """
    path = Path(path)
    with explained(path, "write"):
        final = Path(os.path.realpath(path))
        no_longer_needed = temporary = _temporary_name(final)
        os.mkdir(temporary)
    try:
        yield temporary
        with explained(path, "write"):
            _sync_tree(temporary)
            try:
                os.rename(temporary, final)
            except OSError as error:
                if not replace or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                no_longer_needed = _exchange(temporary, final)
            _sync_folder(final.parent)
    finally:
        _discard(no_longer_needed)


def make_folder(path: str | Path) -> None:
    """Makes a folder and the folders above it where they are missing.

    Raises:
        FileError: It can't be made, or is a file.
    """
    with explained(path, "make the folder"):
        missing = [each for each in (Path(path), *Path(path).parents) if not each.exists()]
        os.makedirs(path, exist_ok=True)
        for each in missing:
            _sync_folder(each.parent)


def remove_folder(path: str | Path) -> None:
    """Removes a folder and all in it; it loses its name before anything in it is touched.

    Raises:
        FileError: It can't be removed, and is untouched; or it is not sure to stay removed after a crash.
    """
    path = Path(path)
    temporary = _temporary_name(path)
    with explained(path, "remove"):
        os.rename(path, temporary)
        try:
            _sync_folder(path.parent)
        finally:
            _discard(temporary)


def rename(path: str | Path, new: str | Path) -> None:
    """Gives a file or a folder another name in the same folder.

    Raises:
        FileError: It can't be renamed, or there is something of the new name already.
    """
    path, new = Path(path), Path(new)
    with explained(path, f"rename to {new.name}"):
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(path, new)
        _sync_folder(path.parent)


def remove_leftovers(folder: str | Path) -> None:
    """Clears what an interrupted write left in a folder; only for the one process that writes there.

    Folders within it are not searched.

    Raises:
        FileError: The folder can't be read, or a leftover not removed.
    """
    folder = Path(folder)
    with explained(folder, "clear"):
        for name in list_folder(folder):
            aside = _ASIDE.fullmatch(name)
            if aside and not os.path.lexists(folder / aside[1]):
                os.rename(folder / name, folder / aside[1])
                _LOGGER.warning("%s: brought back after an interrupted write.", folder / aside[1])
            elif aside or _TEMPORARY.fullmatch(name):
                (shutil.rmtree if (folder / name).is_dir() else os.unlink)(folder / name)
                _LOGGER.info("%s: removed, left over from an interrupted write.", folder / name)


def list_folder(path: str | Path) -> list[str]:
    """Returns the names in a folder, sorted.

    Raises:
        FileError: It can't be read, or is no folder.
    """
    with explained(path, "read"):
        return sorted(os.listdir(path))


def append_line(path: str | Path, text: str, *, sync: bool = False) -> None:
    r"""Appends one line to a text file, which is made if it is missing.

    The line outlives a killed process. A line that an earlier stop has left without its `\n` is cut off first, with a
    warning.

    Args:
        path: The file.
        text: The line, without a line break.
        sync: Whether it outlives a machine that stops too: otherwise the system writes it to the disk when it likes.

    Raises:
        FileError: The file can't be written; it is as before.
        ValueError: `text` holds a line break.
    """
    if "\n" in text:
        raise ValueError(f"`text` must be one line. Received: text={text!r}")
    data = (text + "\n").encode("utf-8")
    with explained(path, "write"):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            length = _whole_lines(descriptor)
            torn = os.fstat(descriptor).st_size - length
            if torn:
                os.ftruncate(descriptor, length)
                _LOGGER.warning("%s: cut off %d bytes of an unfinished last line.", path, torn)
            try:
                _write_all(descriptor, data)
                if sync:
                    os.fsync(descriptor)
                    if not length:  # perhaps a new file, whose name must last too
                        _sync_folder(Path(path).parent)
            except BaseException:
                os.ftruncate(descriptor, length)
                raise
        finally:
            os.close(descriptor)


def read_bytes(path: str | Path, *, max_bytes: int) -> bytes:
    """Reads a whole regular file of bounded size.

    Raises:
        FileError: It can't be read, is no regular file, is a symbolic link, or is larger than `max_bytes`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            rule = f"must have at most {max_bytes:,} bytes. Received: {size:,}"
            raise FileError(f"{path}: {rule}. Is this the right file?")
        return file.read(max_bytes)


@contextlib.contextmanager
def open_regular(path: str | Path) -> Iterator[io.FileIO]:
    """Opens a regular file for reading, unbuffered; never follows a symbolic link, nor waits at a pipe.

    Raises:
        FileError: It can't be opened, is no regular file, or can't be read within the block.
    """
    with explained(path, "read"):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileError(f"{path}: can't read: it is not a regular file. Check the path.")
        with open(descriptor, "rb", buffering=0) as file:
            yield file


class _File(io.RawIOBase):
    """A descriptor, open for writing and closed by its owner. Errors of the system become `FileError`s here."""

    def __init__(self, descriptor: int, path: Path) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._path = path

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with explained(self._path, "write"):
            return _write_all(self._descriptor, data)


def _temporary_name(final: Path) -> Path:
    return final.parent / f".nmt-{secrets.token_hex(8)}.tmp"


def _write_all(descriptor: int, data: Any) -> int:
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return memoryview(data).nbytes


def _whole_lines(descriptor: int) -> int:
    r"""Returns the length of the file up to and with its last `\n`."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - _TAIL_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _sync_tree(folder: Path) -> None:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            _sync_tree(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems can't sync a folder; they do it on their own
            raise
    finally:
        os.close(descriptor)


def _exchange(new: Path, old: Path) -> Path:
    """Puts a folder in the place of another, in two steps where the system can't in one; returns where that is now."""
    if name_exchange.exchange_names(new, old):
        return new
    aside = old.parent / f".nmt-old.{old.name}"
    if aside.exists():
        shutil.rmtree(aside)
    os.rename(old, aside)
    try:
        os.rename(new, old)
    except BaseException:
        os.rename(aside, old)
        raise
    return aside


def _discard(folder: Path) -> None:
    """Removes a temporary folder, if it is there; that it stays is worth a warning, no more."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        _LOGGER.warning("%s: can't remove this temporary folder: %s.", folder, error.strerror or error)
