"""What a person sees: inert messages on standard error, results on standard output, progress on a terminal alone."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nmt import console
from nmt.errors import FileError

logger = logging.getLogger("nmt.test")


def test_messages_are_shown_from_their_level_on(capsys: pytest.CaptureFixture[str]) -> None:
    with console.log_to_screen(logging.INFO):
        logger.debug("unseen")
        logger.info("read %d pairs", 3)
        logger.warning("two\nlines")
        logger.error("bad")
        logging.getLogger("another").info("unseen")
        logging.getLogger("another").warning("seen")
    logger.info("after the block")
    assert capsys.readouterr().err == "read 3 pairs\nwarning: two\nlines\nerror: bad\nwarning: seen\n"


def test_the_screen_is_that_of_the_moment(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A live bar puts itself in the place of standard error while it is shown."""
    with console.log_to_screen(logging.INFO):
        bar = io.StringIO()
        monkeypatch.setattr(sys, "stderr", bar)
        logger.info("above the bar")
        monkeypatch.undo()
    assert bar.getvalue() == "above the bar\n"
    assert capsys.readouterr().err == ""


def test_messages_are_inert_and_coloured_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console.show("a file \x1b[2J", "error")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    console.show("a file \x1b[2J", "error")
    assert capsys.readouterr().err == "error: a file \\x1b[2J\n\x1b[31merror:\x1b[0m a file \\x1b[2J\n"


def test_a_closed_standard_stream_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    console.show("nobody reads this")
    with console.progress("lines") as show_done:
        show_done(1)
    with pytest.raises(FileError, match="standard output: can't write: it is closed"):
        console.write_result("nobody reads this")


def test_a_log_that_cannot_be_written_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is logged goes on: training must not end with the disk. What was lost is counted when there is room."""
    folder = tmp_path / "nowhere"
    with console.log_to_file(folder / "log"):
        logger.warning("lost")
        logger.warning("lost\ntoo")
        assert capsys.readouterr().err.count("nowhere") == 1
        folder.mkdir()
        logger.warning("kept")
        logger.warning("kept too")
    lines = [line.split(" ", 2)[2] for line in (folder / "log").read_text().splitlines()]
    assert lines == ["WARNING 3 lines could not be written here", "WARNING kept", "WARNING kept too"]


def run(code: str, *, stdout: int) -> subprocess.CompletedProcess[str]:
    script = f"from nmt import console\n{code}"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    return subprocess.run(
        [sys.executable, "-c", script],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        env=environment,
        cwd=Path(__file__).parents[1],
        check=False,
    )


def test_results_are_utf_8_whatever_the_terminal_says() -> None:
    finished = run(r"console.write_result('\u00e9t\u00e9 \ud800\n')", stdout=subprocess.PIPE)
    assert finished.stdout == "été \\ud800\n"


def test_a_reader_that_has_gone_is_not_worth_a_message() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    finished = run("console.write_result('x')", stdout=write_end)
    os.close(write_end)
    assert (finished.returncode, finished.stderr) == (console.BROKEN_PIPE_STATUS, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_that_is_told_once() -> None:
    code = """
try:
    console.write_result("x")
except console.files.FileError as error:
    console.show(str(error))
"""
    with Path("/dev/full").open("wb") as full:
        finished = run(code, stdout=full.fileno())
    assert finished.returncode == 0
    assert finished.stderr.startswith("standard output: can't write: No space left on device.")
    assert finished.stderr.count("\n") == 1


def test_progress_is_shown_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with console.progress("lines", 10) as show_done:
        show_done(5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with console.progress("lines", 10, is_shown=False) as show_done:
        show_done(5)
    assert capsys.readouterr().err == ""
    for total in (10, None):
        with console.progress("lines", total) as show_done:
            show_done(5)
        shown = capsys.readouterr()
        assert "lines" in shown.err
        assert shown.out == ""
