"""A checkpoint or model that is not byte for byte what was saved is refused, named, and never half used."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.checkpoints import load_newest
from nmt.errors import FileError, ModelFileError, RunDirectoryError
from nmt.model_file import load_model
from tests.reliability.crash_states import tree_of
from tests.reliability.damage import cut_everywhere, damaged_copies, flip_bits
from tests.reliability.small_states import SHAPES, model_at, newest_state, save_small_model, save_state

NUM_COPIES = 300  # of each kind


def refuses_checkpoint(path: Path) -> bool:
    """Whether the only checkpoint of a folder is refused, by name, and left as it is."""
    before = tree_of(path.parent)
    problem = message_of(lambda: load_newest(path.parent))
    return (
        problem.startswith(f"{path.parent}: none of the checkpoints is valid")
        and f"\n  {path}" in problem
        and tree_of(path.parent) == before
    )


def refuses_model(path: Path) -> bool:
    return message_of(lambda: load_model(path, weight_shapes=lambda *_: SHAPES)).startswith(str(path))


def message_of(load: Callable[[], object]) -> str:
    """What the user is told; empty where nothing is wrong."""
    try:
        load()
    except (RunDirectoryError, ModelFileError, FileError) as error:
        return str(error)
    return ""


@pytest.fixture
def scratch(quick_disk: Path) -> Path:
    folder = quick_disk / "scratch"
    folder.mkdir()
    return folder


def test_damaged_checkpoints_are_refused(quick_disk, scratch, rng):
    for name, update in [("one", 7), ("other", 8)]:
        (quick_disk / name).mkdir()
        save_state(quick_disk / name, update)
    whole, other = quick_disk / "one" / "update-00000007", quick_disk / "other" / "update-00000008"
    copies = damaged_copies(whole, other, scratch, rng, NUM_COPIES)
    assert [what for what, copy in copies if not refuses_checkpoint(copy)] == []
    shutil.copytree(whole, scratch / whole.name)
    assert newest_state(scratch) == (7, 7)


def test_damaged_models_are_refused(quick_disk, scratch, rng):
    save_small_model(quick_disk / "one", 7)
    save_small_model(quick_disk / "other", 8)
    copies = damaged_copies(quick_disk / "one", quick_disk / "other", scratch, rng, NUM_COPIES)
    assert [what for what, copy in copies if not refuses_model(copy)] == []
    shutil.copytree(quick_disk / "one", scratch / "one")
    assert model_at(scratch / "one") == 7


def test_flips_and_cuts_all_over_a_checkpoint(quick_disk):
    save_state(quick_disk, 7)
    folder = quick_disk / "update-00000007"
    num_flips, unnoticed = flip_bits(folder, refuses_checkpoint, step=11)
    assert unnoticed == []
    num_cuts, unnoticed = cut_everywhere(folder, refuses_checkpoint, step=3)
    assert unnoticed == []
    assert num_flips + num_cuts > 600
    assert newest_state(quick_disk) == (7, 7)


def test_flips_and_cuts_all_over_a_model(quick_disk):
    save_small_model(quick_disk / "one", 7)
    num_flips, unnoticed = flip_bits(quick_disk / "one", refuses_model, step=11)
    assert unnoticed == []
    num_cuts, unnoticed = cut_everywhere(quick_disk / "one", refuses_model, step=3)
    assert unnoticed == []
    assert num_flips + num_cuts > 600
    assert model_at(quick_disk / "one") == 7


@pytest.mark.slow
@pytest.mark.usefixtures("quick_disk")
class TestEveryByte:
    def test_of_a_checkpoint(self, quick_disk):
        save_state(quick_disk, 7)
        folder = quick_disk / "update-00000007"
        num_bytes = sum(path.stat().st_size for path in folder.iterdir())
        assert flip_bits(folder, refuses_checkpoint) == (8 * num_bytes, [])
        assert cut_everywhere(folder, refuses_checkpoint) == (num_bytes, [])

    def test_of_a_model(self, quick_disk):
        save_small_model(quick_disk / "one", 7)
        num_bytes = sum(path.stat().st_size for path in (quick_disk / "one").iterdir())
        assert flip_bits(quick_disk / "one", refuses_model) == (8 * num_bytes, [])
        assert cut_everywhere(quick_disk / "one", refuses_model) == (num_bytes, [])


def test_a_checkpoint_under_another_s_name_is_refused(quick_disk):
    save_state(quick_disk, 7)
    (quick_disk / "update-00000007").rename(quick_disk / "update-00000009")
    with pytest.raises(RunDirectoryError, match=r"manifest\.json: damaged: must be of update 9\. Received: 7\."):
        load_newest(quick_disk)


def test_the_one_before_is_used_and_the_damaged_one_set_aside(quick_disk, rng, caplog):
    caplog.set_level(logging.WARNING)
    for update in (10, 20, 30):
        save_state(quick_disk, update, keep=3)
    save_small_model(quick_disk / "unrelated", 1)
    damaged = tree_of(quick_disk)["update-00000030"]
    (quick_disk / "update-00000030" / "progress.json").unlink()
    (quick_disk / "update-00000020" / "state.safetensors").write_bytes(b"\0")
    assert newest_state(quick_disk) == (10, 10)
    del damaged["progress.json"]
    after = tree_of(quick_disk)
    assert sorted(after) == [
        "damaged-update-00000020", "damaged-update-00000030", "unrelated", "update-00000010",
    ]  # fmt: skip
    assert after["damaged-update-00000030"] == damaged
    first, second = [record.getMessage() for record in caplog.records]
    assert first == (
        f"{quick_disk}/update-00000030: a checkpoint has exactly the files that it names; missing: progress.json. "
        "It is now damaged-update-00000030; update-00000010 is used instead."
    )
    assert second.startswith(f"{quick_disk}/update-00000020/state.safetensors: damaged: must have ")
    caplog.clear()
    assert newest_state(quick_disk) == (10, 10)
    assert caplog.records == []


def test_what_was_set_aside_is_never_counted_or_removed_again(quick_disk):
    for number in (1, 2, 3):
        save_state(quick_disk, 10)
        save_state(quick_disk, 20)
        (quick_disk / "update-00000020" / "manifest.json").write_bytes(b"%d" % number)
        assert newest_state(quick_disk) == (10, 10)
    for update in (11, 12, 13):
        save_state(quick_disk, update, keep=1)
    assert sorted(tree_of(quick_disk)) == [
        "damaged-update-00000020", "damaged-update-00000020-2", "damaged-update-00000020-3", "update-00000013",
    ]  # fmt: skip
    assert tree_of(quick_disk)["damaged-update-00000020-2"]["manifest.json"] == b"2"
    assert newest_state(quick_disk) == (13, 13)


def test_no_run_is_started_over_checkpoints_of_which_none_is_valid(quick_disk):
    for update in (10, 20):
        save_state(quick_disk, update)
        (quick_disk / f"update-{update:08d}" / "manifest.json").unlink()
    before = tree_of(quick_disk)
    with pytest.raises(RunDirectoryError) as caught:
        load_newest(quick_disk)
    assert str(caught.value) == (
        f"{quick_disk}: none of the checkpoints is valid, and the run is not started afresh over them:\n"
        f"  {quick_disk}/update-00000020: not a checkpoint: it has no manifest.json.\n"
        f"  {quick_disk}/update-00000010: not a checkpoint: it has no manifest.json.\n"
        "Restore one of them from a copy, or give them up and start anew: nmt train with --replace."
    )
    assert caught.value.exit_status == 2
    assert tree_of(quick_disk) == before
