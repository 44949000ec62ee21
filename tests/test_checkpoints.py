"""The store of checkpoints: what is saved comes back bit for bit; which are kept, and which are removed."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from nmt import files
from nmt.checkpoints import load_newest, save_checkpoint, stored_updates
from nmt.errors import FileError, RunDirectoryError, TrainingError


def save(folder: Path, update: int, *, keep: int = 3, **changes: Any) -> None:
    fields = {"arrays": {"w": np.full(2, update, np.float32)}, "progress": {"epoch": update}} | changes
    save_checkpoint(folder, update=update, keep=keep, **fields)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_state_comes_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(1)
    arrays = {
        "kernel": rng.normal(size=(3, 4)).astype(np.float32).T,
        "bias": np.array([-0.0, np.finfo(np.float32).tiny / 2, np.finfo(np.float32).max], np.float32),
        "iteration": np.array(2**53 + 1, np.int64),
        "seed": rng.integers(2**32, size=2, dtype=np.uint32),
        "mask": np.array([[True], [False]]),
        "count": np.array(-7, np.int32),
        "half": np.array([0.1], np.float16),
        "empty": np.zeros((0, 2), np.float64),
    }
    progress = {"a": 0.1, "b": [None, True, 2**80, "ü\u2028"], "c": {"d": 5e-324}, "e": 1.7976931348623157e308}
    save_checkpoint(tmp_path, update=12, arrays=arrays, progress=progress, keep=1)
    found = load_newest(tmp_path)
    assert found is not None
    assert (found.path, found.update, found.progress) == (tmp_path / "update-00000012", 12, progress)
    assert found.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()


def test_other_tools_can_read_it(tmp_path):
    save(tmp_path, 3)
    folder = tmp_path / "update-00000003"
    assert names(folder) == ["manifest.json", "progress.json", "state.safetensors"]
    np.testing.assert_array_equal(safetensors.numpy.load_file(folder / "state.safetensors")["w"], [3, 3])
    assert json.loads((folder / "progress.json").read_text()) == {"epoch": 3}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format_version"], manifest["update"]) == (1, 3)


def test_none_is_found_where_there_is_none(tmp_path):
    (tmp_path / "update-1").mkdir()
    (tmp_path / "update-000000001").mkdir()  # not a name that we give
    (tmp_path / "damaged-update-00000001").mkdir()
    assert load_newest(tmp_path) is None
    assert stored_updates(tmp_path) == []
    with pytest.raises(FileError, match="none: can't read: No such file or directory"):
        load_newest(tmp_path / "none")


def test_the_newest_is_found_by_its_number(tmp_path):
    for update in (99_999_999, 5, 100_000_000, 7):
        save(tmp_path, update, keep=9)
    assert stored_updates(tmp_path) == [5, 7, 99_999_999, 100_000_000]
    assert load_newest(tmp_path).update == 100_000_000


@pytest.mark.parametrize(("keep", "kept"), [(1, [40]), (2, [30, 40]), (3, [20, 30, 40]), (9, [10, 20, 30, 40])])
def test_the_newest_are_kept(tmp_path, keep, kept):
    for update in (10, 20, 30):
        save(tmp_path, update, keep=9)
    save(tmp_path, 40, keep=keep)
    assert stored_updates(tmp_path) == kept
    assert len(names(tmp_path)) == len(kept)


def test_what_was_just_saved_is_never_removed_nor_a_newer_one(tmp_path):
    for update in (10, 20, 30):
        save(tmp_path, update, keep=9)
    save(tmp_path, 15, keep=1)
    assert stored_updates(tmp_path) == [15, 20, 30]


def test_an_old_one_that_can_t_be_removed_does_not_undo_the_save(tmp_path, monkeypatch, caplog):
    save(tmp_path, 10)

    def refuse(path: Path) -> None:
        raise FileError(f"{path}: can't remove: Permission denied.")

    monkeypatch.setattr(files, "remove_folder", refuse)
    save(tmp_path, 20, keep=1)
    (message,) = caplog.messages
    assert message == (
        f"{tmp_path}/update-00000010: can't remove: Permission denied. "
        "update-00000020 is whole; what is too old is removed after the next."
    )
    monkeypatch.undo()
    save(tmp_path, 30, keep=1)
    assert stored_updates(tmp_path) == [30]


def test_the_same_update_is_replaced(tmp_path):
    save(tmp_path, 10)
    save(tmp_path, 10, progress={"again": True})
    assert load_newest(tmp_path).progress == {"again": True}
    assert names(tmp_path) == ["update-00000010"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"arrays": {"good": np.ones(2), "v": np.array([1, np.nan], np.float32)}}, "`v`"),
        ({"arrays": {"v": np.array(-np.inf, np.float64)}}, "`v`"),
        ({"progress": {"history": [1.0, float("nan")]}}, "the progress"),
        ({"progress": {"best": float("-inf")}}, "the progress"),
    ],
)
def test_nothing_that_is_not_finite_is_saved(tmp_path, changes, named):
    save(tmp_path, 1)
    with pytest.raises(TrainingError) as caught:
        save(tmp_path, 2, **changes)
    assert str(caught.value) == (
        f"{tmp_path}: {named} must be finite. Received: NaN or infinite values. Nothing was saved; "
        "the checkpoint before is as it was. Resume from it with a lower learning rate."
    )
    assert names(tmp_path) == ["update-00000001"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"update": -1}, "`update` must be >= 0 and `keep` >= 1. Received: update=-1, keep=1"),
        ({"keep": 0}, "`update` must be >= 0 and `keep` >= 1. Received: update=1, keep=0"),
        ({"arrays": {"v": np.zeros(2, np.complex64)}}, "`v` must have one of the dtypes"),
        ({"progress": {"best": (1, 2)}}, "`progress` must be plain values that JSON gives back as they are"),
        ({"progress": {"scores": {1: 2}}}, "`progress` must be plain values that JSON gives back as they are"),
    ],
)
def test_a_broken_argument(tmp_path, changes, problem):
    fields = {"update": 1, "keep": 1, "arrays": {}, "progress": {}} | changes
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the message is compared below)
        save_checkpoint(tmp_path, **fields)
    assert str(caught.value).startswith(problem)
    assert names(tmp_path) == []


def test_a_newer_format_is_told(tmp_path):
    save(tmp_path, 1)
    path = tmp_path / "update-00000001" / "manifest.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(
        RunDirectoryError, match=r"this nmt reads checkpoint formats up to 1\. Received: format_version=2"
    ):
        load_newest(tmp_path)


def test_a_state_of_many_arrays_takes_the_memory_of_one(tmp_path):
    """Saving asks for one array at a time, so that a state as large as the memory can be saved."""
    size, count = 1_000_000, 8

    class Fetched(dict[str, np.ndarray]):
        """Arrays that are made when asked for, as those of a device are."""

        def __getitem__(self, name: str) -> np.ndarray:
            return np.full(size // 4, float(name), np.float32)

        def items(self) -> Any:
            return ((name, self[name]) for name in self)

    arrays = Fetched({str(number): np.zeros(0) for number in range(count)})
    save(tmp_path, 1)
    tracemalloc.start()
    try:
        save(tmp_path, 2, arrays=arrays)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * size, peak
    assert sum(array.nbytes for array in load_newest(tmp_path).arrays.values()) == count * size
