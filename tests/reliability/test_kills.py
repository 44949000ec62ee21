"""Real training processes that are killed, stopped and started beside each other.

The run is killed at moments drawn at random from its beginning to its end, resumed each time, and compared with the run
that nothing happened to. `make soak` does it a hundred times.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from nmt.run_dir import RunDirectory
from tests.training import tiny_run

CHANGES = {
    "training.save_every_minutes": 0,  # after every update: most of the time is spent in saves
    "training.max_epochs": 12,
    "training.ema_decay": 0.9,
    "batching": {"size": 6, "batches_per_update": 2},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    tiny_run.write_corpora(folder)
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_run.with_changes(tiny_run.tiny_tree(folder), CHANGES)))
    return path


def command(config, folder, *options):
    return [sys.executable, "-m", "nmt", "train", str(config), "--run-dir", str(folder), *options]


def start(config, folder, *options):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        command(config, folder, *options),
        env=environment,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def saving(folder: Path) -> Callable[[], bool]:
    """Returns what tells whether a checkpoint of the run has come or gone since."""

    def names() -> set[Path]:
        return set((folder / "checkpoints").glob("*"))

    before = names()
    return lambda: names() != before


def wait_until(is_true: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """Waits for a process to do something; False if it ends before."""
    while not is_true():
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return True


def finish(config, folder, *options):
    process = start(config, folder, *options)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def straight(config, tmp_path_factory):
    """The run that nothing happened to, and how many seconds its updates and saves took."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    finish(config, folder)
    run_dir = RunDirectory.open(folder)
    return run_dir, run_dir.metrics.read()[-1]["seconds"]


def test_killed_at_random_and_resumed(config, straight, tmp_path, soak, seed):
    """Never an error, never an update lost that was saved, and in the end the same run."""
    expected, seconds = straight
    generator = random.Random(seed)
    folder = tmp_path / "run"
    num_kills = num_finished = 0
    while num_kills < 5 * soak:
        process = start(config, folder, *(["--resume"] if folder.exists() else []))
        # Reading and compiling take far longer than training here: it is the saves that are to be hit.
        is_under_way = wait_until(saving(folder), process)
        if is_under_way:
            time.sleep(generator.uniform(0, seconds / 3))
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
        if process.returncode == 0:  # it was done before
            tiny_run.assert_same_run(RunDirectory.open(folder), expected)
            num_finished += 1
            folder = tmp_path / f"run-{num_finished}"
            continue
        assert process.returncode == -signal.SIGKILL, output
        num_kills += 1
    finish(config, folder, *(["--resume"] if folder.exists() else []))
    tiny_run.assert_same_run(RunDirectory.open(folder), expected)
    print(f"{num_kills} kills, {num_finished + 1} runs finished")


def test_sigterm_second_writer_and_a_finished_run(config, straight, tmp_path):
    folder = tmp_path / "run"
    process = start(config, folder)
    assert wait_until(lambda: (folder / "metrics.jsonl").exists(), process)

    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.yaml")}
    began = time.monotonic()
    second = subprocess.run(
        command(config, folder, "--resume"), capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    print(f"the second process left after {time.monotonic() - began:.2f} s")
    assert second.returncode == 2
    assert f"in use by process {process.pid} on" in second.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.yaml")} == before

    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert "SIGTERM: saving, then leaving" in output
    assert "--resume" in output
    updates = json.loads((tiny_run.last_checkpoint(RunDirectory.open(folder)) / "progress.json").read_text())["updates"]
    assert f"update {updates}" in finish(config, folder, "--resume")
    tiny_run.assert_same_run(RunDirectory.open(folder), straight[0])

    again = finish(config, folder, "--resume")
    assert "training was finished already" in again
    tiny_run.assert_same_run(RunDirectory.open(folder), straight[0])
