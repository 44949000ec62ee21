"""Keras is imported without what TensorFlow prints while it starts, unless that is asked for or the import fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOISE = """
import os, sys
os.write(1, b"noise on 1\\n")
os.write(2, b"noise on 2\\n")
print("printed noise")
"""


def import_keras(folder: Path, keras: str, level: str | None) -> subprocess.CompletedProcess[str]:
    """Imports a module that stands for Keras in a new Python."""
    (folder / "keras.py").write_text(keras)
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    code = """
import sys
from nmt import startup
startup.choose_log_level(show_all="--debug" in sys.argv)
print("before")
startup.import_keras()
print("after", flush=True)
print("after", file=sys.stderr)
"""
    words = [sys.executable, "-c", code, *(["--debug"] if level == "debug" else [])]
    if level == "debug":
        del environment["TF_CPP_MIN_LOG_LEVEL"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("level", [None, "1", "3"])
def test_the_messages_of_the_start_are_held_back(tmp_path: Path, level: str | None) -> None:
    finished = import_keras(tmp_path, NOISE, level)
    assert (finished.stdout, finished.stderr) == ("before\nafter\n", "after\n")


@pytest.mark.parametrize("level", ["0", "debug"])
def test_the_messages_are_shown_when_they_are_asked_for(tmp_path: Path, level: str) -> None:
    finished = import_keras(tmp_path, NOISE, level)
    assert "noise on 1" in finished.stdout
    assert "noise on 2" in finished.stderr


def test_a_failed_import_shows_what_it_printed(tmp_path: Path) -> None:
    finished = import_keras(tmp_path, NOISE + "raise ImportError('no such library')", None)
    assert finished.returncode == 1
    assert finished.stdout == "before\n"
    for text in ("noise on 1", "noise on 2", "printed noise", "ImportError: no such library"):
        assert text in finished.stderr


def test_the_level_reaches_tensorflow(tmp_path: Path) -> None:
    report = "import os, sys; sys.modules['keras'] = sys; level = os.environ['TF_CPP_MIN_LOG_LEVEL']"
    for level, expected in ((None, "3"), ("2", "2"), ("debug", "0")):
        (tmp_path / "out").unlink(missing_ok=True)
        keras = f"{report}\nopen({str(tmp_path / 'out')!r}, 'w').write(level)"
        assert import_keras(tmp_path, keras, level).returncode == 0
        assert (tmp_path / "out").read_text() == expected
