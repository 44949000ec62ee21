"""From a folder to something that translates, and back.

The one place where the model folder, which knows no arithmetic, meets the model, which knows no files. Keras is
imported only where a model is to compute with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from nmt.config_decoding import DecodingConfig
from nmt.config_model import ModelConfig
from nmt.decoding.ensemble import Ensemble, numpy_candidates
from nmt.decoding.numpy_model import NumpyModel
from nmt.decoding.translator import Model, Translator
from nmt.errors import InputError, ModelFileError, TokenizerError
from nmt.model_file import ModelContents, check_alike, find_model, load_model, save_model
from nmt.text.tokenizer import Tokenizer
from nmt.weight_shapes import weight_shapes

if TYPE_CHECKING:  # Keras takes seconds to import
    from nmt.model import Seq2Seq

Device = Literal["cpu", "gpu"]


def build_model(
    config: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int, dtype: str = "float32"
) -> Seq2Seq:
    """Returns a new Keras model with the sizes and variants of a configuration."""
    from nmt.model import Seq2Seq

    return Seq2Seq(
        source_vocabulary_size=source_vocabulary_size,
        target_vocabulary_size=target_vocabulary_size,
        **config.model_dump(),
        dtype=dtype,
    )


def numpy_model(config: ModelConfig, weights: Mapping[str, NDArray[np.float32]]) -> NumpyModel:
    """Returns a model that decodes with these weights, on the CPU and without Keras."""
    return NumpyModel(
        weights,
        encoder_layers=config.encoder_layers,
        decoder=config.decoder,
        reset_after=config.reset_after,
        layer_norm=config.layer_norm,
        decoder_transitions=config.decoder_transitions,
    )


def load(path: str | Path, *others: str | Path, device: Device = "cpu") -> Translator:
    """Loads a translator, of one model or of several that decode together.

    Args:
        path: A model folder, or a run directory, whose best model is taken.
        *others: More of them, for an ensemble: each step goes by the mean of the models' probabilities. All must have
            the languages and the tokenizers of the first, whose defaults of decoding are taken.
        device: Where it computes: "cpu", with NumPy, or "gpu", with Keras and its backend.

    Returns:
        A translator that needs nothing else: no configuration, no training files.

    Raises:
        ModelFileError: There is no model, or it is damaged, from elsewhere or of a newer format.
        InputError: The device is neither, or the backend of Keras sees no GPU, or the models don't belong together.

    Example:
        >>> load("runs/quickstart").translate(["Good morning!"])  # doctest: +SKIP
        >>> load("runs/one", "runs/two").translate(["Good morning!"])  # doctest: +SKIP
    """
    if device not in ("cpu", "gpu"):
        raise InputError(f"a device is 'cpu' or 'gpu'. Received: device={device!r}.")
    folders = [find_model(each) for each in (path, *others)]
    members = [load_model(folder, weight_shapes=model_shapes) for folder in folders]
    folder, first = folders[0], members[0]
    for other_folder, other in zip(folders[1:], members[1:], strict=True):
        check_alike(folder, first, other_folder, other)
    if first.target_tokenizer is None:
        source = target = _tokenizer(first.source_tokenizer, folder / "joint.spm", first.source_vocabulary_size)
    else:
        source = _tokenizer(first.source_tokenizer, folder / "source.spm", first.source_vocabulary_size)
        target = _tokenizer(first.target_tokenizer, folder / "target.spm", first.target_vocabulary_size)
    model = _numpy_models(members) if device == "cpu" else _gpu_models(members)
    return Translator(model, source, target, first.source_language, first.target_language, first.decoding)


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
    weights = translator.model.weights
    if {name: weight.shape for name, weight in weights.items()} != model_shapes(model, *sizes):
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


def _numpy_models(members: Sequence[ModelContents]) -> Model:
    models = [numpy_model(each.model, each.weights) for each in members]
    if len(models) == 1:
        return models[0]
    return Ensemble(models, numpy_candidates(models), workers=models[0].workers)


def _gpu_models(members: Sequence[ModelContents]) -> Model:
    from nmt.backend import has_gpu, library_name
    from nmt.decoding.keras_model import KerasModel, keras_candidates

    if not has_gpu():
        raise InputError(
            f"a GPU must be there for device='gpu'. Received: the {library_name()} backend of Keras sees none. "
            "Leave the device out, or choose a backend that was installed with GPU support (KERAS_BACKEND)."
        )
    models = []
    for each in members:
        model = build_model(each.model, each.source_vocabulary_size, each.target_vocabulary_size)
        for name, weight in model.named_weights().items():
            weight.assign(each.weights[name])
        models.append(KerasModel(model))
    return models[0] if len(models) == 1 else Ensemble(models, keras_candidates(models), workers=models[0].workers)


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


def model_shapes(
    config: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int
) -> dict[str, tuple[int, ...]]:
    """Returns the names and shapes of the weights of a configuration's model; nothing is built."""
    sizes = config.architecture()
    return weight_shapes(
        source_vocabulary_size=source_vocabulary_size, target_vocabulary_size=target_vocabulary_size, **sizes
    )
