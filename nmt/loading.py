"""From a folder to something that translates, and back.

The one place where the model folder, which knows no Keras, meets the model, which knows no files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nmt.config import DecodingConfig, ModelConfig
from nmt.decoding.translator import Translator
from nmt.model import Seq2Seq, weight_shapes
from nmt.model_file import find_model, load_model, save_model
from nmt.text.tokenizer import Tokenizer


def build_model(
    config: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int, dtype: str = "float32"
) -> Seq2Seq:
    """Returns a new model with the sizes and variants of a configuration."""
    return Seq2Seq(
        source_vocabulary_size=source_vocabulary_size,
        target_vocabulary_size=target_vocabulary_size,
        **config.model_dump(),
        dtype=dtype,
    )


def load(path: str | Path) -> Translator:
    """Loads a translator.

    Args:
        path: A model folder, or a run directory, whose best model is taken.

    Returns:
        A translator that needs nothing else: no configuration, no training files.

    Raises:
        ModelFileError: There is no model, or it is damaged, from elsewhere or of a newer format.

    Example:
        >>> load("runs/quickstart").translate(["Good morning!"])  # doctest: +SKIP
    """
    contents = load_model(find_model(path), weight_shapes=_weight_shapes)
    model = build_model(contents.model, contents.source_vocabulary_size, contents.target_vocabulary_size)
    for name, weight in model.named_weights().items():
        weight.assign(contents.weights[name])
    source = Tokenizer.from_bytes(contents.source_tokenizer)
    target = source if contents.target_tokenizer is None else Tokenizer.from_bytes(contents.target_tokenizer)
    return Translator(model, source, target, contents.source_language, contents.target_language, contents.decoding)


def save(
    translator: Translator, folder: str | Path, *, model: ModelConfig, card: str, decoding: DecodingConfig | None = None
) -> None:
    """Saves a translator as a model folder, whole or not at all.

    Args:
        translator: What to save.
        folder: Where; a model that is there is replaced.
        model: Sizes and variants of its model.
        card: The model card, Markdown.
        decoding: Defaults of the search; the translator's own by default.

    Raises:
        ModelFileError: Something other than a model is there, or a weight is not finite.
        FileError: The folder can't be written.
    """
    joint = translator.source_tokenizer is translator.target_tokenizer
    save_model(
        folder,
        model=model,
        source_vocabulary_size=translator.source_tokenizer.vocabulary_size,
        target_vocabulary_size=translator.target_tokenizer.vocabulary_size,
        source_language=translator.source_language,
        target_language=translator.target_language,
        decoding=decoding or translator.options,
        weights={name: np.asarray(weight) for name, weight in translator.model.named_weights().items()},
        source_tokenizer=translator.source_tokenizer.model_bytes,
        target_tokenizer=None if joint else translator.target_tokenizer.model_bytes,
        card=card,
    )


def _weight_shapes(
    config: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int
) -> dict[str, tuple[int, ...]]:
    sizes = config.model_dump(exclude={"dropout_rate", "variational_dropout", "recurrent_dropout_rate"})
    return weight_shapes(
        source_vocabulary_size=source_vocabulary_size, target_vocabulary_size=target_vocabulary_size, **sizes
    )
