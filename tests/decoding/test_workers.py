"""Several batches at a time: in order, on one core each, and over within a step when nobody waits any more."""

from __future__ import annotations

import threading
import time

import numpy as np  # noqa: F401  (brings the library whose cores are counted)
import pytest

from nmt.decoding.workers import Stoppable, StoppedError, available_cores, in_parallel

CORES = available_cores()
needs_two_cores = pytest.mark.skipif(CORES == 1, reason="a limit of one core shows on more than one alone")


def run(function, batches, workers):
    return list(in_parallel(function, batches, workers, threading.Event()))


@pytest.mark.parametrize("workers", [1, 2, 3, 10])
def test_results_come_in_the_order_of_the_batches(workers):
    def slow_first(batch: int) -> int:
        time.sleep(0.03 if batch == 0 else 0)
        return 10 * batch

    assert run(slow_first, range(5), workers) == [(batch, 10 * batch) for batch in range(5)]
    assert run(slow_first, [], workers) == []


@needs_two_cores
def test_products_run_on_one_core_while_several_are_in_work():
    assert [cores for _, cores in run(lambda _: available_cores(), range(3), 2)] == [1, 1, 1]
    assert available_cores() == CORES
    assert [cores for _, cores in run(lambda _: available_cores(), range(1), 2)] == [CORES]  # one batch has them all
    assert [cores for _, cores in run(lambda _: available_cores(), range(3), 1)] == 3 * [CORES]


@needs_two_cores
@pytest.mark.parametrize("first_to_end", ["first", "second"])
def test_two_callers_that_overlap_leave_the_cores_as_they_were(first_to_end):
    # Each restored what the other had set: the process stayed on one core.
    begun = {name: threading.Event() for name in ("first", "second")}
    may_end = {name: threading.Event() for name in begun}

    def wait_in(name: str) -> threading.Thread:
        def wait(_: int) -> None:
            begun[name].set()
            assert may_end[name].wait(10)

        thread = threading.Thread(target=run, args=(wait, range(2), 2))
        thread.start()
        assert begun[name].wait(10)
        return thread

    threads = {name: wait_in(name) for name in begun}
    for name in sorted(threads, key=lambda name: name != first_to_end):
        assert available_cores() == 1
        may_end[name].set()
        threads[name].join(10)
    assert available_cores() == CORES


class Endless:
    """A model that takes its time; it counts its steps."""

    def __init__(self) -> None:
        self.num_steps = 0
        self.name = "endless"

    def advance(self, argument: int) -> int:
        self.num_steps += 1
        time.sleep(0.001)
        return argument


def test_an_error_ends_what_is_in_work_within_a_step():
    stop = threading.Event()
    model = Endless()
    stoppable = Stoppable(model, stop)
    assert stoppable.name == "endless"
    ended = []

    def work(batch: int) -> None:
        if batch == 0:
            while model.num_steps < 3:
                time.sleep(0.001)
            raise ValueError("the first one fails")
        try:
            while True:
                assert stoppable.advance(7) == 7
        except StoppedError:
            ended.append(batch)
            raise

    with pytest.raises(ValueError, match="the first one fails"):
        list(in_parallel(work, range(10), 2, stop))
    assert 1 in ended
    assert len(ended) <= 2  # one more may have begun; the others never did
    assert available_cores() == CORES


def test_a_caller_who_leaves_ends_what_is_in_work():
    stop = threading.Event()
    stoppable = Stoppable(Endless(), stop)

    def work(batch: int) -> int:
        while batch:
            stoppable.advance(batch)
        return batch

    results = in_parallel(work, range(3), 2, stop)
    assert next(results) == (0, 0)
    results.close()
    assert stop.is_set()
