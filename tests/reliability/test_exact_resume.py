"""A run that is stopped again and again is, bit for bit, the run that was never stopped; on each backend.

Each stop is a signal while an update or a validation is made, and each part of the run builds everything anew. What
Keras numbers by process, and what a new process does not remember, is held by `test_kills.py`.
"""

from __future__ import annotations

import os
import random
import signal

import keras
import numpy as np
import pytest

from nmt.run_dir import RunDirectory
from nmt.training import run as run_module
from nmt.training.stopping import Stopped
from nmt.training.update import Updater
from tests.training import tiny_run

EVERYTHING = {
    "tokenizer.sampling.alpha": 0.3,  # a smaller one draws more lengths, each of which JAX compiles
    "batching": {"size": 6, "batches_per_update": 2},  # 7 batches: 4 updates an epoch, the last of one batch
    "model.dropout_rate": 0.2,
    "model.recurrent_dropout_rate": 0.1,
    "model.source_word_dropout": 0.1,
    "model.target_word_dropout": 0.1,
    "model.lexical_model": True,
    "model.layer_norm": True,
    "model.decoder_transitions": 1,
    "training.r_drop": 1.0,
    "training.ema_decay": 0.9,
    "training.schedule": {"type": "plateau", "warmup_updates": 2, "patience": 1},
    "training.early_stopping_patience": 10,
    "training.max_epochs": 3,
    "training.bidirectional_epochs": 2,
    "training.metric": "loss",
    "training.average_best": 2,
}
NUM_EPOCHS, UPDATES_PER_EPOCH = 3, 4


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    tiny_run.write_corpora(folder)
    return tiny_run.with_changes(tiny_run.tiny_tree(folder), EVERYTHING)


@pytest.fixture(scope="module", autouse=True)
def _compile_quickly():
    """Has JAX compile without optimising: each part of a run compiles anew, most of what the test does."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def straight(tree, tmp_path_factory):
    return tiny_run.run(tree, tmp_path_factory.mktemp("straight") / "run")


def signal_at(monkeypatch, *, update=None, validation=None):
    """Has a signal sent while an update, or a validation, counted from 1 in this part of the run, is made."""
    counts = {"update": 0, "validation": 0}

    def counting(name, function, at):
        def call(*args, **options):
            counts[name] += 1
            if counts[name] == at:
                os.kill(os.getpid(), signal.SIGTERM)
            return function(*args, **options)

        return call

    monkeypatch.setattr(Updater, "__call__", counting("update", Updater.__call__, update))
    monkeypatch.setattr(run_module, "validate", counting("validation", run_module.validate, validation))


def stop_again_and_again(tree, folder, stops):
    """Runs into each stop in turn, then to the end; returns where each was: epochs and updates done."""
    reached = []
    for number, stop in enumerate(stops):
        with pytest.MonkeyPatch.context() as monkeypatch:
            signal_at(monkeypatch, **stop)
            with pytest.raises(Stopped):
                tiny_run.run(tree, folder, resume=number > 0)
        progress = tiny_run.progress(RunDirectory(folder))
        reached.append((progress["epoch"], progress["updates"]))
    tiny_run.run(tree, folder, resume=True)
    return reached


def test_stopped_five_times(tree, straight, tmp_path):
    """After the first update, inside an epoch, before a validation, in a validation, in the last epoch."""
    stops = [{"update": 1}, {"update": 1}, {"update": 2}, {"validation": 2}, {"update": 2}]
    reached = stop_again_and_again(tree, tmp_path / "run", stops)
    assert reached == [(0, 1), (0, 2), (0, 4), (1, 8), (2, 10)]
    resumed = RunDirectory(tmp_path / "run")
    tiny_run.assert_same_run(resumed, straight)
    assert tiny_run.progress(resumed)["updates"] == NUM_EPOCHS * UPDATES_PER_EPOCH


def test_stopped_at_random(tree, straight, tmp_path, seed, soak):
    """Only with `--soak`: as often as makes 50 stops with `make soak`."""
    generator = random.Random(seed)
    for number in range(soak // 2):
        stops = [{"validation": 1}, *({"update": generator.randint(1, 2)} for _ in range(4))]  # 12 updates at most
        generator.shuffle(stops)
        stop_again_and_again(tree, tmp_path / f"run-{number}", stops)
        tiny_run.assert_same_run(RunDirectory(tmp_path / f"run-{number}"), straight)


def test_the_test_can_fail(tree, straight, tmp_path):
    """Another seed is another run: what is compared is not the same by itself."""
    other = tiny_run.run(tiny_run.with_changes(tree, {"seed": 2}), tmp_path / "run")
    with pytest.raises(AssertionError):
        tiny_run.assert_same_run(other, straight)


def test_the_same_seed_is_the_same_run(tree, straight, tmp_path):
    tiny_run.assert_same_run(tiny_run.run(tree, tmp_path / "run"), straight)


def test_everything_is_in_the_checkpoint(straight):
    """Weights, both moments, averages, the rate's scale, counts and seeds; each finite."""
    arrays = tiny_run.weights(tiny_run.last_checkpoint(straight))
    names = " ".join(arrays)
    for part in ("momentum", "velocity", "average", "rate_scale", "iteration", "seed_generator_state"):
        assert part in names
    assert all(np.isfinite(array).all() for array in arrays.values())
