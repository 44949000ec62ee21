"""Repeats of one figure, told as a median with the lowest and the highest.

A mean would hide the one repeat that another program disturbed; the extremes show how noisy the machine was.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of the repeats of a figure.

    Example:
        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.0, high=3.0, num_repeats=3)
    """

    median: float
    low: float
    high: float
    num_repeats: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Returns the spread of one value or more."""
        figures = [float(value) for value in values]
        return cls(statistics.median(figures), min(figures), max(figures), len(figures))


def percentile(values: Iterable[float], percent: float) -> float:
    """Returns the smallest value that at least `percent` of the values do not exceed (the nearest rank).

    Args:
        values: One value or more.
        percent: Above 0, at most 100.

    Example:
        >>> percentile([10, 20, 30, 40], 50), percentile([10, 20, 30, 40], 95)
        (20, 40)
    """
    ordered = sorted(values)
    rank = -(-percent * len(ordered) // 100)
    return ordered[max(int(rank), 1) - 1]
