"""Losses and gradients that are no numbers, put into a real training at random: none of them is ever saved.

By default forty updates, of which every fifth is spoilt; `make soak` goes on for an hour and spoils every hundredth.
"""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from nmt.errors import TrainingError
from nmt.run_dir import RunDirectory
from nmt.training import run as run_module
from nmt.training.update import Updater
from tests.training import tiny_run

SOAK_MINUTES = 3  # times the factor of `--soak`


def assert_finite(folder):
    for name, array in tiny_run.weights(folder).items():
        assert np.isfinite(array).all(), f"{folder}: {name}"


class Spoiler:
    """Spoils a share of the gradients or losses; looks at each checkpoint and best model that is saved meanwhile."""

    def __init__(self, generator, rate):
        self.generator = generator
        self.rate = rate
        self.num_spoilt = 0
        self.num_looked_at = 0

    def into(self, monkeypatch):
        make = Updater.__init__

        def spoilt_init(updater, *args, **options):
            make(updater, *args, **options)
            share = updater._share
            updater._share = lambda *arguments: self.spoil(*share(*arguments))

        save = run_module.Run._save

        def looking_save(run, **options):
            save(run, **options)
            self.num_looked_at += 1
            assert_finite(tiny_run.last_checkpoint(run.run_dir))
            if run.run_dir.best.exists():
                assert_finite(run.run_dir.best)

        monkeypatch.setattr(Updater, "__init__", spoilt_init)
        monkeypatch.setattr(run_module.Run, "_save", looking_save)

    def spoil(self, gradients, sums):
        if self.generator.random() >= self.rate:
            return gradients, sums
        self.num_spoilt += 1
        bad = self.generator.choice([np.nan, np.inf, -np.inf])
        if self.generator.random() < 0.3:
            return gradients, sums._replace(loss=ops.convert_to_tensor(np.float32(bad)))
        number = self.generator.integers(len(gradients))
        values = np.array(ops.convert_to_numpy(gradients[number]))
        values.flat[self.generator.integers(values.size)] = bad
        gradients = list(gradients)
        gradients[number] = ops.convert_to_tensor(values)
        return gradients, sums


def test_nothing_that_is_no_number_is_saved(tmp_path, monkeypatch, rng, soak):
    """And nothing else of the run suffers: each spoilt update is counted, and the other ones are made."""
    tiny_run.write_corpora(tmp_path)
    changes = {
        "training.max_epochs": 8 if soak == 1 else 1_000_000,
        "training.max_minutes": SOAK_MINUTES * soak,
        "training.save_every_minutes": 0.01,
        "training.ema_decay": 0.9,
        "batching.batches_per_update": 2,
        "batching.size": 4,
    }
    # A share of the batches; an update is spoilt by either of its two.
    spoiler = Spoiler(rng, 0.1 if soak == 1 else 0.005)
    spoiler.into(monkeypatch)
    monkeypatch.setattr(run_module, "MAX_SKIPPED_IN_ROW", 1000)
    tree = tiny_run.with_changes(tiny_run.tiny_tree(tmp_path), changes)
    run_dir = tiny_run.run(tree, tmp_path / "run")
    progress = tiny_run.progress(run_dir)
    records = run_dir.skipped.read()
    assert len(records) == progress["num_skipped"] <= spoiler.num_spoilt
    assert progress["num_skipped"] > 0
    assert spoiler.num_looked_at > 1
    assert progress["updates"] > progress["num_skipped"]
    assert all(np.isfinite(one["loss"]) for one in run_dir.metrics.read())
    print(
        f"{progress['updates']:,} updates made, {progress['num_skipped']:,} left out; "
        f"{spoiler.num_looked_at:,} saves looked at, nothing in them that is no number"
    )


def test_a_training_that_is_beyond_help_ends_whole(tmp_path, monkeypatch, rng):
    """Every update spoilt: the run goes back once, ends with status 3, and leaves a checkpoint that can be read."""
    tiny_run.write_corpora(tmp_path)
    spoiler = Spoiler(rng, 1.0)
    spoiler.into(monkeypatch)
    with pytest.raises(TrainingError, match="training has diverged") as error:
        tiny_run.run(tiny_run.tiny_tree(tmp_path), tmp_path / "run")
    assert error.value.exit_status == 3
    run_dir = RunDirectory(tmp_path / "run")
    assert_finite(tiny_run.last_checkpoint(run_dir))
    assert spoiler.num_spoilt == len(run_dir.skipped.read()) == 2 * run_module.MAX_SKIPPED_IN_ROW
