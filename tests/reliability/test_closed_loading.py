"""Loading a model: what a process does meanwhile, as Python's own audit events tell.

The model lies in a folder that holds programs as well, under names that Python would import; one more model has them as
its only wrong. Nothing is run, nothing else is read, nothing written, nobody asked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "model"

LOAD = """
import json, os, sys
import nmt, nmt.errors
nmt.load(sys.argv[2]).translate(["Hello."])  # what the package itself imports at its first use is no model's doing
events = []
sys.addaudithook(lambda event, arguments: events.append((event, [str(argument)[:300] for argument in arguments])))
before = set(sys.modules)
try:
    translator = nmt.load(sys.argv[1])
    translated = translator.translate(["Where is the station?"])[0].text
except nmt.errors.NMTError as error:
    translated = f"refused: {error}"
seen = list(events)
print(json.dumps([translated, seen, sorted(set(sys.modules) - before)]))
"""
# Each lets something out, in, or run.
FORBIDDEN = (
    "import",
    "socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.",
    "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.", "compile", "exec", "code.", "marshal.", "pickle.",
    "shelve.", "shutil.", "tempfile.", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink",
    "os.truncate", "os.chmod", "os.chown", "os.putenv", "sqlite3.", "ctypes.call_function", "cpython.run_",
)  # fmt: skip


def load(path: Path, cwd: Path) -> tuple[str, list[tuple[str, list[str]]], list[str]]:
    """Loads a model, and translates with it, in a process whose current folder is another one."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path), str(GOLDEN)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


def opened(events: list[tuple[str, list[str]]]) -> list[tuple[str, str]]:
    """The path and the mode of each file that was opened by its name."""
    arguments = [arguments for event, arguments in events if event == "open"]
    return [(path, mode) for path, mode, _ in arguments if not path.isdigit()]


def is_of_python(path: str) -> bool:
    """Whether a file belongs to the package, to Python or to an installed library."""
    places = [ROOT / "nmt", Path(sys.prefix), Path(sys.base_prefix)]
    return any(Path(path).resolve().is_relative_to(place.resolve()) for place in places)


def test_loading_reads_the_files_of_the_model_alone(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "model")
    translated, events, modules = load(tmp_path / "model", tmp_path)
    assert modules == []
    assert translated == "Où est la gare ?"
    names = [event for event, _ in events]
    assert "open" in names
    assert not [event for event in names if event.startswith(FORBIDDEN)]
    read = {path for path, _ in opened(events)}
    assert {str(tmp_path / "model" / path.name) for path in GOLDEN.iterdir()} <= read
    elsewhere = {path for path in read if not Path(path).is_relative_to(tmp_path / "model")}
    assert all(path == "/proc/self/maps" or is_of_python(path) for path in elsewhere)  # the maps: which BLAS is loaded
    assert not [path for path, mode in opened(events) if set(str(mode)) & set("wax+")]
    listed = {arguments[0] for event, arguments in events if event in ("os.listdir", "os.scandir")}
    assert all(path == str(tmp_path / "model") or is_of_python(path) for path in listed)
    libraries = {arguments[0] for event, arguments in events if event == "ctypes.dlopen"}
    assert all(is_of_python(path) for path in libraries if path != "None")


def test_programs_beside_the_model_are_neither_run_nor_passed_over(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(GOLDEN, folder)
    for name in ("__init__.py", "numpy.py", "model.py", "nmt.py"):
        (folder / name).write_text("open('ran', 'w').close()\n")
    translated, events, _ = load(folder, tmp_path)
    assert translated == (
        f"refused: {folder}: a model has exactly the files that it names; "
        "unexpected: __init__.py, model.py, nmt.py, numpy.py. Copy or download the model again."
    )
    assert not (tmp_path / "ran").exists()
    assert not [path for path, _ in opened(events) if path.startswith(str(tmp_path)) and path.endswith(".py")]
