"""What ends a training, with a clock that the test turns."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nmt.training import limits
from nmt.training.limits import Limits
from nmt.training.progress import Progress


@pytest.fixture
def now(monkeypatch):
    """Seconds that pass only where a test says so."""
    moment = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: moment.seconds))
    return moment


def make(progress=None, **changes):
    options = {"max_epochs": 4, "max_updates": None, "max_minutes": None, "patience": None, "updates_per_epoch": 3}
    made = Limits(**(options | changes))
    if progress is not None:
        made.start(progress)
    return made


class TestClock:
    def test_time_is_counted(self, now):
        limit, progress = make(), Progress()
        now.seconds += 6
        assert not limit.is_reached(progress)
        assert progress.seconds == 6.0
        now.seconds += 3
        assert not limit.is_over(progress)
        assert progress.seconds == 9.0

    def test_it_goes_on_from_what_was_done_before(self, now):
        """The minutes of all sessions count."""
        progress = Progress(seconds=50.0)
        limit = make(progress, max_minutes=1.0)
        now.seconds += 9.5
        assert not limit.is_reached(progress)
        assert progress.seconds == 59.5
        now.seconds += 0.5
        assert limit.is_reached(progress)
        assert limit.is_over(progress)
        assert progress.seconds == 60.0

    def test_it_goes_back_with_the_run(self, now):
        limit = make(max_minutes=1.0)
        now.seconds += 59
        progress = Progress(seconds=10.0)
        limit.start(progress)
        now.seconds += 2
        assert not limit.is_reached(progress)
        assert progress.seconds == 12.0


class TestEnd:
    def test_of_the_updates(self, now):
        limit = make(max_updates=5)
        assert not limit.is_reached(Progress(updates=4))
        assert limit.is_reached(Progress(updates=5))
        assert limit.is_over(Progress(updates=5))

    def test_of_the_epochs(self, now):
        """They end a run between two epochs, not within one."""
        limit = make(max_epochs=4)
        assert not limit.is_over(Progress(epoch=3))
        assert limit.is_over(Progress(epoch=4))
        assert limit.is_over(Progress(epoch=3), 4)
        assert not limit.is_reached(Progress(epoch=4))

    def test_of_patience(self, now):
        limit = make(patience=2)
        assert not limit.is_over(Progress(num_bad_validations=1))
        assert limit.is_over(Progress(num_bad_validations=2))
        assert not limit.is_reached(Progress(num_bad_validations=2))

    def test_without_limits_there_is_none(self, now):
        limit = make(max_epochs=10**9)
        now.seconds += 1e12
        progress = Progress(epoch=1000, updates=10**9, num_bad_validations=1000)
        assert not limit.is_reached(progress)
        assert not limit.is_over(progress)


class TestTimeLeft:
    """After 3 updates of 2 seconds."""

    def left(self, **changes):
        return make(**changes).seconds_left(Progress(updates=3, seconds=6.0))

    def test_by_epochs(self, now):
        assert self.left() == pytest.approx(9 * 2.0)

    def test_by_updates(self, now):
        assert self.left(max_updates=5) == pytest.approx(2 * 2.0)

    def test_by_minutes(self, now):
        assert self.left(max_minutes=0.15) == pytest.approx(9.0 - 6.0)

    def test_is_never_negative(self, now):
        assert make(max_updates=5).seconds_left(Progress(updates=100, seconds=100.0)) == 0.0
        assert make(max_minutes=1.0).seconds_left(Progress(updates=1, seconds=100.0)) == 0.0

    def test_before_the_first_update(self, now):
        assert make().seconds_left(Progress()) == 0.0


def test_progress_reports_the_means_of_its_epoch():
    progress = Progress(loss_sum=30.0, nll_sum=20.0, num_tokens=10, epoch_seconds=4.0, batch=7, updates=9)
    assert (progress.loss, progress.nll, progress.tokens_per_second) == (3.0, 2.0, 2.5)
    progress.begin_epoch()
    assert (progress.batch, progress.updates, progress.tokens_per_second) == (0, 9, 0.0)
    assert progress.loss != progress.loss  # NaN: no token yet
    assert progress.nll != progress.nll
