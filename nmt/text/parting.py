"""Where two files of unequal length seem to part, judged by the lengths of their lines.

This module knows numbers alone.
"""

from __future__ import annotations

from collections.abc import Sequence


def find_parting_line(shorter: Sequence[int], longer: Sequence[int]) -> int:
    """Returns the line, from 1, where the sides seem to part.

    If `num_extra` lines are missing from the shorter side before its line k, then its lines below k go with the same
    lines of the longer side, and the others with those `num_extra` lines further on. The k with the smallest total
    difference of log lengths is the likeliest; of several the last, as after a copy that was cut short.

    Args:
        shorter: Number of characters in each line of the side with fewer lines.
        longer: That of the other side.

    Example:
        >>> find_parting_line([5, 30, 5, 5], [5, 30, 60, 5, 5])
        3
    """
    import numpy as np  # only a broken corpus pays for it

    short, long = np.log1p(shorter), np.log1p(longer)
    num_extra = len(long) - len(short)
    if not len(short):
        return 1
    scale = np.median(long) - np.median(short)
    before = np.abs(long[: len(short)] - short - scale)
    after = np.abs(long[num_extra:] - short - scale)
    advantage = np.concatenate([[0.0], np.cumsum(after - before)])  # of parting later, per k
    return len(short) - int(np.argmax(advantage[::-1])) + 1
