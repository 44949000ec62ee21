"""Several batches at a time, a thread each.

NumPy lets go of the interpreter while it computes, so threads share the weights and still use every core; and a batch a
core wastes less than all cores at every product of one batch. This module knows nothing of what a batch is.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from threadpoolctl import OpenBLASController, threadpool_info, threadpool_limits

Batch = TypeVar("Batch")
Result = TypeVar("Result")


class StoppedError(Exception):
    """Raised in a worker whose result nobody waits for any more."""


class Stoppable:
    """A model whose next step raises `StoppedError` once `stop` is set: a batch in work ends within a step.

    Args:
        model: What decodes; see `nmt.decoding.search.StepModel`.
        stop: Set from any thread.
    """

    def __init__(self, model: Any, stop: threading.Event) -> None:
        self._model = model
        self._stop = stop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def advance(self, *args: Any) -> Any:
        """Does what the model's own does, unless it is to stop."""
        if self._stop.is_set():
            raise StoppedError
        return self._model.advance(*args)


def in_parallel(
    function: Callable[[Batch], Result], batches: Sequence[Batch], workers: int, stop: threading.Event
) -> Iterator[tuple[Batch, Result]]:
    """Yields each batch with what the function makes of it, in order.

    While several are in work, the products of the whole process run on one core each. A single batch has all the cores
    to itself.

    Args:
        function: Called in a thread, unless there is one batch or one worker.
        batches: What is to be done.
        workers: Most threads.
        stop: Set when the iteration ends early, by an error or Ctrl-C; the function should then raise.
    """
    workers = min(workers, len(batches))
    if workers <= 1:
        for batch in batches:
            yield batch, function(batch)
        return
    with single_core_products(), ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(function, batch) for batch in batches]
        try:
            for batch, future in zip(batches, futures, strict=True):
                yield batch, future.result()
        finally:
            stop.set()
            for future in futures:
                future.cancel()


def available_cores() -> int:
    """Returns on how many cores NumPy's products run: those the process may use, unless the environment says fewer."""
    libraries = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    return max(libraries, default=1)


_lock = threading.Lock()
_users = 0
_limits: threadpool_limits | None = None


@contextlib.contextmanager
def single_core_products() -> Iterator[None]:
    """Limits products to one core; where several threads of a program ask for it, until the last of them is done.

    The limit belongs to the process: each of two overlapping ones would restore what the other had set.
    """
    global _users, _limits
    with _lock:
        if _users == 0:
            _limits = threadpool_limits(1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _limits is not None:
                # Only the thread that has set a limit may lift it, until that right is taken from it: the first one has
                # set this limit, and the last one lifts it. Afterwards the next may set one, whoever it is.
                OpenBLASController.clear_controlling_thread(force=True)
                _limits.restore_original_limits()
                OpenBLASController.clear_controlling_thread(force=True)
                _limits = None
