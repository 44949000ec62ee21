"""Counting, limits and display, with a clock that the test turns and a model that is a stand-in."""

from __future__ import annotations

import io
import logging
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from nmt.data.corpus import TokenizedCorpus
from nmt.data.dataset import ParallelDataset
from nmt.errors import TrainingError
from nmt.training import callbacks
from nmt.training.callbacks import Clock, Display, EpochEnd, duration, peak_memory_gb
from nmt.training.checkpoint import Progress

TARGET_LENGTHS = [2, 3, 4, 5, 6]  # pieces; the end of the sentence makes one more token


@pytest.fixture
def dataset():
    """Five pairs, two a batch: three batches."""
    offsets = np.concatenate([[0], np.cumsum(TARGET_LENGTHS)])
    ids = np.arange(offsets[-1]) + 4
    corpus = TokenizedCorpus(ids, offsets, ids, offsets)
    return ParallelDataset(corpus, size=2, unit="sentences", seed=1)


@pytest.fixture
def now(monkeypatch):
    """Seconds that pass only where a test says so."""
    moment = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: moment.seconds))
    return moment


def make_clock(dataset, progress=None, *, max_updates=None, max_minutes=None):
    return attached(Clock(progress or Progress(), dataset, max_updates, max_minutes))


def attached(callback):
    callback.set_model(
        SimpleNamespace(
            stop_training=False,
            optimizer=SimpleNamespace(learning_rate=np.float32(0.00125), gradient_norm=np.float32(3.14159)),
            jax_state_sync=lambda: None,
        )
    )
    return callback


def run_epoch(clock, now, epoch, seconds_per_update=1.0, losses=(2.0, 2.0, 2.0)):
    """Calls back as `fit` does; returns the number of updates made before it is stopped."""
    clock.on_epoch_begin(epoch)
    for batch, loss in enumerate(losses):
        now.seconds += seconds_per_update
        clock.on_train_batch_end(batch, {"loss": loss})
        if clock.model.stop_training:
            break
    clock.on_epoch_end(epoch, {"loss": loss})
    return batch + 1


