"""Files and folders are there whole or not at all, whichever call fails."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt import files, name_exchange
from nmt.errors import FileError

FULL = "No space left on device. Free some space there, or choose another folder."


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, hidden ones too, and every empty folder."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[name + "/"] = b""
    return found


class Fault:
    """Lets the n-th call of some functions of `os` fail; counts all calls."""

    NAMES = ("open", "write", "fsync", "close", "replace", "rename", "mkdir", "fchmod")

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail_at: int | None, error: BaseException) -> None:
        self.num_calls = 0
        self.fail_at = fail_at
        self.error = error
        self.log: list[str] = []
        for name in self.NAMES:
            monkeypatch.setattr(files.os, name, self.faulty(name, getattr(os, name)))

    def faulty(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.num_calls += 1
            self.log.append(name)
            if self.num_calls == self.fail_at:
                if name == "close":
                    call(*args, **kwargs)  # a failed close has closed the descriptor
                raise type(self.error)(*self.error.args)
            return call(*args, **kwargs)

        return wrapped


def attempt(action: Callable[[], Any], fail_at: int | None, error: BaseException) -> tuple[Fault, BaseException | None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        fault = Fault(monkeypatch, fail_at, error)
        try:
            action()
        except (FileError, KeyboardInterrupt) as caught:
            return fault, caught
        return fault, None


def write_folder(path: Path) -> None:
    with files.new_folder(path) as temporary:
        files.write_text(temporary / "a", "new a")
        files.make_folder(temporary / "inner")
        (temporary / "inner" / "b").write_text("new b")


NEW_FOLDER = {"out/a": b"new a", "out/inner/b": b"new b"}


def test_write_bytes_makes_and_replaces(tmp_path):
    files.write_bytes(tmp_path / "file", b"one")
    files.write_bytes(tmp_path / "file", b"two")
    assert tree(tmp_path) == {"file": b"two"}


def test_write_text_is_utf8_and_keeps_line_ends(tmp_path):
    files.write_text(str(tmp_path / "file"), "é\r\n\u2028\n")
    assert tree(tmp_path) == {"file": b"\xc3\xa9\r\n\xe2\x80\xa8\n"}


def test_permissions_are_the_process_s_and_the_old_file_s(tmp_path):
    old_mask = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "file", b"")
        files.append_line(tmp_path / "lines", "x")
        with files.new_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "lines").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750
    (tmp_path / "file").chmod(0o600)
    files.write_bytes(tmp_path / "file", b"private")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_the_data_reaches_the_disk_before_the_name(tmp_path):
    fault, _ = attempt(lambda: files.write_bytes(tmp_path / "file", b"x"), None, OSError())
    assert fault.log == ["open", "write", "fsync", "close", "replace", "open", "fsync", "close"]


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_file_is_old_or_new_whichever_call_fails(tmp_path, old, error):
    fail_at, finished = 1, False
    while not finished:
        folder = tmp_path / str(fail_at)
        folder.mkdir()
        path = folder / "file"
        if old:
            path.write_bytes(old)
        fault, caught = attempt(lambda path=path: files.write_bytes(path, b"new"), fail_at, error)
        finished = caught is None
        before = {"file": old} if old else {}
        renamed = "replace" in fault.log[: fail_at - 1]
        assert tree(folder) == ({"file": b"new"} if finished or renamed else before), fault.log
        if isinstance(caught, FileError):
            assert str(caught) == f"{path}: can't write: {FULL}"
        fail_at += 1
    assert fail_at >= 9


@pytest.mark.parametrize("old", [None, "full", "empty"])
@pytest.mark.parametrize("can_swap", [True, False])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_folder_is_old_or_new_whichever_call_fails(tmp_path, monkeypatch, old, can_swap, error):
    if not can_swap:
        monkeypatch.setattr(name_exchange, "exchange_names", lambda first, second: False)
    fail_at, finished = 1, False
    while not finished:
        folder = tmp_path / str(fail_at)
        folder.mkdir()
        if old:
            (folder / "out").mkdir()
        if old == "full":
            (folder / "out" / "old").write_bytes(b"old")
        before = tree(folder)
        fault, caught = attempt(lambda folder=folder: write_folder(folder / "out"), fail_at, error)
        finished = caught is None
        files.remove_leftovers(folder)
        assert tree(folder) in ((NEW_FOLDER,) if finished else (before, NEW_FOLDER)), fault.log
        if "rename" not in fault.log:
            assert tree(folder) == before
        fail_at += 1
    assert fail_at >= 20


def test_a_short_write_is_continued(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(files.os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    files.write_bytes(tmp_path / "file", b"0123456789")
    assert tree(tmp_path) == {"file": b"0123456789"}


def test_new_file_takes_parts_and_vanishes_on_an_error(tmp_path):
    with files.new_file(tmp_path / "file") as file:
        file.write(b"one ")
        file.write(b"two")
        assert not (tmp_path / "file").exists()
    assert tree(tmp_path) == {"file": b"one two"}
    with pytest.raises(ConnectionError, match="of the block"), files.new_file(tmp_path / "file") as file:
        raise ConnectionError(f"of the block, not of the file, after {file.write(b'half')} bytes")
    assert tree(tmp_path) == {"file": b"one two"}


def test_new_folder_vanishes_on_an_error(tmp_path):
    with pytest.raises(FileError, match="in the middle"), files.new_folder(tmp_path / "folder") as folder:
        raise FileError(f"in the middle {files.write_text(folder / 'half', 'half')}")
    assert tree(tmp_path) == {}


def test_new_folder_without_replace_keeps_what_is_there(tmp_path):
    write_folder(tmp_path / "out")
    problem = f"{tmp_path}/out: can't write: Directory not empty. Choose another path, or move what is there."
    with pytest.raises(FileError, match=f"^{problem}$"), files.new_folder(tmp_path / "out", replace=False) as folder:
        files.write_text(folder / "other", "other")
    assert tree(tmp_path) == NEW_FOLDER


def test_a_folder_killed_between_the_renames_comes_back(tmp_path, caplog):
    (tmp_path / ".nmt-old.best").mkdir()
    (tmp_path / ".nmt-old.best" / "old").write_bytes(b"old")
    (tmp_path / ".nmt-0123456789abcdef.tmp").mkdir()
    (tmp_path / ".nmt-0123456789abcdef.tmp" / "new").write_bytes(b"new")
    (tmp_path / ".nmt-fedcba9876543210.tmp").write_bytes(b"half")
    (tmp_path / ".nmt-ab_12xyz.tmp").write_bytes(b"as Python's tempfile names it")
    (tmp_path / ".nmt-mine.tmp").write_bytes(b"somebody else's")
    files.remove_leftovers(tmp_path)
    assert tree(tmp_path) == {"best/old": b"old", ".nmt-mine.tmp": b"somebody else's"}
    assert f"{tmp_path}/best: brought back" in caplog.text
    (tmp_path / ".nmt-old.best").mkdir()
    files.remove_leftovers(tmp_path)
    assert tree(tmp_path) == {"best/old": b"old", ".nmt-mine.tmp": b"somebody else's"}


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    program = (
        "import os, sys\nfrom nmt import files\n"
        "with files.new_file(sys.argv[1]) as file:\n    file.write(b'half')\n    os.kill(os.getpid(), 9)\n"
    )
    finished = subprocess.run([sys.executable, "-c", program, str(tmp_path / "file")], check=False)
    assert finished.returncode == -9
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(tree(tmp_path)) == 2
    files.remove_leftovers(tmp_path)
    assert tree(tmp_path) == {"file": b"old"}


def test_a_link_is_followed_and_kept(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/file")
    files.write_bytes(tmp_path / "link", b"one")
    files.write_bytes(tmp_path / "link", b"two")
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path / "real") == {"file": b"two"}
    (tmp_path / "folder").symlink_to("real")
    write_folder(tmp_path / "folder")
    assert (tmp_path / "folder").is_symlink()
    assert sorted(tree(tmp_path / "real")) == ["a", "inner/b"]


def test_devices_and_pipes_are_written_as_they_are(tmp_path):
    files.write_bytes("/dev/null", b"gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    finished = subprocess.run(
        [sys.executable, "-c", "from nmt import files; files.write_text('/dev/stdout', 'out')"],
        capture_output=True,
        check=True,
    )
    assert finished.stdout == b"out"
    with pytest.raises(FileError, match=f"^/dev/full: can't write: {FULL}$"):
        files.write_bytes("/dev/full", b"x")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("folder", "Is a directory. Give the path of a file."),
        ("file/new", "Not a directory. Part of the path is a file where a folder is needed: check it."),
        ("missing/new", "No such file or directory. Check the path; its folder must exist."),
        ("n" * 256, "File name too long. Choose a shorter name."),
    ],
)
def test_what_can_t_be_written_is_named_with_its_remedy(tmp_path, name, problem):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    before = tree(tmp_path)
    with pytest.raises(FileError) as caught:
        files.write_bytes(tmp_path / name, b"new")
    assert str(caught.value) == f"{tmp_path / name}: can't write: {problem}"
    assert caught.value.exit_status == 2
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.EROFS, "Read-only file system. Choose a folder that can be written."),
        (errno.EACCES, "Permission denied. Check its permissions, or choose another path."),
        (errno.EDQUOT, "Disk quota exceeded. Free some of your quota there, or choose another folder."),
        (errno.EMFILE, "Too many open files. Allow the process more open files: ulimit -n 1024."),
    ],
)
def test_a_refused_open_is_named_with_its_remedy(tmp_path, number, problem):
    _, caught = attempt(lambda: files.write_bytes(tmp_path / "file", b""), 1, OSError(number, os.strerror(number)))
    assert str(caught) == f"{tmp_path}/file: can't write: {problem}"
    _, caught = attempt(lambda: write_folder(tmp_path / "out"), 1, OSError(number, os.strerror(number)))
    assert str(caught) == f"{tmp_path}/out: can't write: {problem}"
    assert tree(tmp_path) == {}


def test_make_and_remove_folder(tmp_path):
    files.make_folder(tmp_path / "a" / "b")
    files.make_folder(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "file").write_bytes(b"x")
    with pytest.raises(FileError, match="b/file: can't make the folder: File exists"):
        files.make_folder(tmp_path / "a" / "b" / "file")
    files.remove_folder(tmp_path / "a")
    assert tree(tmp_path) == {}
    with pytest.raises(FileError, match="a: can't remove: No such file or directory"):
        files.remove_folder(tmp_path / "a")


def test_rename(tmp_path):
    write_folder(tmp_path / "out")
    files.rename(tmp_path / "out", tmp_path / "aside")
    assert tree(tmp_path) == {name.replace("out", "aside"): content for name, content in NEW_FOLDER.items()}
    write_folder(tmp_path / "out")
    before = tree(tmp_path)
    with pytest.raises(FileError) as caught:
        files.rename(tmp_path / "out", tmp_path / "aside")
    assert str(caught.value) == (
        f"{tmp_path}/out: can't rename to aside: File exists. Choose another path, or move what is there."
    )
    assert tree(tmp_path) == before


def test_a_folder_that_can_t_be_removed_is_untouched(tmp_path):
    write_folder(tmp_path / "out")
    _, caught = attempt(
        lambda: files.remove_folder(tmp_path / "out"), 1, OSError(errno.EBUSY, "Device or resource busy")
    )
    assert str(caught) == f"{tmp_path}/out: can't remove: Device or resource busy. Check the path."
    assert tree(tmp_path) == NEW_FOLDER


def test_append_line(tmp_path):
    files.append_line(tmp_path / "lines", "one")
    files.append_line(tmp_path / "lines", "zwei ü")
    assert (tmp_path / "lines").read_bytes() == "one\nzwei ü\n".encode()
    with pytest.raises(ValueError, match="must be one line"):
        files.append_line(tmp_path / "lines", "a\nb")


@pytest.mark.parametrize("whole", [b"", b"one\n", b"x" * 100_000 + b"\n"])
@pytest.mark.parametrize("torn", [b"tor", b"y" * 200_000])
def test_append_line_cuts_an_unfinished_line(tmp_path, caplog, whole, torn):
    path = tmp_path / "lines"
    path.write_bytes(whole + torn)
    files.append_line(path, "next")
    assert path.read_bytes() == whole + b"next\n"
    assert f"{path}: cut off {len(torn)} bytes" in caplog.text


def test_append_line_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "lines"
    files.append_line(path, "one")
    real, calls = os.write, []

    def half_then_full(descriptor: int, data: memoryview) -> int:
        calls.append(data)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:2])

    monkeypatch.setattr(files.os, "write", half_then_full)
    with pytest.raises(FileError, match=f"^{path}: can't write: {FULL}$"):
        files.append_line(path, "second")
    assert path.read_bytes() == b"one\n"


def test_read_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert files.read_bytes(tmp_path / "file", max_bytes=5) == b"12345"
    for name, max_bytes, problem in [
        ("file", 4, "must have at most 4 bytes. Received: 5. Is this the right file?"),
        ("link", 9, "can't read: Too many levels of symbolic links. It is a symbolic link: put the file itself there."),
        ("pipe", 9, "can't read: it is not a regular file. Check the path."),
        (".", 9, "can't read: it is not a regular file. Check the path."),
        ("missing", 9, "can't read: No such file or directory. Check the path; its folder must exist."),
    ]:
        with pytest.raises(FileError) as caught:
            files.read_bytes(tmp_path / name, max_bytes=max_bytes)
        assert str(caught.value) == f"{tmp_path / name}: {problem}"


def test_list_folder(tmp_path):
    write_folder(tmp_path / "out")
    assert files.list_folder(tmp_path / "out") == ["a", "inner"]
    with pytest.raises(FileError, match="out/a: can't read: Not a directory"):
        files.list_folder(tmp_path / "out" / "a")
