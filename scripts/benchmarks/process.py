"""A measurement in a process of its own.

The most memory that a process has held can't be forgotten again, and what one measurement compiled or cached would
serve the next: so each gets a new interpreter.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from nmt.errors import NMTError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def run(function: Callable[Arguments, Result], /, *arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
    """Calls a function of a module in a new interpreter.

    Raises:
        NMTError: The process ended without an answer; and what the function itself raises.
    """
    # Not a fork: a fork would share this process's memory, and a backend's threads do not survive one.
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments, **options).result()
        except BrokenProcessPool:
            raise NMTError(
                "the process of a measurement has ended without a result; the system ends one that takes too much "
                "memory. Measure with less: fewer pairs, smaller batches."
            ) from None