class TestClock:
    def test_counts(self, dataset, now):
        progress = Progress()
        clock = make_clock(dataset, progress)
        run_epoch(clock, now, 0, seconds_per_update=2.0)
        assert (progress.epoch, progress.updates, progress.seconds) == (1, 3, 6.0)
        run_epoch(clock, now, 1)
        assert (progress.epoch, progress.updates, progress.seconds) == (2, 6, 9.0)
        assert not clock.is_over()

    def test_goes_on_from_what_was_done_before(self, dataset, now):
        progress = Progress(epoch=4, updates=12, seconds=100.0)
        clock = make_clock(dataset, progress)
        now.seconds += 5  # compiling, say
        run_epoch(clock, now, 4)
        assert (progress.epoch, progress.updates, progress.seconds) == (5, 15, 108.0)

    def test_validation_is_time_too(self, dataset, now):
        progress = Progress()
        clock = make_clock(dataset, progress, max_minutes=1)
        run_epoch(clock, now, 0)
        assert not clock.is_over()
        now.seconds += 57
        assert clock.is_over()
        assert progress.seconds == 60.0

    def test_speed_is_that_of_the_epoch_in_real_tokens(self, dataset, now):
        clock = make_clock(dataset)
        run_epoch(clock, now, 0, seconds_per_update=100.0)
        now.seconds += 1000  # validation
        run_epoch(clock, now, 1, seconds_per_update=0.5)
        now.seconds += 1000  # what comes after the last update is no training
        assert clock.tokens_per_second == pytest.approx(sum(length + 1 for length in TARGET_LENGTHS) / 1.5)

    def test_speed_before_the_first_update(self, dataset, now):
        assert make_clock(dataset).tokens_per_second == 0.0

    def test_sets_the_epoch_of_the_dataset(self, dataset, now):
        clock = make_clock(dataset)
        for epoch in (3, 0, 7):
            clock.on_epoch_begin(epoch)
            assert dataset.epoch == epoch

    def test_stops_at_the_limit_of_updates(self, dataset, now):
        progress = Progress()
        clock = make_clock(dataset, progress, max_updates=5)
        assert run_epoch(clock, now, 0) == 3
        assert not clock.is_over()
        assert run_epoch(clock, now, 1) == 2
        assert clock.is_over()
        assert progress.updates == 5

    def test_stops_at_the_limit_of_time(self, dataset, now):
        """The minutes of all sessions count."""
        clock = make_clock(dataset, Progress(seconds=50.0), max_minutes=1.0)
        assert run_epoch(clock, now, 0, seconds_per_update=3.0) == 3
        assert run_epoch(clock, now, 1, seconds_per_update=0.5) == 2
        assert clock.is_over()

    def test_without_limits_it_never_stops(self, dataset, now):
        clock = make_clock(dataset)
        assert run_epoch(clock, now, 0, seconds_per_update=1e9) == 3
        assert not clock.is_over()

    @pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
    def test_a_loss_that_is_no_number_ends_training(self, loss, dataset, now):
        progress = Progress(updates=41)
        clock = make_clock(dataset, progress)
        with pytest.raises(TrainingError, match=rf"in update 42\..*Received: loss={loss}\. .*learning_rate"):
            run_epoch(clock, now, 0, losses=[loss])
        assert progress.epoch == 0

    def test_a_last_update_that_breaks_the_weights_ends_training(self, dataset, now):
        """No loss comes after it, but its gradient was no number."""
        progress = Progress()
        clock = make_clock(dataset, progress)
        clock.model.optimizer.gradient_norm = np.float32("inf")
        with pytest.raises(TrainingError, match=r"in update 3\..*Received: gradient_norm=inf\."):
            run_epoch(clock, now, 0)
        assert progress.epoch == 0

    def test_advice_is_something_that_can_be_done(self, dataset, now):
        """A run is resumed with the configuration that it has: the message must not send people there."""
        with pytest.raises(TrainingError) as caught:
            run_epoch(make_clock(dataset), now, 0, losses=[math.nan])
        assert "resume" not in str(caught.value)
        assert "new run" in str(caught.value)

    def test_time_left_by_epochs(self, dataset, now):
        clock = make_clock(dataset)
        run_epoch(clock, now, 0, seconds_per_update=2.0)
        assert clock.seconds_left(num_epochs=4) == pytest.approx(9 * 2.0)

    def test_time_left_by_updates(self, dataset, now):
        clock = make_clock(dataset, max_updates=5)
        run_epoch(clock, now, 0, seconds_per_update=2.0)
        assert clock.seconds_left(num_epochs=4) == pytest.approx(2 * 2.0)

    def test_time_left_by_minutes(self, dataset, now):
        clock = make_clock(dataset, max_minutes=0.15)
        run_epoch(clock, now, 0, seconds_per_update=2.0)
        assert clock.seconds_left(num_epochs=4) == pytest.approx(9.0 - 6.0)

    def test_time_left_is_never_negative(self, dataset, now):
        clock = make_clock(dataset, Progress(updates=100, seconds=100.0), max_updates=5)
        assert clock.seconds_left(num_epochs=1) == 0.0


def make_display(dataset, now, *, is_terminal):
    screen = io.StringIO()
    # The width and the kind of terminal are given, so that the environment of the test decides nothing.
    console = Console(file=screen, force_terminal=is_terminal, width=100, color_system=None, _environ={})
    clock = make_clock(dataset)
    return attached(Display(clock, num_epochs=4, console=console)), clock, screen


def show_epoch(display, clock, now, seconds_per_update):
    for callback in (clock, display):
        callback.on_epoch_begin(1)
    for batch, loss in enumerate([4.0, 3.5, 3.25]):
        now.seconds += seconds_per_update
        for callback in (clock, display):
            callback.on_train_batch_end(batch, {"loss": loss})


