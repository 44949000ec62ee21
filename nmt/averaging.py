"""The mean of the weights of several models: of checkpoints of one run, mostly, which lie in one valley of the loss.

    w = 1/M sum_m w_m

Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762, section 6.1) average their last checkpoints. Weights of models
that began from other random numbers have nothing to do with one another, and their mean is no model; those are for an
ensemble. This module knows folders of models, nothing of training and no Keras.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmt import files
from nmt.config import ModelConfig
from nmt.errors import InputError
from nmt.loading import model_shapes
from nmt.model_card import model_card
from nmt.model_file import ModelContents, check_alike, find_model, load_model, save_model

Weights = Mapping[str, NDArray[np.float32]]


def average(paths: Sequence[Path], output: Path) -> None:
    """Writes the mean of several models as a new model, with the first one's defaults of decoding.

    Args:
        paths: Model folders, or run directories, two or more.
        output: Folder of the new model; it must be absent or empty.

    Raises:
        InputError: There are fewer than two, or they differ in languages, tokenizers or architecture, or something is
            at `output`.
        ModelFileError: There is no model, or it is damaged.
        FileError: The folder can't be written.
    """
    if len(paths) < 2:
        raise InputError(f"an average takes 2 models or more. Received: {len(paths)}. Name the others too.")
    if os.path.lexists(output) and not (output.is_dir() and not files.list_folder(output)):
        raise InputError(f"{output}: exists, and what is there is not replaced. Choose another folder.")
    contents = mean_model([find_model(path) for path in paths])
    names = [str(path) for path in paths]
    card = model_card(
        name=output.name,
        source_language=contents.source_language,
        target_language=contents.target_language,
        training_data=["Those of the models that were averaged; see their own cards."],
        sizes=[
            ("parameters", f"{sum(weight.size for weight in contents.weights.values()):,}"),
            ("target vocabulary", f"{contents.target_vocabulary_size:,} pieces"),
            ("weights", f"the mean of those of {', '.join(names)}"),
        ],
        scores=[],
    )
    fields = {field.name: getattr(contents, field.name) for field in dataclasses.fields(contents)}
    del fields["nmt_version"]
    save_model(output, **fields | {"card": card})


def mean_model(folders: Sequence[Path]) -> ModelContents:
    """Returns the first model with the mean of the weights of all; at most two are in memory at a time.

    Raises:
        InputError: They differ in languages, tokenizers or architecture.
        ModelFileError: There is no model, or it is damaged.
    """
    first = load_model(folders[0], weight_shapes=model_shapes)
    sums = {name: weight.astype("float64") for name, weight in first.weights.items()}
    for folder in folders[1:]:
        other = load_model(folder, weight_shapes=model_shapes)
        check_alike(folders[0], first, folder, other)
        _check_same_architecture(folders[0], first.model, folder, other.model)
        for name, weight in other.weights.items():
            sums[name] += weight
    weights = {name: (total / len(folders)).astype("float32") for name, total in sums.items()}
    return dataclasses.replace(first, weights=weights)


def _check_same_architecture(folder: Path, config: ModelConfig, other_folder: Path, other: ModelConfig) -> None:
    ours, theirs = config.architecture(), other.architecture()
    differing = [f"{key} {ours[key]} and {theirs[key]}" for key in ours if ours[key] != theirs[key]]
    if differing:
        raise InputError(
            f"{folder} and {other_folder}: weights are averaged where they mean the same, in models of one "
            f"architecture. Received: {', '.join(differing)}. Let these two decode together instead: nmt translate "
            f"{folder} {other_folder}."
        )
