"""Runs that take seconds: a corpus of generated pairs, the smallest model, and what a finished run is compared by."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from nmt import config
from nmt.run_dir import RunDirectory
from nmt.training.state import TrainingState
from nmt.training.trainer import train

WORDS = {
    "one": "un", "two": "deux", "red": "rouge", "blue": "bleu", "cats": "chats", "dogs": "chiens", "sleep": "dorment",
    "run": "courent",
}  # fmt: skip
TIMES = ("seconds", "epoch_seconds", "tokens_per_second", "peak_memory_gb")


def write_corpora(folder: Path) -> None:
    """Writes `train`, `dev` and `test`, each `.en` and `.fr`: words in a row, translated one by one."""
    generator = random.Random(1)
    for split, num_pairs in (("train", 48), ("dev", 4), ("test", 5)):
        rows = [generator.sample(sorted(WORDS), generator.randint(1, 4)) for _ in range(num_pairs)]
        (folder / f"{split}.en").write_text("".join(" ".join(row) + "\n" for row in rows))
        (folder / f"{split}.fr").write_text("".join(" ".join(WORDS[word] for word in row) + "\n" for row in rows))


def tiny_tree(corpora: Path) -> dict:
    """Returns a configuration as plain values: 4 epochs of 4 updates."""

    def split(name: str) -> dict:
        return {"type": "files", "source": str(corpora / f"{name}.en"), "target": str(corpora / f"{name}.fr")}

    return {
        "source_language": "en",
        "target_language": "fr",
        "data": {"train": split("train"), "dev": split("dev")},
        "tokenizer": {"vocabulary_size": 300, "byte_fallback": True},
        "batching": {"size": 12},
        "model": {
            "embedding_size": 8, "encoder_size": 6, "decoder_size": 8, "attention_size": 5, "dropout_rate": 0.2,
        },
        "training": {
            "max_epochs": 4,
            "learning_rate": 0.02,
            "schedule": {"warmup_updates": 3},
            "num_sample_sentences": 1,
            "early_stopping_patience": None,
        },
        "decoding": {"beam_size": 2},
    }  # fmt: skip


def with_changes(tree: dict, changes: dict[str, object]) -> dict:
    """Returns a copy with values set by dotted key."""
    tree = deepcopy(tree)
    for key, value in changes.items():
        node = tree
        *path, name = key.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[name] = value
    return tree


def run(tree: dict, folder: Path, *, resume: bool = False, allow_changed: Sequence[str] = ()) -> RunDirectory:
    """Trains, or goes on, in `folder`."""
    settings = config.validate(tree, "tiny")
    if resume:
        run_dir = RunDirectory.open(folder)
    else:
        run_dir = RunDirectory.create(folder, config_yaml=config.dump(settings), versions={})
    with run_dir.lock():
        train(settings, run_dir, resume=resume, allow_changed=allow_changed, console=Console(quiet=True))
    return run_dir


def interrupt_after(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Lets training be interrupted right after the checkpoint that ends an epoch."""
    save = TrainingState.save

    def save_and_interrupt(state: TrainingState) -> None:
        save(state)
        if (state.progress.epoch, state.progress.batch) == (epoch, 0):
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingState, "save", save_and_interrupt)


def records(run_dir: RunDirectory) -> list[dict]:
    """Returns the metrics without what is measured in seconds and bytes."""
    return [{key: value for key, value in one.items() if key not in TIMES} for one in run_dir.metrics.read()]


def weights(folder: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a model folder or a checkpoint."""
    from safetensors.numpy import load_file

    [path] = folder.glob("*.safetensors")
    return load_file(path)


def last_checkpoint(run_dir: RunDirectory) -> Path:
    return max(run_dir.checkpoints.glob("update-*"))


def progress(run_dir: RunDirectory) -> dict:
    """Returns what the newest checkpoint says of the run, without the time."""
    values = json.loads((last_checkpoint(run_dir) / "progress.json").read_text())
    return {key: value for key, value in values.items() if key not in TIMES}


def memory_budget(run_dir: RunDirectory) -> int | None:
    """Returns how many bytes an update of the run may take."""
    return json.loads((last_checkpoint(run_dir) / "progress.json").read_text())["memory_budget"]


def assert_same_run(one: RunDirectory, other: RunDirectory) -> None:
    """Holds two runs to be the same bit for bit: state, best model, metrics."""
    assert progress(one) == progress(other)
    assert records(one) == records(other)
    for folder, twin in ((last_checkpoint(one), last_checkpoint(other)), (one.best, other.best)):
        arrays, twins = weights(folder), weights(twin)
        assert arrays.keys() == twins.keys()
        for name, array in arrays.items():
            assert array.tobytes() == twins[name].tobytes(), f"{folder.name}: {name}"
