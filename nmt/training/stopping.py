"""SIGINT, SIGTERM and SIGHUP as a request to save and leave, instead of an end in the midst of an update.

This module knows nothing of what is saved.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """Raised where a request to stop has been met.

    Attributes:
        exit_status: That of a process which the signal ends: 130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.exit_status = 128 + number


class StopRequest:
    """Notes the first signal; a second SIGINT ends the process at once.

    At once means by the system: a handler in Python would wait for the end of what the process computes.

    Attributes:
        signal: Number of the signal that has arrived, or None.

    Example:
        >>> import os
        >>> with StopRequest() as stop:
        ...     os.kill(os.getpid(), signal.SIGTERM)
        ...     stop.signal == signal.SIGTERM
        True
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._is_interruptible = False
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        # Elsewhere than in the main thread Python sets no handlers: such a program stops its threads in its own way.
        if threading.current_thread() is threading.main_thread():
            # What is ignored, as SIGHUP under `nohup`, stays so.
            heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._handlers = {number: signal.signal(number, self._handle) for number in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what `signal.signal` has returned

    def check(self) -> None:
        """Raises `Stopped` if a signal has arrived."""
        if self.signal is not None:
            raise Stopped(self.signal)

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that changes nothing that is saved: a signal ends it at once, with `Stopped`."""
        try:
            self._is_interruptible = True
            self.check()
            yield
        finally:
            self._is_interruptible = False

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            return
        self.signal = number
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _show_cursor()
        logger.info("%s: saving, then leaving; Ctrl-C leaves without saving", signal.Signals(number).name)
        if self._is_interruptible:
            self._is_interruptible = False
            raise Stopped(number)


def _show_cursor() -> None:
    """Gives a terminal its cursor back, which a live bar has hidden: the next signal may leave no time for it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stdout.isatty():
            sys.stdout.write("\x1b[?25h")
            sys.stdout.flush()
