from __future__ import annotations

import doctest

import pytest

from benchmarks import limit, spread
from benchmarks.spread import Spread, percentile


@pytest.mark.parametrize("module", [limit, spread])
def test_the_examples(module: object) -> None:
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)


def test_a_spread_of_an_even_number() -> None:
    assert Spread.of([4, 1, 2, 8]) == Spread(3.0, 1.0, 8.0, 4)


def test_the_nearest_rank() -> None:
    values = list(range(1, 101))
    assert [percentile(values, percent) for percent in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0
