"""Checkpoints: bit for bit there again, whole or absent, the newest found, a wrong one refused."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import resource
import shutil

import keras
import numpy as np
import pytest
from keras import ops

from nmt.errors import FileError, RunDirectoryError
from nmt.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from nmt.training.optimizers import build_optimizer
from tests.gradients import as_array


def state(rng, *, num_units=3):
    """What training keeps: weights, two generators of dropout, an optimizer with averages, scalars among them."""
    weights = [
        keras.Variable(rng.normal(size=(4, num_units)).astype("float32"), name="kernel"),
        keras.Variable(rng.normal(size=(num_units,)).astype("float32"), name="bias"),
    ]
    seeds = [keras.random.SeedGenerator(int(rng.integers(1000))).state for _ in range(2)]
    optimizer = build_optimizer("adamw", 0.1, clip_norm=1.0, ema_decay=0.9)
    optimizer.build(weights)
    for _ in range(2):
        optimizer.apply([ops.convert_to_tensor(rng.normal(size=w.shape).astype("float32")) for w in weights], weights)
    return [*weights, *seeds, *optimizer.variables]


def values(variables):
    return [as_array(variable.value) for variable in variables]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_equal(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


FULL = Progress(
    epoch=7,
    updates=1234,
    seconds=56.789,
    best_epoch=5,
    best_value=41.25,
    num_bad_validations=2,
    num_bad_since_cut=1,
)


def test_round_trip_is_exact(tmp_path, rng):
    variables, others = state(rng), state(rng)
    # What a text format or a cast would lose.
    extremes = np.array([np.nextafter(1, 2, dtype="float32"), 1e-45, -0.0], "float32")
    variables[1].assign(extremes)
    save_checkpoint(tmp_path, variables, FULL, keep=1)
    assert load_checkpoint(tmp_path, others) == FULL
    assert_equal(values(others), values(variables))
    assert np.signbit(as_array(others[1].value)[2])
    assert any("int" in variable.dtype for variable in variables)
    assert any(variable.shape == () for variable in variables)


def test_generators_go_on_where_they_were(tmp_path):
    layer, twin = keras.layers.Dropout(0.5, seed=1), keras.layers.Dropout(0.5, seed=2)
    ones = np.ones((4, 8), "float32")
    layer(ones, training=True)
    save_checkpoint(tmp_path, layer.variables, Progress(epoch=1), keep=1)
    load_checkpoint(tmp_path, twin.variables)
    for _ in range(3):
        np.testing.assert_array_equal(as_array(layer(ones, training=True)), as_array(twin(ones, training=True)))


def test_what_is_saved_is_readable_by_other_tools(tmp_path, rng):
    from safetensors import safe_open

    variables = state(rng)
    save_checkpoint(tmp_path, variables, FULL, keep=1)
    folder = tmp_path / "epoch-00007"
    assert names_in(folder) == ["progress.json", "state.safetensors"]
    assert json.loads((folder / "progress.json").read_text()) == dataclasses.asdict(FULL)
    with safe_open(folder / "state.safetensors", "numpy") as file:
        arrays = [file.get_tensor(name) for name in sorted(file.keys())]
    for array, variable in zip(arrays, variables, strict=True):
        np.testing.assert_array_equal(array, ops.convert_to_numpy(variable.value))


def test_a_second_program_has_other_names_for_the_same_things(tmp_path, rng):
    """Keras numbers what it names, so a second optimizer or generator of one process has another path than the first.

    The bug: a run could not be resumed in the process that had begun it.
    """
    first, second = state(rng), state(rng)
    save_checkpoint(tmp_path, first, Progress(epoch=1), keep=1)
    assert [v.path for v in first] != [v.path for v in second]
    assert load_checkpoint(tmp_path, second) is not None
    assert_equal(values(second), values(first))


def test_the_newest_is_found_and_the_oldest_go(tmp_path, rng):
    variables = state(rng)
    weight = variables[1]
    for epoch in (8, 9, 10, 11):
        weight.assign(np.full(3, epoch, "float32"))
        save_checkpoint(tmp_path, variables, Progress(epoch=epoch), keep=2)
    assert names_in(tmp_path) == ["epoch-00010", "epoch-00011"]
    weight.assign(np.zeros(3, "float32"))
    assert load_checkpoint(tmp_path, variables) == Progress(epoch=11)
    np.testing.assert_array_equal(as_array(weight.value), [11, 11, 11])

    shutil.rmtree(tmp_path / "epoch-00011")
    assert load_checkpoint(tmp_path, variables) == Progress(epoch=10)


def test_other_things_in_the_folder_are_left_alone(tmp_path, rng):
    variables = state(rng)
    (tmp_path / "epoch-00001.bak").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    for epoch in (2, 3):
        save_checkpoint(tmp_path, variables, Progress(epoch=epoch), keep=1)
    assert names_in(tmp_path) == ["epoch-00001.bak", "epoch-00003", "notes.txt"]
    assert load_checkpoint(tmp_path, variables) == Progress(epoch=3)


def test_a_checkpoint_of_the_same_epoch_is_replaced(tmp_path, rng):
    variables = state(rng)
    for updates in (10, 20):
        save_checkpoint(tmp_path, variables, Progress(epoch=1, updates=updates), keep=3)
    assert load_checkpoint(tmp_path, variables) == Progress(epoch=1, updates=20)
    assert names_in(tmp_path) == ["epoch-00001"]


def test_none_where_there_is_none(tmp_path, rng):
    assert load_checkpoint(tmp_path, state(rng)) is None


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE = {
    "a cut state": lambda folder: cut(folder / "state.safetensors"),
    "no state": lambda folder: (folder / "state.safetensors").unlink(),
    "an empty state": lambda folder: (folder / "state.safetensors").write_bytes(b""),
    "a header of nonsense": lambda folder: (folder / "state.safetensors").write_bytes(b"\x08" + bytes(7) + b"nonsense"),
    "no progress": lambda folder: (folder / "progress.json").unlink(),
    "cut progress": lambda folder: (folder / "progress.json").write_text('{"epoch": 1,'),
    "progress that is a list": lambda folder: (folder / "progress.json").write_text("[1, 2]"),
    "progress of another version": lambda folder: (folder / "progress.json").write_text('{"epochs": 1}'),
    "progress that is not UTF-8": lambda folder: (folder / "progress.json").write_bytes(b"\xff"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_refused_by_name(damage, tmp_path, rng):
    variables = state(rng)
    for epoch in (1, 2):
        save_checkpoint(tmp_path, variables, Progress(epoch=epoch), keep=2)
    before = values(variables)
    damage(tmp_path / "epoch-00002")
    with pytest.raises(RunDirectoryError, match=r"epoch-00002: damaged checkpoint: .*Remove it to go back"):
        load_checkpoint(tmp_path, variables)
    assert_equal(values(variables), before)

    shutil.rmtree(tmp_path / "epoch-00002")  # what the message says
    assert load_checkpoint(tmp_path, variables) == Progress(epoch=1)


def test_a_checkpoint_of_another_model_is_refused(tmp_path, rng):
    save_checkpoint(tmp_path, state(rng), Progress(epoch=1), keep=1)
    larger = state(rng, num_units=4)
    before = values(larger)
    with pytest.raises(RunDirectoryError, match=r"epoch-00001: made by another model.*it differs in .*kernel"):
        load_checkpoint(tmp_path, larger)
    assert_equal(values(larger), before)


def test_a_checkpoint_with_fewer_variables_is_refused(tmp_path, rng):
    variables = state(rng)
    save_checkpoint(tmp_path, variables[:-1], Progress(epoch=1), keep=1)
    with pytest.raises(RunDirectoryError, match=r"made by another model, optimizer or backend; it differs in"):
        load_checkpoint(tmp_path, variables)


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_nothing_half_written(call, tmp_path, rng, monkeypatch):
    """A disk that is full or fails at any call leaves the old checkpoints and nothing else."""
    variables = state(rng)
    for epoch in (1, 2):
        save_checkpoint(tmp_path, variables, Progress(epoch=epoch), keep=2)
    before = values(variables)
    variables[0].assign(np.zeros(variables[0].shape))

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(FileError, match="No space left on device"):
            save_checkpoint(tmp_path, variables, Progress(epoch=3), keep=2)
    assert names_in(tmp_path) == ["epoch-00001", "epoch-00002"]
    assert load_checkpoint(tmp_path, variables) == Progress(epoch=2)
    assert_equal(values(variables), before)


def test_a_full_disk_is_told_as_such(tmp_path, rng):
    """The state is written by safetensors, past Python: a limit on the size of files stops it there."""
    variables = state(rng)
    save_checkpoint(tmp_path, variables, Progress(epoch=1), keep=1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(FileError, match=r"can't write a checkpoint: .*File too large.*Make room"):
            save_checkpoint(tmp_path, variables, Progress(epoch=2), keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names_in(tmp_path) == ["epoch-00001"]


def test_the_old_ones_go_last(tmp_path, rng, monkeypatch):
    """At every moment there is a whole checkpoint: nothing is removed before the new one has its name."""
    variables = state(rng)
    save_checkpoint(tmp_path, variables, Progress(epoch=1), keep=1)
    seen = []
    rename = os.rename

    def watched(source, target):
        seen.append([name for name in names_in(tmp_path) if name.startswith("epoch")])
        rename(source, target)

    monkeypatch.setattr(os, "rename", watched)
    save_checkpoint(tmp_path, variables, Progress(epoch=2), keep=1)
    assert seen == [["epoch-00001"], ["epoch-00001", "epoch-00002"]]
    assert names_in(tmp_path) == ["epoch-00002"]
