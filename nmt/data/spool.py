"""A file without a name, for what is too large for the memory and belongs to one process alone.

It goes when it is closed, when nothing refers to it any more, or when the process ends, however that ends.
This module knows nothing of what is written.
"""

from __future__ import annotations

import io
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nmt.errors import FileError
from nmt.system_errors import explained

_BUFFER_BYTES = 1_000_000


class Spool:
    """Bytes that are written once, one behind the other, and then read.

    Args:
        folder: Where the file lies.

    Raises:
        FileError: The folder can't be written or is full; later, that what was written can't be read.

    Attributes:
        folder: Where the file lies.
        size: Bytes written so far.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder, Spool(folder) as spool:
        ...     spool.write(b"abc")
        ...     spool.write(np.array([1, 2], np.uint16))
        ...     spool.read_next(3), spool.read_array(3, np.uint16, 2), os.listdir(folder)
        (b'abc', array([1, 2], dtype=uint16), [])
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder
        self.size = 0
        self._reader: io.BufferedReader | None = None
        with explained(folder, "write temporary files there"):
            # Where the system has no nameless files it has for a moment a name that `files.remove_leftovers` knows.
            self._file: Any = tempfile.TemporaryFile(  # noqa: SIM115  (it outlives this call: `finalize` closes it)
                dir=folder, prefix=".nmt-", suffix=".tmp", buffering=0
            )
        self._closes_with_this = weakref.finalize(self, self._file.close)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes | bytearray | NDArray[Any]) -> None:
        """Writes all of the data behind what is there."""
        rest = _bytes_of(data)
        with explained(self.folder, "write temporary files there"):
            while rest:
                num_bytes = os.pwrite(self._file.fileno(), rest, self.size)
                self.size += num_bytes
                rest = rest[num_bytes:]

    def read_next(self, num_bytes: int) -> bytes:
        """Reads on from where the last call ended, from the start at first; fewer bytes at the end."""
        with explained(self.folder, "read back a temporary file there"):
            if self._reader is None:
                self._reader = io.BufferedReader(self._file, _BUFFER_BYTES)
            return self._reader.read(num_bytes)

    def read_array(self, start: int, dtype: DTypeLike, length: int) -> NDArray[Any]:
        """Reads numbers that begin at a byte of the file."""
        array = np.empty(length, dtype)
        rest = _bytes_of(array)
        with explained(self.folder, "read back a temporary file there"):
            while rest:
                num_bytes = os.preadv(self._file.fileno(), [rest], start)
                if not num_bytes:
                    raise FileError(f"{self.folder}: a temporary file there was cut short. Check the disk.")
                start += num_bytes
                rest = rest[num_bytes:]
        return array


def _bytes_of(data: Any) -> memoryview:
    view = memoryview(data)
    return view.cast("B") if view.nbytes else memoryview(b"")  # an empty one can't be cast
