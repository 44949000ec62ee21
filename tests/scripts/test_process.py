from __future__ import annotations

import os

import pytest

from benchmarks import process
from nmt.errors import NMTError


def test_a_function_runs_in_another_process() -> None:
    assert process.run(os.getpid) != os.getpid()


def test_an_error_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        process.run(divmod, 1, 0)


def test_a_process_that_is_ended_is_told() -> None:
    with pytest.raises(NMTError, match="ended without a result"):
        process.run(os._exit, 9)
