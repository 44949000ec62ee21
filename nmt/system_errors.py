"""Errors of the operating system as a person can use them: the path, the reason, the remedy."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import FileError

_REMEDIES = {
    errno.ENOSPC: "Free some space there, or choose another folder.",
    errno.EDQUOT: "Free some of your quota there, or choose another folder.",
    errno.EMFILE: "Allow the process more open files: ulimit -n 1024.",
    errno.EROFS: "Choose a folder that can be written.",
    errno.EACCES: "Check its permissions, or choose another path.",
    errno.EPERM: "Check its permissions, or choose another path.",
    errno.EIO: "The disk reports an error: check it before you rely on it.",
    errno.EISDIR: "Give the path of a file.",
    errno.ENOTDIR: "Part of the path is a file where a folder is needed: check it.",
    errno.ENOENT: "Check the path; its folder must exist.",
    errno.EEXIST: "Choose another path, or move what is there.",
    errno.ENOTEMPTY: "Choose another path, or move what is there.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "It is a symbolic link: put the file itself there.",
}


@contextlib.contextmanager
def explained(path: str | Path, action: str) -> Iterator[None]:
    """Turns an error of the system into a `FileError` that names the path, the reason and the remedy.

    Args:
        path: What the block works on.
        action: What it does, to follow "can't": `read`, `write`.
    """
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "Check the path.")
        raise FileError(f"{path}: can't {action}: {error.strerror or error}. {remedy}") from error
