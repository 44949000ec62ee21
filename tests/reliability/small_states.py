"""The smallest checkpoints and models that have all that real ones have, each told apart by one number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nmt.checkpoints import load_newest, save_checkpoint
from nmt.config_decoding import DecodingConfig
from nmt.config_model import ModelConfig
from nmt.errors import ModelFileError
from nmt.model_file import load_model, save_model

SHAPES = {"embedding/table": (5, 3), "scale": ()}


def arrays_of(number: int) -> dict[str, np.ndarray]:
    """One array of each kind that Keras has among its variables."""
    rng = np.random.default_rng(number)
    return {
        "weights/kernel": rng.normal(size=(3, 2)).astype(np.float32),
        "optimizer/iteration": np.array(number, np.int64),
        "optimizer/slot": rng.normal(size=4),
        "seed_generator/state": rng.integers(2**32, size=2, dtype=np.uint32),
        "masked": np.array([True, False, True]),
        "empty": np.zeros((0, 3), np.int32),
    }


def progress_of(number: int) -> dict[str, Any]:
    return {"epoch": number, "best": -0.1 * number, "history": [[1, 0.5], None], "name": "ü"}


def save_state(folder: Path, update: int, *, number: int | None = None, keep: int = 2) -> None:
    number = update if number is None else number
    save_checkpoint(folder, update=update, arrays=arrays_of(number), progress=progress_of(number), keep=keep)


def newest_state(folder: Path) -> tuple[int, int] | None:
    """Update and number of the newest checkpoint, all of which must be of that number; None if there is none."""
    found = load_newest(folder)
    if found is None:
        return None
    number = found.progress["epoch"]
    expected = arrays_of(number)
    assert found.progress == progress_of(number)
    assert found.arrays.keys() == expected.keys()
    for name, array in expected.items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].shape == array.shape
        assert found.arrays[name].tobytes() == array.tobytes()
    return found.update, number


def weights_of(number: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(number)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def save_small_model(folder: Path, number: int) -> None:
    save_model(
        folder,
        model=ModelConfig(embedding_size=3),
        source_vocabulary_size=5,
        target_vocabulary_size=5,
        source_language="en",
        target_language="fr",
        decoding=DecodingConfig(beam_size=number + 1),
        weights=weights_of(number),
        source_tokenizer=b"tokenizer %d" % number,
        target_tokenizer=None,
        card=f"# Card {number}\n",
    )


def model_at(folder: Path) -> int | None:
    """The number of the model at a path, all of which must be of that number; None if there is no folder."""
    if not folder.exists():
        return None
    found = load_model(folder, weight_shapes=lambda *_: SHAPES)
    number = found.decoding.beam_size - 1
    if (found.card, found.source_tokenizer) != (f"# Card {number}\n", b"tokenizer %d" % number):
        raise ModelFileError(f"{folder}: a mix of two models")
    for name, array in weights_of(number).items():
        assert found.weights[name].tobytes() == array.tobytes()
    return number
