"""From a folder to something that translates, and back.

The one place where the model folder, which knows no Keras, meets the model, which knows no files.
"""

from __future__ import annotations

from pathlib import Path

from keras import ops

from nmt.config import DecodingConfig, ModelConfig
from nmt.decoding.translator import Translator
from nmt.errors import ModelFileError, TokenizerError
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
    folder = find_model(path)
    contents = load_model(folder, weight_shapes=_weight_shapes)
    if contents.target_tokenizer is None:
        source = target = _tokenizer(contents.source_tokenizer, folder / "joint.spm", contents.source_vocabulary_size)
    else:
        source = _tokenizer(contents.source_tokenizer, folder / "source.spm", contents.source_vocabulary_size)
        target = _tokenizer(contents.target_tokenizer, folder / "target.spm", contents.target_vocabulary_size)
    model = build_model(contents.model, contents.source_vocabulary_size, contents.target_vocabulary_size)
    for name, weight in model.named_weights().items():
        weight.assign(contents.weights[name])
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
        ValueError: `model` is not what the translator's model was built from.
        ModelFileError: Something other than a model is there, or a weight is not finite.
        FileError: The folder can't be written.
    """
    sizes = translator.source_tokenizer.vocabulary_size, translator.target_tokenizer.vocabulary_size
    weights = {name: ops.convert_to_numpy(weight) for name, weight in translator.model.named_weights().items()}
    if {name: weight.shape for name, weight in weights.items()} != _weight_shapes(model, *sizes):
        raise ValueError(f"`model` must be what the translator's model was built from. Received: {model!r}")
    joint = translator.source_tokenizer is translator.target_tokenizer
    save_model(
        folder,
        model=model,
        source_vocabulary_size=sizes[0],
        target_vocabulary_size=sizes[1],
        source_language=translator.source_language,
        target_language=translator.target_language,
        decoding=decoding or translator.options,
        weights=weights,
        source_tokenizer=translator.source_tokenizer.model_bytes,
        target_tokenizer=None if joint else translator.target_tokenizer.model_bytes,
        card=card,
    )


def _tokenizer(model_bytes: bytes, path: Path, vocabulary_size: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer(model_bytes, str(path))
    except TokenizerError as error:
        raise ModelFileError(str(error)) from error
    if tokenizer.vocabulary_size != vocabulary_size:
        raise ModelFileError(
            f"{path}: must have {vocabulary_size:,} pieces, as config.json says. "
            f"Received: {tokenizer.vocabulary_size:,}. Copy or download the model again."
        )
    return tokenizer


def _weight_shapes(
    config: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int
) -> dict[str, tuple[int, ...]]:
    sizes = config.model_dump(exclude={"dropout_rate", "variational_dropout", "recurrent_dropout_rate"})
    return weight_shapes(
        source_vocabulary_size=source_vocabulary_size, target_vocabulary_size=target_vocabulary_size, **sizes
    )
