r"""A growing file of JSON objects, one a line: the records of a run, such as its metrics.

This module knows nothing of what the objects mean.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nmt import files
from nmt.errors import RunDirectoryError

_LOGGER = logging.getLogger(__name__)


class JSONLines:
    """The file; it need not exist.

    Args:
        path: Where it lies.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     records = JSONLines(Path(folder, "metrics.jsonl"))
        ...     records.append({"epoch": 1, "loss": math.inf})
        ...     records.read()
        [{'epoch': 1, 'loss': None}]
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a line, which is on the disk when this returns.

        Args:
            record: Plain values by name. A number that is not finite is written as null: JSON has no word for it.

        Raises:
            FileError: The line can't be written; the file is as before.
        """
        files.append_line(self.path, _line(record), sync=True)

    def replace(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Writes the whole file anew, as when a resumed run goes back to its checkpoint.

        Raises:
            FileError: It can't be written; the file is as before.
        """
        files.write_text(self.path, "".join(_line(record) + "\n" for record in records))

    def read(self) -> list[dict[str, Any]]:
        r"""Returns the records, oldest first; none where there is no file yet.

        A last line without its `\n`, left by a killed process, is no record; the log says so.

        Raises:
            RunDirectoryError: A line is damaged.
            FileError: The file can't be read.
        """
        if not self.path.exists():
            return []
        with files.open_regular(self.path) as file:
            *lines, torn = file.readall().split(b"\n")
        if torn:
            _LOGGER.warning("%s: left out an unfinished last line.", self.path)
        return [self._parse(line, number) for number, line in enumerate(lines, start=1)]

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise RunDirectoryError(
                f"{self.path}: line {number} is damaged: it must be a JSON object. Restore or remove it."
            )
        return record


def _line(record: Mapping[str, Any]) -> str:
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }
    return json.dumps(finite, ensure_ascii=False, allow_nan=False)
