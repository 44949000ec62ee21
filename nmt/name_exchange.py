"""Swapping the names of two files or folders in one step, where the system can."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path


def exchange_names(first: Path, second: Path) -> bool:
    """Gives each of two paths what lies at the other, by Linux's renameat2 with RENAME_EXCHANGE.

    Returns:
        Whether it was done; False where the system or the file system has no such call.

    Raises:
        OSError: The system has the call, and it failed; both are as before.
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # here alone: Python's `os` has no renameat2

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    at_working_directory, exchange = -100, 2
    if rename(at_working_directory, os.fsencode(first), at_working_directory, os.fsencode(second), exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EXDEV):
        return False
    raise OSError(number, os.strerror(number))
