"""What holds for the tests of the scripts: the benchmark's modules can be imported, and its processes cost nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

# At the end: the other scripts there bear the names of packages.
sys.path.append(str(Path(__file__).parents[2] / "scripts"))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the measurements here: a process for each would start Keras anew."""
    from benchmarks import process

    def run(function: Any, /, *arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    monkeypatch.setattr(process, "run", run)


@pytest.fixture
def quick_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes a number for the machine's peak."""
    from benchmarks import limit
    from benchmarks.spread import Spread

    monkeypatch.setattr(limit, "matrix_product_peak", lambda dtype: Spread.of([1e9, 2e9, 3e9]))
    monkeypatch.setattr(limit, "numpy_product_peak", lambda: Spread.of([1e9, 2e9, 3e9]))
