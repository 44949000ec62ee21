"""What a person sees: results on standard output; log lines, errors and how far a command is on standard error.

Messages hold what users and files wrote, so they are made inert for the terminal. This module knows nothing of what is
written, logged or counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from nmt import files
from nmt.errors import FileError
from nmt.system_errors import explained
from nmt.terminal import printable

BROKEN_PIPE_STATUS = 141
"""Exit status when the reader of standard output has gone, as after `| head`: that of a program that SIGPIPE ends."""

_COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m"}
_PLAIN = "\x1b[0m"


class _KeepingHandler(logging.Handler):
    """Keeps messages."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record)


class _ScreenHandler(logging.Handler):
    """Shows messages on the standard error of the moment: a live progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = record.levelname.lower() if record.levelno >= logging.WARNING else ""
            show(self.format(record), level)
        except (OSError, ValueError):  # nobody is there to read it, or to be told so
            self.handleError(record)


class _FileHandler(logging.Handler):
    """Appends whole lines with time and level to a file.

    Lines that can't be written, as on a full disk, are no reason to end what is logged: the first is told on the
    screen, and how many there were stands in the file once it can be written again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._num_lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        lines = [f"{record.levelname} {line}" for line in self.format(record).split("\n")]
        try:
            if self._num_lost:
                self._append(f"{moment} WARNING {self._num_lost:,} lines could not be written here")
                self._num_lost = 0
            for line in lines:
                self._append(f"{moment} {line}")
        except FileError as error:
            if not self._num_lost:
                show(str(error), "warning")
            self._num_lost += len(lines)

    def _append(self, line: str) -> None:
        files.append_line(self._path, printable(line.rstrip()))


@contextlib.contextmanager
def log_to_screen(level: int) -> Iterator[None]:
    """Shows messages of the package from a level on, and warnings of all others, within the block."""
    handler, ours, root = _ScreenHandler(), logging.getLogger("nmt"), logging.getLogger()
    before = ours.level
    ours.setLevel(level)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        ours.setLevel(before)


@contextlib.contextmanager
def log_kept() -> Iterator[list[logging.LogRecord]]:
    """Keeps the messages that are shown within the block, for a file that is not there yet."""
    handler = _KeepingHandler()
    with _handled_by(handler):
        yield handler.kept


@contextlib.contextmanager
def log_to_file(path: Path, earlier: Sequence[logging.LogRecord] = ()) -> Iterator[None]:
    """Appends messages to a file: those kept earlier, and all that are shown within the block."""
    handler = _FileHandler(path)
    for record in earlier:
        handler.handle(record)
    with _handled_by(handler):
        yield


@contextlib.contextmanager
def _handled_by(handler: logging.Handler) -> Iterator[None]:
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def show(message: str, level: str = "") -> None:
    """Shows a message.

    Args:
        message: One line or several.
        level: `error`, `warning` or nothing; it stands before the message, in its colour on a terminal.
    """
    if sys.stderr is None:  # closed before Python started
        return
    if level:
        coloured = f"{_COLOURS[level]}{level}:{_PLAIN}" if level in _COLOURS and sys.stderr.isatty() else f"{level}:"
        level = coloured + " "
    sys.stderr.write(f"{level}{printable(message, keep=chr(10))}\n")
    sys.stderr.flush()


def is_terminal(stream: TextIO | None) -> bool:
    """Tells whether a standard stream is a terminal; it is None where it was closed before Python started."""
    return stream is not None and stream.isatty()


def write_result(text: str) -> None:
    """Writes UTF-8 text to standard output, at once, whatever the encoding of the terminal.

    Raises:
        FileError: It is closed, or can't be written: a full disk.
        SystemExit: Nobody reads it any more; not worth a message.
    """
    if sys.stdout is None:
        raise FileError("standard output: can't write: it is closed. Give a file, or leave it open.")
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is left in the buffer has nowhere to go, and Python would complain of it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(BROKEN_PIPE_STATUS) from None
        with explained("standard output", "write"):
            raise


@contextlib.contextmanager
def progress(unit: str, total: int | None = None, *, is_shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Shows how far a command is, where standard error is a terminal; nothing of it stays on the screen.

    Args:
        unit: What is counted, such as `lines`.
        total: How many there are, if that is known.
        is_shown: False hides it, as where results are shown on the same terminal.

    Yields:
        A function to be called with the number that is done.
    """
    if not is_shown or not is_terminal(sys.stderr):
        yield lambda _: None
        return
    from rich import progress as bars  # here: no other command needs it
    from rich.console import Console

    known = total is not None
    columns: list[bars.ProgressColumn] = [bars.BarColumn(), bars.MofNCompleteColumn()] if known else []
    columns += [
        bars.TextColumn("{task.description}"),
        bars.TimeRemainingColumn() if known else bars.TimeElapsedColumn(),
    ]
    start = time.monotonic()
    # Standard output carries the results: it is left alone.
    with bars.Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as display:
        task = display.add_task(unit if known else f"0 {unit}", total=total)

        def show_done(num_done: int) -> None:
            speed = num_done / max(time.monotonic() - start, 1e-9)
            count = unit if known else f"{num_done:,} {unit}"
            display.update(task, completed=num_done, description=f"{count}, {speed:,.1f} a second")

        yield show_done
