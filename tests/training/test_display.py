"""What a person sees of an epoch: a bar on a terminal, lines elsewhere; with a clock that the test turns."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from nmt.training import display as display_module
from nmt.training.display import Display, duration, peak_memory_gb
from nmt.training.progress import Progress

LOSSES = [4.0, 3.0, 2.75]  # the means of the epoch are 4, 3.5 and 3.25


@pytest.fixture
def now(monkeypatch):
    """Seconds that pass only where a test says so."""
    moment = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(display_module, "time", SimpleNamespace(monotonic=lambda: moment.seconds))
    return moment


def make(*, is_terminal):
    screen = io.StringIO()
    # The width and the kind of terminal are given, so that the environment of the test decides nothing.
    console = Console(file=screen, force_terminal=is_terminal, width=100, color_system=None, _environ={})
    return Display(4, 3, console), screen


def show_epoch(display, now, seconds_per_update):
    """Shows the second epoch as a run does: three updates of 10 tokens."""
    progress = Progress(epoch=1, updates=3, gradient_norm=3.14159)
    display.begin_epoch(progress)
    shown = []
    for loss in LOSSES:
        now.seconds += seconds_per_update
        progress.batch += 1
        progress.updates += 1
        progress.loss_sum += 10 * loss
        progress.num_tokens += 10
        progress.epoch_seconds += seconds_per_update
        shown.append(display.is_due())
        if shown[-1]:
            display.show(progress, 0.00125, 200.0)
    return shown


class TestWithoutTerminal:
    def test_a_line_now_and_then(self, now, caplog):
        display, screen = make(is_terminal=False)
        with caplog.at_level(logging.INFO):
            # After 20 s nothing, after 40 s a line, after 60 s nothing again.
            assert show_epoch(display, now, seconds_per_update=20.0) == [False, True, False]
            display.close()
        [message] = caplog.messages
        assert message == "update 5  loss 3.500  lr 1.25e-03  grad norm 3.14  0 tokens/s  3 min left"
        assert screen.getvalue() == ""

    def test_a_quick_epoch_prints_no_lines(self, now, caplog):
        display, screen = make(is_terminal=False)
        with caplog.at_level(logging.INFO):
            assert not any(show_epoch(display, now, seconds_per_update=1.0))
            display.close()
        assert (caplog.records, screen.getvalue()) == ([], "")


class TestTerminal:
    def test_a_bar(self, now, caplog):
        display, screen = make(is_terminal=True)
        with caplog.at_level(logging.INFO):
            assert all(show_epoch(display, now, seconds_per_update=1.0))
            display.close()
        shown = screen.getvalue()
        assert "epoch 2/4" in shown
        assert "loss 3.250  lr 1.25e-03  grad norm 3.14  10 tokens/s  3 min left" in shown
        assert caplog.records == []
        assert shown.rstrip().endswith("\x1b[2K")  # the line is cleared: nothing of the bar stays

    def test_changes_now_and_then_alone(self, now):
        """Reading the learning rate waits for a device."""
        display, _ = make(is_terminal=True)
        assert show_epoch(display, now, seconds_per_update=0.3) == [False, True, False]
        display.close()

    def test_a_resumed_epoch_begins_where_it_was(self, now):
        display, _ = make(is_terminal=True)
        display.begin_epoch(Progress(epoch=1, batch=2))
        [task] = display._bar.tasks
        assert (task.completed, task.total) == (2, 3)
        display.close()

    def test_one_bar_at_a_time(self, now):
        """A second epoch opens a new bar: rich refuses two at once."""
        display, screen = make(is_terminal=True)
        for _ in range(2):
            show_epoch(display, now, seconds_per_update=1.0)
            display.close()
        display.close()
        assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") == 2  # cursor off, on

    def test_closing_brings_the_cursor_back(self, now):
        """As when training is interrupted inside an epoch."""
        display, screen = make(is_terminal=True)
        display.begin_epoch(Progress())
        assert not screen.getvalue().endswith("\x1b[?25h")
        display.close()
        display.close()
        assert "\x1b[?25h" in screen.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.4, "0 s"),
        (99.4, "99 s"),
        (100.0, "2 min"),
        (340.0, "6 min"),
        (5900.0, "98 min"),
        (6000.0, "1 h 40 min"),
        (7500.0, "2 h 5 min"),
        (90_000.0, "25 h 0 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's own count is read from /proc")
def test_peak_memory():
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    expected = int(line.split()[1]) * 1024 / 1e9
    # A process that was started by a larger one shows the peak of that one for a moment.
    assert 0.95 * expected <= peak_memory_gb() < 10 * expected
