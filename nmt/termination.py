"""SIGTERM and SIGHUP as an end that cleans up: what is half written is removed, as after Ctrl-C.

Python dies of them on the spot. In training `nmt.training.stopping` takes them over. This module knows nothing of
files.
"""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def clean_up_when_told_to_end() -> None:
    """Lets a signal end the process by `SystemExit`, with the status that the signal stands for: 143, 129."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # what is ignored, as under `nohup`, stays so
            signal.signal(number, _end)


def _end(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)
