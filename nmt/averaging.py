"""The mean of the weights of several models: of checkpoints of one run, mostly, which lie in one valley of the loss.

    w = 1/M sum_m w_m

Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762, section 6.1) average their last checkpoints. Weights of models
that began from other random numbers have nothing to do with one another, and their mean is no model; those are for an
ensemble. This module knows folders of models, nothing of training and no Keras.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmt import files
from nmt.config_model import ModelConfig
from nmt.errors import InputError
from nmt.loading import model_shapes
from nmt.model_card import model_card
from nmt.model_file import ModelContents, check_alike, find_model, load_model, save_model

Weights = Mapping[str, NDArray[np.float32]]

LEAST_COSINE = 0.1
"""Of the matrices. Multi30k: at most 0.03 between two seeds; 0.16 or more with other rates, lengths or text."""


def average(paths: Sequence[Path], output: Path) -> None:
    """Writes the mean of several models as a new model, with the first one's defaults of decoding.

    Args:
        paths: Model folders, or run directories, two or more.
        output: Folder of the new model; it must be absent or empty.

    Raises:
        InputError: There are fewer than two, or they can't be averaged (see `Mean.add`), or something is at `output`.
        ModelFileError: There is no model, or it is damaged.
        FileError: The folder can't be written.
    """
    if len(paths) < 2:
        raise InputError(f"an average takes 2 models or more. Received: {len(paths)}. Name the others too.")
    if os.path.lexists(output) and not (output.is_dir() and not files.list_folder(output)):
        raise InputError(f"{output}: exists, and what is there is not replaced. Choose another folder.")
    mean = Mean()
    for path in paths:
        mean.add(find_model(path))
    contents = mean.model()
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
    files.make_folder(output.parent)
    fields = {field.name: getattr(contents, field.name) for field in dataclasses.fields(contents)}
    del fields["nmt_version"]
    save_model(output, **fields | {"card": card})


class Mean:
    """The mean of models that are added one by one; at most two are in memory at a time.

    Example:
        >>> mean = Mean()  # doctest: +SKIP
        >>> mean.add(Path("runs/mine/best-models/epoch-00011"))  # doctest: +SKIP
        >>> mean.add(Path("runs/mine/best-models/epoch-00012"))  # doctest: +SKIP
        >>> weights = mean.model().weights  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._first: tuple[Path, ModelContents] | None = None
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._num_models = 0

    def add(self, folder: Path) -> None:
        """Adds a model; one that is refused changes nothing.

        Raises:
            InputError: It differs from the first one in languages, tokenizers or architecture, or its weights have
                nothing to do with those of the models before it.
            ModelFileError: There is no model, or it is damaged.
        """
        model = load_model(folder, weight_shapes=model_shapes)
        if self._first is None:
            self._first = folder, model
            self._sums = {name: np.zeros(weight.shape) for name, weight in model.weights.items()}
        else:
            first_folder, first = self._first
            check_alike(first_folder, first, folder, model)
            _check_same_architecture(first_folder, first.model, folder, model.model)
            self._check_related(first_folder, folder, model.weights)
        for name, weight in model.weights.items():
            self._sums[name] += weight
        self._num_models += 1

    def model(self) -> ModelContents:
        """Returns the first model with the mean of the weights of all.

        Raises:
            InputError: None was added.
        """
        if self._first is None:
            raise InputError("an average takes a model at least. Received: none. Add one.")
        weights = {name: (total / self._num_models).astype("float32") for name, total in self._sums.items()}
        return dataclasses.replace(self._first[1], weights=weights)

    def _check_related(self, first_folder: Path, folder: Path, weights: Weights) -> None:
        matrices = [name for name, weight in weights.items() if weight.ndim > 1]
        product = sum(np.vdot(self._sums[name], weights[name]) for name in matrices)
        lengths = (sum(np.vdot(of[name], of[name]) for name in matrices) for of in (self._sums, weights))
        length = math.sqrt(math.prod(lengths))
        if product < LEAST_COSINE * length:
            raise InputError(
                f"{first_folder} and {folder}: weights are averaged of models of one run. Received: weights that have "
                f"nothing in common, as after two different seeds (cosine {product / length:.2f}). Let these decode "
                f"together instead: nmt translate {first_folder} {folder}."
            )


def _check_same_architecture(folder: Path, config: ModelConfig, other_folder: Path, other: ModelConfig) -> None:
    ours, theirs = config.architecture(), other.architecture()
    differing = [f"{key} {ours[key]} and {theirs[key]}" for key in ours if ours[key] != theirs[key]]
    if differing:
        raise InputError(
            f"{folder} and {other_folder}: weights are averaged where they mean the same, in models of one "
            f"architecture. Received: {', '.join(differing)}. Let these two decode together instead: nmt translate "
            f"{folder} {other_folder}."
        )
