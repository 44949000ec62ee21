"""The models that a run keeps on disk: the best one, and those whose weights are averaged at its end.

    best/                        what `nmt translate RUN` takes
    best-models/epoch-00012/     with `training.average_best`: the best so far, each a model like `best`

Each is written whole or not at all. This module knows folders and model cards, nothing of which models are good.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmt import files
from nmt.averaging import Mean
from nmt.config import Config
from nmt.decoding.translator import Translator
from nmt.errors import FileError, InputError, ModelFileError
from nmt.loading import save
from nmt.model_card import CardScore, model_card
from nmt.run_dir import RunDirectory
from nmt.training.validation import Validation

logger = logging.getLogger(__name__)

_NAME = re.compile(r"epoch-(\d{5,})")


class BestModels:
    """Writes models of a run, and reads them again.

    Args:
        run_dir: Folder of the run.
        config: What it is trained on and how.
        num_pairs: Training pairs, for the model card.
        num_parameters: Weights of the model, likewise.
        example: A sentence for the card.
    """

    def __init__(
        self, run_dir: RunDirectory, config: Config, *, num_pairs: int, num_parameters: int, example: str
    ) -> None:
        self._run_dir = run_dir
        self._config = config
        self._num_pairs = num_pairs
        self._num_parameters = num_parameters
        self._example = example

    def save_best(self, translator: Translator, validation: Validation, epochs: Sequence[int]) -> None:
        """Writes the best model: that of an epoch, or the mean of those of several."""
        self._save(self._run_dir.best, translator, validation, epochs)

    def keep(self, translator: Translator, validation: Validation, epoch: int) -> None:
        """Writes the model of an epoch among the best."""
        files.make_folder(self._run_dir.best_models)
        self._save(self._folder(epoch), translator, validation, [epoch])

    def remove_others(self, epochs: Collection[int]) -> None:
        """Removes the kept models of other epochs. That one can't be removed is logged, no more."""
        if not self._run_dir.best_models.is_dir():
            return
        try:
            for name in files.list_folder(self._run_dir.best_models):
                match = _NAME.fullmatch(name)
                if match and int(match[1]) not in epochs:
                    files.remove_folder(self._run_dir.best_models / name)
        except FileError as error:
            logger.warning("%s What is not among the best any more is removed after the next save.", error)

    def mean_weights(self, epochs: Sequence[int]) -> tuple[dict[str, NDArray[np.float32]], list[int]]:
        """Returns the mean of the weights of kept models, and the epochs whose models could be averaged.

        A model that is not there, not whole, or not like the first (of a run that went on with another tokenizer, say)
        is left out, with a warning.
        """
        found: list[int] = []
        mean = Mean()
        for epoch in epochs:
            try:
                mean.add(self._folder(epoch))
            except (ModelFileError, FileError, InputError) as error:
                logger.warning("%s It is left out of the average.", error)
            else:
                found.append(epoch)
        return (mean.model().weights if found else {}), found

    def _folder(self, epoch: int) -> Path:
        return self._run_dir.best_models / f"epoch-{epoch:05d}"

    def _save(self, folder: Path, translator: Translator, validation: Validation, epochs: Sequence[int]) -> None:
        source, target = self._config.source_language, self._config.target_language
        trained = ("epochs", str(epochs[0]))
        if len(epochs) > 1:
            trained = ("weights", f"the mean of those after epochs {', '.join(map(str, sorted(epochs)))}")
        card = model_card(
            name=self._run_dir.path.name,
            source_language=source,
            target_language=target,
            training_data=[f"{self._num_pairs:,} {source}-{target} pairs"],
            sizes=[
                ("parameters", f"{self._num_parameters:,}"),
                ("target vocabulary", f"{translator.target_tokenizer.vocabulary_size:,} pieces"),
                trained,
            ],
            scores=[CardScore("dev", one.name, one.score, one.signature) for one in validation.scores.values()],
            example=self._example,
        )
        save(translator, folder, model=self._config.model, card=card)
