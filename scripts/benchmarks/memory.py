"""The memory of this process, in 10^9 bytes. Needs no Keras, whose own memory is part of what is asked for."""

from __future__ import annotations

import os
import re
import resource
import sys
from pathlib import Path


def peak_gb() -> float:
    """Returns the most memory that this program has held at a time (resident)."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        status = ""
    # Linux's other answer, getrusage, counts what the starting process held at that moment.
    if found := re.search(r"^VmHWM:\s*(\d+) kB", status, flags=re.MULTILINE):
        return int(found[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def resident_gb() -> float | None:
    """Returns the memory that this process holds now; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9
