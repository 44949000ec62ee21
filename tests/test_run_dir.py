"""Run directories: made in one step, never overwritten by accident, written by one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nmt import files
from nmt.errors import FileError, RunDirectoryError
from nmt.run_dir import RunDirectory, is_run_directory, library_versions

VERSIONS = {"nmt": "1.2", "python": "3.11"}

HOLD = """
import sys
from nmt.run_dir import RunDirectory
with RunDirectory.open(sys.argv[1]).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


def create(path: Path, **options: bool) -> RunDirectory:
    return RunDirectory.create(path, config_yaml="seed: 1\n", versions=VERSIONS, **options)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def hold(path: Path) -> subprocess.Popen[str]:
    """Starts a process that holds the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_create_makes_all_in_one_step(tmp_path):
    run = create(tmp_path / "runs" / "first")
    assert run.config_path.read_text() == "seed: 1\n"
    assert json.loads(run.versions_path.read_text()) == VERSIONS
    assert run.versions() == VERSIONS
    assert names_in(run.path) == [
        "checkpoints", "config.yaml", "lock", "tensorboard", "tokenizer", "versions.json",
    ]  # fmt: skip
    assert is_run_directory(run.path)
    assert RunDirectory.open(str(run.path)).path == run.path
    assert names_in(tmp_path / "runs") == ["first"]


def test_paths_are_those_documented(tmp_path):
    run = RunDirectory(tmp_path)
    paths = {name: getattr(value, "path", value) for name, value in vars(run).items() if not name.startswith("_")}
    names = {name: path.name for name, path in paths.items()}
    assert names == {
        "path": tmp_path.name,
        "config_path": "config.yaml",
        "versions_path": "versions.json",
        "metrics": "metrics.jsonl",
        "skipped": "skipped.jsonl",
        "log_path": "train.log",
        "tokenizer": "tokenizer",
        "checkpoints": "checkpoints",
        "best": "best",
        "best_models": "best-models",
        "tensorboard": "tensorboard",
        "test_report": "report.json",
    }


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    assert is_run_directory(create(tmp_path / "run").path)


def test_a_failed_create_leaves_nothing(tmp_path, monkeypatch):
    def fail(path, data):
        raise FileError("full")

    monkeypatch.setattr(files, "write_bytes", fail)
    with pytest.raises(FileError, match="full"):
        create(tmp_path / "run")
    assert names_in(tmp_path) == []


def test_an_existing_run_says_how_to_resume_or_replace(tmp_path):
    run = create(tmp_path / "run")
    with pytest.raises(RunDirectoryError) as caught:
        create(run.path)
    assert str(caught.value) == (
        f"{run.path}: a run is there already. Go on with it: nmt train CONFIG --run-dir {run.path} --resume. "
        "Delete it and start anew: the same command with --replace."
    )


def test_replace_makes_a_fresh_run(tmp_path):
    run = create(tmp_path / "run")
    (run.checkpoints / "old").write_text("old")
    run.metrics.append({"epoch": 1})
    new = RunDirectory.create(run.path, config_yaml="seed: 2\n", versions=VERSIONS, replace=True)
    assert new.config_path.read_text() == "seed: 2\n"
    assert new.metrics.read() == []
    assert list(new.checkpoints.iterdir()) == []
    assert names_in(tmp_path) == ["run"]
    with new.lock():
        pass


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("names", [["thesis.tex"], ["config.yaml"], ["config.yaml", "versions.json"]])
def test_what_is_no_run_is_never_replaced(tmp_path, replace, names):
    (tmp_path / "folder").mkdir()
    for name in names:
        (tmp_path / "folder" / name).write_text("precious")
    with pytest.raises(RunDirectoryError) as caught:
        create(tmp_path / "folder", replace=replace)
    assert str(caught.value) == (
        f"{tmp_path}/folder: exists and is no run directory, so it is left alone. Choose another --run-dir."
    )
    assert names_in(tmp_path / "folder") == names


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(RunDirectoryError, match="file: exists and is no run directory, so it is left alone"):
        create(tmp_path / "file", replace=True)
    with pytest.raises(FileError, match="file: can't make the folder: File exists"):
        create(tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "precious"


def test_open_explains_what_is_wrong(tmp_path):
    with pytest.raises(
        RunDirectoryError, match=r"none: no such run directory\. Check the path, or start the run without"
    ):
        RunDirectory.open(tmp_path / "none")
    with pytest.raises(RunDirectoryError, match=r"not a run directory, which has config\.yaml and versions\.json\."):
        RunDirectory.open(tmp_path)
    assert not is_run_directory(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"nmt": 1}', b"\xff", b"[" * 100_000])
def test_damaged_versions_are_named(tmp_path, content):
    run = create(tmp_path / "run")
    run.versions_path.write_bytes(content)
    with pytest.raises(RunDirectoryError) as caught:
        run.versions()
    assert str(caught.value) == (
        f"{run.path}/versions.json: damaged: it must map names to versions. Restore it from a copy."
    )


def test_records_lie_in_files_of_their_own(tmp_path):
    run = create(tmp_path / "run")
    run.metrics.append({"epoch": 1})
    run.skipped.append({"pairs": [4]})
    assert (run.path / "metrics.jsonl").read_text() == '{"epoch": 1}\n'
    assert (run.path / "skipped.jsonl").read_text() == '{"pairs": [4]}\n'


def test_settings_can_be_replaced(tmp_path):
    run = create(tmp_path / "run")
    run.metrics.append({"epoch": 1})
    run.update_settings(config_yaml="seed: 3\n", versions={"nmt": "9", "ö": "1"})
    assert run.config_path.read_text() == "seed: 3\n"
    assert run.versions() == {"nmt": "9", "ö": "1"}
    assert run.metrics.read() == [{"epoch": 1}]


def test_a_second_process_names_the_holder_and_touches_nothing(tmp_path):
    run = create(tmp_path / "run")
    process = hold(run.path)
    try:
        before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
        with pytest.raises(RunDirectoryError) as caught, run.lock():
            pass
        message = str(caught.value)
        assert message.startswith(f"{run.path}: in use by process {process.pid} on {os.uname().nodename} since 2")
        assert message.endswith("Wait for it, stop it, or use another run directory.")
        with pytest.raises(RunDirectoryError, match=f"in use by process {process.pid}"):
            create(run.path, replace=True)
        assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
    finally:
        process.communicate()
    with run.lock():
        pass


def test_the_lock_ends_with_a_killed_process(tmp_path):
    run = create(tmp_path / "run")
    process = hold(run.path)
    process.kill()
    process.communicate()
    with run.lock(), pytest.raises(RunDirectoryError, match=f"in use by process {os.getpid()} "), run.lock():
        pass
    with run.lock():
        pass


def test_the_lock_of_a_replaced_run_is_not_taken(tmp_path, monkeypatch):
    run = create(tmp_path / "run")
    real = os.open

    def open_then_replace(path, *args, **kwargs):
        descriptor = real(path, *args, **kwargs)
        if Path(path).name == "lock" and Path(path).parent == run.path:
            monkeypatch.undo()
            create(run.path, replace=True)
        return descriptor

    monkeypatch.setattr(os, "open", open_then_replace)
    with (
        pytest.raises(RunDirectoryError, match=r"replaced by another process at this moment\. Try again\."),
        run.lock(),
    ):
        pass


def test_the_lock_clears_what_an_interrupted_write_left(tmp_path):
    run = create(tmp_path / "run")
    (run.path / ".nmt-0123456789abcdef.tmp").mkdir()
    (run.checkpoints / ".nmt-0123456789abcdef.tmp").write_bytes(b"half")
    (run.path / ".nmt-old.best").mkdir()
    with run.lock():
        assert list(run.checkpoints.iterdir()) == []
        assert run.best.is_dir()
        assert not (run.path / ".nmt-0123456789abcdef.tmp").exists()


def test_an_unreadable_holder_is_another_process(tmp_path):
    run = create(tmp_path / "run")
    process = hold(run.path)
    try:
        (run.path / "lock").write_bytes(b'{"process": "x')
        with pytest.raises(RunDirectoryError, match="in use by another process"), run.lock():
            pass
    finally:
        process.communicate()


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    run = create(tmp_path / "run")

    def refuse(descriptor, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("nmt.run_dir.fcntl.flock", refuse)
    with pytest.raises(FileError, match="lock: can't lock: No locks available"), run.lock():
        pass


def test_library_versions_agree_with_the_libraries():
    import numpy as np
    import safetensors

    versions = library_versions()
    assert versions["numpy"] == np.__version__
    assert versions["safetensors"] == safetensors.__version__
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"nmt", "keras", "tensorflow", "sentencepiece", "sacrebleu", "platform"} <= versions.keys()
    assert 1 <= int(versions["cores"]) <= os.cpu_count()


def test_importing_it_imports_nothing_heavy():
    program = (
        "import sys, nmt.run_dir, nmt.model_file, nmt.model_card; nmt.run_dir.library_versions();"
        "print([name for name in ('keras', 'tensorflow', 'torch', 'jax', 'datasets', 'safetensors', 'sentencepiece')"
        " if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == "[]\n"
