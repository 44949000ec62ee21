"""Signals while training: noted, met where it is safe, at once where it is asked twice; the handlers come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nmt.training.stopping import Stopped, StopRequest

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
both = pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)


@pytest.fixture(autouse=True)
def handlers():
    """Holds every test to leave the handlers as they were; SIGTERM must not end the tests."""
    before = {number: signal.getsignal(number) for number in STATUS}
    yield before
    after = {number: signal.getsignal(number) for number in STATUS}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == before


def send(number):
    signal.raise_signal(number)  # in this thread: its handler has run when the call returns


@both
def test_the_first_is_noted_and_said(number, caplog):
    caplog.set_level("INFO", "nmt")
    with StopRequest() as stop:
        stop.check()
        assert stop.signal is None
        send(number)
        assert stop.signal == number
        assert caplog.messages == [f"{number.name}: saving, then leaving; Ctrl-C leaves without saving"]
        with pytest.raises(Stopped) as stopped:
            stop.check()
    assert stopped.value.exit_status == STATUS[number]
    assert isinstance(stopped.value, KeyboardInterrupt)  # no `except Exception` on the way takes it for an error


def test_from_another_process_too():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM


@pytest.mark.parametrize("first", STATUS, ids=lambda number: number.name)
def test_a_second_sigint_leaves_at_once(first):
    """By the system itself, whatever the process is about: here no line of Python is run any more."""
    with StopRequest() as stop:
        send(first)
        assert stop.signal == first
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_a_second_sigint_ends_a_process_that_computes():
    program = """
import os, signal, sys
from nmt.training.stopping import StopRequest
with StopRequest():
    os.kill(os.getpid(), signal.SIGINT)
    print("noted", flush=True)
    sum(range(10**11))
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout.readline() == b"noted\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT


def test_what_is_ignored_stays_so(handlers):
    """As SIGHUP under `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as stop:
        send(signal.SIGHUP)
        assert stop.signal is None
    signal.signal(signal.SIGHUP, handlers[signal.SIGHUP])


@pytest.mark.parametrize("first", STATUS, ids=lambda number: number.name)
def test_a_second_sigterm_changes_nothing(first, caplog):
    """What stops a machine may send it again and again; the save goes on."""
    caplog.set_level("INFO", "nmt")
    with StopRequest() as stop:
        send(first)
        send(signal.SIGTERM)
        assert stop.signal == first
        assert len(caplog.messages) == 1


class TestInterruptible:
    @both
    def test_a_signal_ends_the_block_at_once(self, number):
        done = []
        with StopRequest() as stop:
            with pytest.raises(Stopped) as stopped, stop.interruptible():  # noqa: PT012  (where it ends is the point)
                done.append("before")
                send(number)
                done.append("after")
            assert stop.signal == number
        assert done == ["before"]
        assert stopped.value.exit_status == STATUS[number]

    def test_one_that_has_come_before_keeps_it_from_beginning(self):
        done = []
        with StopRequest() as stop:
            send(signal.SIGTERM)
            with pytest.raises(Stopped), stop.interruptible():
                done.append("begun")
        assert done == []

    def test_after_it_signals_are_noted_again(self):
        with StopRequest() as stop:
            with stop.interruptible():
                pass
            send(signal.SIGINT)
            assert stop.signal == signal.SIGINT

    def test_after_an_error_in_it_too(self):
        with StopRequest() as stop:
            with pytest.raises(ValueError, match="broken"), stop.interruptible():
                raise ValueError("broken")
            send(signal.SIGTERM)
            assert stop.signal == signal.SIGTERM


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_handlers_are_restored(error, handlers):
    seen = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    own = {number: signal.getsignal(number) for number in STATUS}
    try:
        with StopRequest():
            assert all(signal.getsignal(number) != own[number] for number in STATUS)
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    assert {number: signal.getsignal(number) for number in STATUS} == own
    send(signal.SIGTERM)
    assert seen == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, handlers[signal.SIGTERM])


def test_in_another_thread_it_leaves_the_handlers_alone(handlers):
    """Python sets handlers in the main thread alone: a program that trains in a thread of its own still can."""
    found = []

    def work():
        with StopRequest() as stop:
            stop.check()
            found.append({number: signal.getsignal(number) for number in STATUS})

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [handlers]
