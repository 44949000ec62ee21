"""Whichever call of the system fails, and how: the old state stays, the error names its path, the next save works."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt import files, model_file, name_exchange
from nmt.checkpoints import load_newest
from nmt.errors import FileError
from tests.reliability.crash_states import Tree, tree_of, write_tree
from tests.reliability.faults import CHANGING, ERRORS, Faults, faults, system_error
from tests.reliability.small_states import model_at, newest_state, save_small_model, save_state


def best(folder: Path) -> int | None:
    return model_at(folder / "best")


# What is there before, what is done, what is found before and after.
SAVES: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any], Callable[[Path], Any], Any, Any]] = {
    "the first checkpoint": (lambda f: None, lambda f: save_state(f, 20), newest_state, None, (20, 20)),
    "a checkpoint in place of an older": (
        lambda f: save_state(f, 10),
        lambda f: save_state(f, 20, keep=1),
        newest_state,
        (10, 10),
        (20, 20),
    ),
    "a checkpoint again": (
        lambda f: save_state(f, 20, number=1),
        lambda f: save_state(f, 20, number=2),
        newest_state,
        (20, 1),
        (20, 2),
    ),
    "a better model": (
        lambda f: save_small_model(f / "best", 1),
        lambda f: save_small_model(f / "best", 2),
        best,
        1,
        2,
    ),
}


@pytest.fixture(params=[*SAVES, "a checkpoint again, without renameat2", "a better model, without renameat2"])
def save(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name, _, without = request.param.partition(", without")
    if without:
        monkeypatch.setattr(name_exchange, "exchange_names", lambda first, second: False)
    return name


@pytest.fixture(autouse=True)
def _versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking up the installed packages reads hundreds of files, none of them of the save."""
    monkeypatch.setattr(model_file, "library_versions", lambda: {"nmt": "1"})


def attempt(action: Callable[[], Any], *args: Any, **kwargs: Any) -> tuple[Faults, BaseException | None]:
    with faults(*args, **kwargs) as counted:
        try:
            action()
        except (FileError, KeyboardInterrupt) as caught:
            return counted, caught
    return counted, None


def start(quick_disk: Path, prepare: Callable[[Path], Any]) -> Tree:
    (quick_disk / "start").mkdir()
    prepare(quick_disk / "start")
    return tree_of(quick_disk / "start")


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".nmt-*")]


@pytest.mark.parametrize("error_number", ERRORS)
def test_one_call_fails(quick_disk, caplog, save, error_number):
    """Each call of the save in turn."""
    prepare, action, find, old, new = SAVES[save]
    before = start(quick_disk, prepare)
    for number in itertools.count(1):
        root = quick_disk / str(number)
        write_tree(root, before)
        caplog.clear()
        counted, caught = attempt(lambda root=root: action(root), number, system_error(error_number))
        if counted.hit is None:
            break
        what = f"call {number}, {counted.hit}"
        if caught:
            assert str(caught).startswith((f"{root}/", f"{root}: ")), what
            assert os.strerror(error_number) in str(caught), what
        else:
            assert find(root) == new, f"{what}: nothing was saved, and nothing said"
        if left := leftovers(root):
            assert all(f"{root}/{name}" in caplog.text for name in left), what
            files.remove_leftovers(root)
        assert find(root) in (old, new), what
        action(root)
        assert find(root) == new, what
        assert leftovers(root) == [], what
    assert number > 60
    print(f"{number - 1} calls")


def test_everything_that_writes_fails_from_some_call_on(quick_disk, save):
    """A disk that turns read-only, or stays full; nothing can be cleared up either."""
    prepare, action, find, old, new = SAVES[save]
    before = start(quick_disk, prepare)
    for number in itertools.count(1):
        root = quick_disk / str(number)
        write_tree(root, before)
        error = system_error((errno.EROFS, errno.ENOSPC)[number % 2])
        counted, caught = attempt(lambda root=root: action(root), number, error, CHANGING, forever=True)
        if counted.hit is None:
            break
        if isinstance(caught, FileError):
            assert str(caught).startswith((f"{root}/", f"{root}: "))
        files.remove_leftovers(root)
        assert find(root) in (old, new)
        action(root)
        assert find(root) == new
        assert leftovers(root) == []
    assert number > 20


def test_a_save_is_interrupted_at_some_call(quick_disk, save):
    """Ctrl-C a second time, in the middle of a save."""
    prepare, action, find, old, new = SAVES[save]
    before = start(quick_disk, prepare)
    for number in itertools.count(1):
        root = quick_disk / str(number)
        write_tree(root, before)
        counted, caught = attempt(lambda root=root: action(root), number, KeyboardInterrupt())
        if counted.hit is None:
            break
        assert isinstance(caught, KeyboardInterrupt)
        files.remove_leftovers(root)
        assert find(root) in (old, new)
    assert number > 60


@pytest.mark.parametrize("error", ERRORS)
def test_a_line_is_appended_whole_or_the_file_is_as_before(quick_disk, error):
    for number in itertools.count(1):
        path = quick_disk / str(number)
        path.write_bytes(b"one\ntorn")
        counted, caught = attempt(lambda path=path: files.append_line(path, "two"), number, system_error(error))
        if counted.hit is None:
            break
        assert isinstance(caught, FileError)
        assert str(caught).startswith(f"{path}: can't write: {os.strerror(error)}. ")
        assert path.read_bytes() in (b"one\ntorn", b"one\n", b"one\ntwo\n")
        files.append_line(path, "three")
        assert path.read_bytes() in (b"one\nthree\n", b"one\ntwo\nthree\n")
    assert number > 5


@pytest.mark.parametrize("num_bytes", [1, 7])
def test_short_writes_are_continued(quick_disk, monkeypatch, num_bytes):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:num_bytes]))
    save_state(quick_disk, 10)
    save_small_model(quick_disk / "best", 3)
    files.append_line(quick_disk / "lines", "a long line")
    assert newest_state(quick_disk) == (10, 10)
    assert best(quick_disk) == 3
    assert (quick_disk / "lines").read_text() == "a long line\n"


def test_a_checkpoint_that_reads_back_otherwise_gets_no_name(quick_disk, monkeypatch):
    save_state(quick_disk, 10)
    before = tree_of(quick_disk)
    real = os.write

    def write_wrong(descriptor: int, data: Any) -> int:
        wrong = bytearray(data)
        if len(wrong) == arrays_bytes:
            wrong[3] ^= 1
        return real(descriptor, wrong)

    arrays_bytes = 24  # the array of the weights
    monkeypatch.setattr(os, "write", write_wrong)
    with pytest.raises(Exception, match=r"state\.safetensors: damaged: its content is not what manifest\.json says"):
        save_state(quick_disk, 20, keep=1)
    assert tree_of(quick_disk) == before


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE])
def test_a_checkpoint_that_may_not_be_read_is_no_damaged_one(quick_disk, number):
    for update in (10, 20):
        save_state(quick_disk, update)
    before = tree_of(quick_disk)
    for call in itertools.count(1):
        counted, caught = attempt(
            lambda: load_newest(quick_disk),
            call,
            system_error(number),
            ("open", "listdir"),
        )
        if counted.hit is None:
            break
        assert caught is not None
        assert tree_of(quick_disk) == before
    assert call == 7
