"""Importing Keras without the messages that TensorFlow's C++ parts print while they start.

They speak of a missing graphics card and of rounding, in front of every answer of every command. This module knows
nothing of commands; a program that uses the package as a library never comes here, and keeps its messages.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's own variable: 0 shows all its messages, 1 no information, 2 no warnings, 3 no errors."""


def choose_log_level(*, show_all: bool) -> None:
    """Sets what TensorFlow may print from now on, unless the person has set it.

    What TensorFlow calls an error here is no failure, such as a graphics driver that is not there: a failure comes as a
    Python exception as well.

    Args:
        show_all: Everything, for someone who looks for a fault, instead of nothing.
    """
    os.environ.setdefault(LOG_LEVEL, "0" if show_all else "3")


def import_keras() -> None:
    """Imports Keras and its backend, without messages where `TF_CPP_MIN_LOG_LEVEL` asks for none.

    If the import fails, everything that it printed is shown.
    """
    is_quiet = os.environ.get(LOG_LEVEL, "0") != "0"
    # TensorFlow 2.21 prints its first messages before it reads the variable: at the descriptor they can be stopped.
    with _held_back() if is_quiet else contextlib.nullcontext():
        import keras  # noqa: F401  (loaded for its effect: what it prints is held back)


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keeps what is printed to standard output and error, by Python or by C, and shows it if the block fails."""
    _flush()
    with tempfile.TemporaryFile() as held:
        try:
            with _redirected(1, held.fileno()), _redirected(2, held.fileno()):
                try:
                    yield
                finally:
                    _flush()
        except Exception:
            held.seek(0)
            sys.stderr.write(held.read().decode("utf-8", "replace"))
            raise


@contextlib.contextmanager
def _redirected(descriptor: int, target: int) -> Iterator[None]:
    try:
        saved = os.dup(descriptor)
    except OSError:  # closed, so nothing can be printed to it
        yield
        return
    os.dup2(target, descriptor)
    try:
        yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed before Python started
            stream.flush()