class TestDisplay:
    def test_lines_where_there_is_no_terminal(self, dataset, now, caplog):
        display, clock, screen = make_display(dataset, now, is_terminal=False)
        with caplog.at_level(logging.INFO):
            show_epoch(display, clock, now, seconds_per_update=20.0)
            display.on_epoch_end(1)
        # After 20 s nothing, after 40 s a line, after 60 s nothing again.
        [message] = [record.getMessage() for record in caplog.records]
        assert message.startswith("update 2  loss 3.500  lr 1.25e-03  grad norm 3.14  ")
        assert message.endswith(f"  {clock_speed(dataset, 2, 40.0)} tokens/s  3 min left")  # 10 more updates of 20 s
        assert screen.getvalue() == ""

    def test_a_quick_epoch_prints_no_lines(self, dataset, now, caplog):
        display, clock, screen = make_display(dataset, now, is_terminal=False)
        with caplog.at_level(logging.INFO):
            show_epoch(display, clock, now, seconds_per_update=1.0)
        assert (caplog.records, screen.getvalue()) == ([], "")

    def test_a_bar_on_a_terminal(self, dataset, now, caplog):
        display, clock, screen = make_display(dataset, now, is_terminal=True)
        with caplog.at_level(logging.INFO):
            show_epoch(display, clock, now, seconds_per_update=1.0)
            display.on_epoch_end(1)
        shown = screen.getvalue()
        assert "epoch 2/4" in shown
        assert "loss 3.250  lr 1.25e-03  grad norm 3.14" in shown
        assert "9 s left" in shown
        assert caplog.records == []
        assert shown.rstrip().endswith("\x1b[2K")  # the line is cleared: nothing of the bar stays

    def test_one_bar_at_a_time(self, dataset, now):
        """A second epoch opens a new bar: rich refuses two at once."""
        display, clock, screen = make_display(dataset, now, is_terminal=True)
        for _ in range(2):
            show_epoch(display, clock, now, seconds_per_update=1.0)
            display.on_epoch_end(1)
        display.on_train_end()
        assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") == 2  # cursor off, on

    def test_closing_brings_the_cursor_back(self, dataset, now):
        """As when training is interrupted inside an epoch."""
        display, _, screen = make_display(dataset, now, is_terminal=True)
        display.on_epoch_begin(0)
        assert not screen.getvalue().endswith("\x1b[?25h")
        display.close()
        display.close()
        assert "\x1b[?25h" in screen.getvalue()

    def test_looks_at_the_optimizer_now_and_then_alone(self, dataset, now, monkeypatch):
        """On JAX `fit` keeps its state to itself until it is asked for it. The bug: nobody asked."""
        display, clock, screen = make_display(dataset, now, is_terminal=True)
        looks = []

        def synchronize():
            looks.append(now.seconds)
            display.model.optimizer.gradient_norm = np.float32(2.5)

        monkeypatch.setattr(callbacks, "library_name", lambda: "jax")
        display.model.jax_state_sync = synchronize
        show_epoch(display, clock, now, seconds_per_update=0.3)
        display.close()
        assert looks == [pytest.approx(1000.6)]
        assert "grad norm 2.50" in screen.getvalue()


def clock_speed(dataset, num_batches, seconds):
    dataset.epoch = 1
    return f"{sum(dataset.num_target_tokens(batch) for batch in range(num_batches)) / seconds:,.0f}"


@pytest.mark.parametrize("is_over", [False, True])
def test_epoch_end_calls_and_stops(is_over):
    seen = []

    def function(logs):
        seen.append(dict(logs))
        logs["more"] = 2.0
        return is_over

    callback = attached(EpochEnd(function))
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    assert seen == [{"loss": 1.0}]
    assert logs["more"] == 2.0  # for the callbacks after it
    assert callback.model.stop_training is is_over


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
