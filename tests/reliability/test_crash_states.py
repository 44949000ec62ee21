"""Wherever the machine stops during a save, what is found afterwards is the old state or the new one, and whole."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt import files, name_exchange
from tests.reliability.crash_states import Record, Tree, recorded, tree_of, write_tree
from tests.reliability.small_states import model_at, newest_state, save_small_model, save_state

Find = Callable[[Path], Any]


@pytest.fixture(params=["with renameat2", "without renameat2"])
def _exchange(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without renameat2":
        monkeypatch.setattr(name_exchange, "exchange_names", lambda first, second: False)


def found_after(record: Record, find: Find, scratch: Path) -> list[tuple[int, Any]]:
    """What is found after each possible crash, once a new process has taken the lock; with the operations done."""
    scratch.mkdir()
    known: dict[str, Any] = {}
    found = []
    for length, tree in record.states():
        key = repr(tree)
        if key not in known:
            folder = scratch / str(len(known))
            write_tree(folder, tree)
            files.remove_leftovers(folder)
            known[key] = find(folder)
            assert not [path.name for path in folder.iterdir() if path.name.startswith(".nmt")]
        found.append((length, known[key]))
    print(f"{len(record.operations)} operations, {len(found)} states, {len(known)} of them different")
    return found


def check(root: Path, save: Callable[[Path], None], find: Find, *, old: Any, new: Any, min_states: int) -> None:
    """Every crash in `save` leaves the old or the new; before the first operation the old, after the last the new."""
    with recorded(root) as record:
        save(root)
    found = found_after(record, find, root.parent / "scratch")
    assert {each for _, each in found} == {old, new}
    assert {each for length, each in found if length == 0} == {old}
    assert {each for length, each in found if length == len(record.operations)} == {new}
    assert len(found) >= min_states


def newest_of_whole_ones(folder: Path) -> tuple[int, int] | None:
    """The newest checkpoint; nothing had to be passed over for it, and none of the older ones is in pieces."""
    newest = newest_state(folder)
    for name, content in tree_of(folder).items():
        assert name.startswith("update-")
        assert sorted(content) == ["manifest.json", "progress.json", "state.safetensors"]
    return newest


@pytest.fixture
def root(quick_disk: Path) -> Path:
    folder = quick_disk / "root"
    folder.mkdir()
    return folder


@pytest.mark.usefixtures("_exchange")
class TestCheckpoints:
    def test_the_first_save(self, root):
        check(root, lambda f: save_state(f, 10), newest_of_whole_ones, old=None, new=(10, 10), min_states=50)

    def test_the_next_save_with_one_kept(self, root):
        save_state(root, 10, keep=1)
        check(
            root, lambda f: save_state(f, 20, keep=1), newest_of_whole_ones, old=(10, 10), new=(20, 20), min_states=80
        )
        assert list(tree_of(root)) == ["update-00000020"]

    def test_the_next_save_with_two_kept(self, root):
        for update in (8, 9, 10):
            save_state(root, update)
        check(root, lambda f: save_state(f, 20), newest_of_whole_ones, old=(10, 10), new=(20, 20), min_states=80)
        assert list(tree_of(root)) == ["update-00000010", "update-00000020"]

    def test_the_same_update_again(self, root):
        save_state(root, 10, number=1)
        check(
            root, lambda f: save_state(f, 10, number=2), newest_of_whole_ones, old=(10, 1), new=(10, 2), min_states=80
        )

    def test_the_one_before_is_whole_at_every_moment_too(self, root):
        """With two kept there are two valid ones in every state, in case the newest is damaged later."""
        for update in (9, 10):
            save_state(root, update)

        def two_newest(folder: Path) -> tuple[int, int]:
            first = newest_state(folder)
            assert first
            files.remove_folder(folder / f"update-{first[0]:08d}")
            second = newest_state(folder)
            assert second
            return first[0], second[0]

        check(root, lambda f: save_state(f, 20), two_newest, old=(10, 9), new=(20, 10), min_states=80)


@pytest.mark.usefixtures("_exchange")
class TestModels:
    def test_the_first_best(self, root):
        check(root, lambda f: save_small_model(f / "best", 1), best, old=None, new=1, min_states=50)

    def test_a_new_best_over_the_old(self, root):
        save_small_model(root / "best", 1)
        check(root, lambda f: save_small_model(f / "best", 2), best, old=1, new=2, min_states=100)


def best(folder: Path) -> int | None:
    return model_at(folder / "best")


@pytest.mark.usefixtures("_exchange")
def test_a_second_crash_while_the_first_is_cleared_up(root, quick_disk):
    """The states of a crash in `remove_leftovers`, run on every state of a crash in a save."""
    save_state(root, 10, number=1)
    with recorded(root) as record:
        save_state(root, 10, number=2)
    num_states, seen = 0, set()
    for _, tree in record.states():
        if repr(tree) in seen or not any(name.startswith(".nmt") for name in tree):
            continue
        seen.add(repr(tree))
        folder = quick_disk / f"first-{len(seen)}"
        write_tree(folder, tree)
        with recorded(folder) as clearing:
            files.remove_leftovers(folder)
        expected = newest_state(folder)
        found = found_after(clearing, newest_state, quick_disk / f"second-{len(seen)}")
        assert {each for _, each in found} == {expected}
        num_states += len(found)
    assert num_states >= 100


def test_setting_a_damaged_one_aside(root, caplog):
    caplog.set_level(logging.ERROR)
    save_state(root, 10)
    save_state(root, 20)
    (root / "update-00000020" / "state.safetensors").write_bytes(b"")
    check_is(root, newest_state, newest_state, {(10, 10)}, min_states=3)


def check_is(root: Path, action: Callable[[Path], Any], find: Find, expected: set[Any], min_states: int) -> None:
    with recorded(root) as record:
        action(root)
    found = found_after(record, find, root.parent / "scratch")
    assert {each for _, each in found} == expected
    assert len(found) >= min_states


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_file(root, old):
    if old:
        (root / "file").write_bytes(old)

    def find(folder: Path) -> bytes | None:
        return (folder / "file").read_bytes() if (folder / "file").exists() else None

    check(root, lambda f: files.write_bytes(f / "file", b"brand-new"), find, old=old, new=b"brand-new", min_states=12)


def test_a_line_is_there_whole_or_is_cut_off_by_the_next(root):
    (root / "lines").write_bytes(b"one\n")
    with recorded(root) as record:
        files.append_line(root / "lines", "second")
    endings = set()
    for number, (_, tree) in enumerate(record.states()):
        path = root.parent / str(number)
        path.write_bytes(tree["lines"])
        files.append_line(path, "third")
        endings.add(path.read_bytes())
    assert endings == {b"one\nthird\n", b"one\nsecond\nthird\n"}


def test_folders_that_are_made_outlast_a_crash(root):
    """Bug: the folders above a new run were not flushed, so that the whole run could be gone after a power cut."""
    with recorded(root) as record:
        files.make_folder(root / "a" / "b")
        files.make_folder(root / "a" / "b")
    assert last_states(record) == [{"a": {"b": {}}}]


@pytest.mark.parametrize(("forgotten", "content"), [("file", b""), ("file", b"brand"), ("folder", b"old")])
def test_a_flush_that_is_forgotten_would_be_found(root, forgotten, content):
    """The harness itself: without the flush of the data, or of the folder, a crash after the write shows it."""
    (root / "file").write_bytes(b"old")
    with recorded(root) as record:
        files.write_bytes(root / "file", b"brand-new!")
    assert {"file": content} not in last_states(record)
    record.operations = [
        operation
        for operation in record.operations
        if operation.what != "flush" or operation.node.is_folder == (forgotten == "file")
    ]
    assert {"file": content} in [{"file": tree["file"]} for tree in last_states(record)]


def last_states(record: Record) -> list[Tree]:
    return [tree for length, tree in record.states() if length == len(record.operations)]
