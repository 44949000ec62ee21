"""The model folder: save, verify, load, find.

    manifest.json               format version; size and sha256 of each other file
    config.json                 languages, vocabulary sizes, the architecture, the defaults of decoding
    model.safetensors           the weights, float32
    joint.spm                   the SentencePiece model; or source.spm and target.spm
    README.md                   the model card

Loading trusts nothing: every file is named in the manifest and has its size and sha256, the configuration keeps within
its schema and bounds, and the weights are those that it implies, before a tensor is read. No code is run, no other file
opened. A later version reads what this one wrote: a field that it adds to the schema has the default that stands for
the old behaviour, and anything else raises `FORMAT_VERSION`. This module knows neither Keras nor SentencePiece.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import pydantic
from pydantic import Field

from nmt import files
from nmt.config_decoding import DecodingConfig
from nmt.config_model import ModelConfig
from nmt.errors import FileError, InputError, ModelFileError
from nmt.manifest import MANIFEST, Closed, Kind, Manifest, to_json, write_file, write_manifest
from nmt.run_dir import RunDirectory, is_run_directory, library_versions
from nmt.system_errors import explained
from nmt.weights_file import Shape, is_finite, read_weights, tensor_parts

FORMAT_VERSION = 1

_CONFIG: Final = "config.json"
_WEIGHTS: Final = "model.safetensors"
_CARD: Final = "README.md"
_JOINT, _SOURCE, _TARGET = "joint.spm", "source.spm", "target.spm"
_MAX_TEXT_BYTES = 1_000_000
_MAX_TOKENIZER_BYTES = 100_000_000
_KIND = Kind(
    name="model",
    version=FORMAT_VERSION,
    error=ModelFileError,
    remedy="Copy or download the model again.",
    origin="Give a folder that `nmt train` made.",
)

WeightShapes = Callable[[ModelConfig, int, int], Mapping[str, Shape]]
"""From an architecture and the sizes of the source and target vocabulary to the shape of each weight by name."""

_LanguageCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,45}$")]
_VocabularySize = Annotated[int, Field(ge=4, le=1_000_000)]


_FileName = Literal["config.json", "model.safetensors", "README.md", "joint.spm", "source.spm", "target.spm"]


class _Description(Closed):
    """What `config.json` holds."""

    format_version: int = Field(ge=1, le=FORMAT_VERSION)
    nmt_version: str = Field(max_length=100)
    source_language: _LanguageCode
    target_language: _LanguageCode
    source_vocabulary_size: _VocabularySize
    target_vocabulary_size: _VocabularySize
    source_tokenizer: Literal["joint.spm", "source.spm"]
    target_tokenizer: Literal["joint.spm", "target.spm"]
    model: ModelConfig
    decoding: DecodingConfig

    @pydantic.model_validator(mode="after")
    def _check_vocabularies(self) -> _Description:
        joint = self.source_tokenizer == _JOINT
        if joint != (self.target_tokenizer == _JOINT):
            raise ValueError("one joint tokenizer serves both languages, or each has its own")
        if joint and self.source_vocabulary_size != self.target_vocabulary_size:
            raise ValueError("with a joint tokenizer both vocabularies have the same size")
        if self.model.tied_embeddings == "all" and not joint:
            raise ValueError("tied_embeddings `all` needs a joint tokenizer")
        if problem := self.model.decoder_problem():
            raise ValueError(problem)
        return self


@dataclasses.dataclass(frozen=True, eq=False)
class ModelContents:
    """What a model folder holds.

    Attributes:
        model: Sizes and variants of the encoder-decoder.
        source_vocabulary_size: Number of source pieces.
        target_vocabulary_size: Number of target pieces.
        source_language: Code of the source language.
        target_language: Code of the target language.
        decoding: Defaults of the search.
        weights: Float32 arrays by name.
        source_tokenizer: SentencePiece model of the source, or of both languages.
        target_tokenizer: SentencePiece model of the target; None where the source's serves both.
        card: The model card, Markdown.
        nmt_version: The version of nmt that saved it.
    """

    model: ModelConfig
    source_vocabulary_size: int
    target_vocabulary_size: int
    source_language: str
    target_language: str
    decoding: DecodingConfig
    weights: dict[str, np.ndarray]
    source_tokenizer: bytes
    target_tokenizer: bytes | None
    card: str
    nmt_version: str


def save_model(
    folder: str | Path,
    *,
    model: ModelConfig,
    source_vocabulary_size: int,
    target_vocabulary_size: int,
    source_language: str,
    target_language: str,
    decoding: DecodingConfig,
    weights: Mapping[str, np.ndarray],
    source_tokenizer: bytes,
    target_tokenizer: bytes | None,
    card: str,
) -> None:
    """Writes a model folder, whole or not at all; an old model there is replaced once the new one has been read back.

    Args:
        folder: The folder; its parent must exist. It must be absent, empty or a model.
        model: Sizes and variants of the encoder-decoder.
        source_vocabulary_size: Number of source pieces.
        target_vocabulary_size: Number of target pieces.
        source_language: Code of the source language.
        target_language: Code of the target language.
        decoding: Defaults of the search.
        weights: Finite float32 arrays by name.
        source_tokenizer: SentencePiece model of the source, or of both languages.
        target_tokenizer: SentencePiece model of the target; None where the source's serves both.
        card: The model card, Markdown; see `nmt.model_card`.

    Raises:
        ModelFileError: Something else is there, or the values make no model; what was there is untouched.
        FileError: The folder can't be written; what was there is untouched.
    """
    folder = Path(folder)
    _check_replaceable(folder)
    _check_weights(weights, folder)
    joint = target_tokenizer is None
    fields = {
        "format_version": FORMAT_VERSION,
        "nmt_version": library_versions()["nmt"],
        "source_language": source_language,
        "target_language": target_language,
        "source_vocabulary_size": source_vocabulary_size,
        "target_vocabulary_size": target_vocabulary_size,
        "source_tokenizer": _JOINT if joint else _SOURCE,
        "target_tokenizer": _JOINT if joint else _TARGET,
        "model": model.model_dump(mode="json"),
        "decoding": decoding.model_dump(mode="json"),
    }
    description = _KIND.validate(_Description, fields, folder / _CONFIG, "Save a model that keeps this rule.")
    contents = {_CONFIG: to_json(fields), _CARD: card.encode("utf-8"), description.source_tokenizer: source_tokenizer}
    if target_tokenizer is not None:
        contents[description.target_tokenizer] = target_tokenizer
    with files.new_folder(folder) as temporary:
        entries = {name: write_file(temporary / name, [content]) for name, content in contents.items()}
        entries[_WEIGHTS] = write_file(temporary / _WEIGHTS, tensor_parts(weights))
        write_manifest(temporary, FORMAT_VERSION, entries)
        _read_verified(temporary)


def load_model(folder: str | Path, *, weight_shapes: WeightShapes) -> ModelContents:
    """Reads and checks a model folder.

    Args:
        folder: The model folder; `find_model` finds it in a run directory.
        weight_shapes: Gives the weights that the configuration implies; the file must hold these and no others.

    Returns:
        The checked contents.

    Raises:
        ModelFileError: The folder is no model, of a newer format, or damaged in any way; the message names the file.
        FileError: It can't be read.
    """
    folder = Path(folder)
    while True:
        before = _identity(folder)
        try:
            return _load(folder, weight_shapes)
        except (ModelFileError, FileError):
            if _identity(folder) == before:
                raise
            # A training run has just put a better model here: half of what was read may be the old one's.


def find_model(path: str | Path) -> Path:
    """Returns the model folder that a path stands for: itself, or the best model of a run directory.

    Raises:
        ModelFileError: There is none; the message says why.
        FileError: The path can't be read.
    """
    path = Path(path)
    with explained(path, "read"):
        if not os.path.lexists(path):
            raise ModelFileError(f"{path}: no such folder. Give a model folder or a run directory.")
        if not path.is_dir():
            inside = f" Did you mean {path.parent}?" if (path.parent / MANIFEST).is_file() else ""
            raise ModelFileError(f"{path}: a model is a folder. Received: a file.{inside}")
        if (path / MANIFEST).is_file():
            return path
        best = RunDirectory(path).best
        if (best / MANIFEST).is_file() and is_run_directory(path):
            return best
    if is_run_directory(path):
        raise ModelFileError(
            f"{path}: this run has no model yet: its first validation saves one. "
            f"Let it train on, or go on with it: nmt train CONFIG --run-dir {path} --resume"
        )
    raise ModelFileError(
        f"{path}: neither a model, which has {MANIFEST}, nor a run directory. Give a folder that `nmt train` made."
    )


def check_alike(folder: Path, contents: ModelContents, other_folder: Path, other: ModelContents) -> None:
    """Refuses two models that can't work together: a number must stand for the same piece in both.

    Raises:
        InputError: They translate between other languages, or a tokenizer is another one, by its bytes.
    """
    for language in ("source_language", "target_language"):
        ours, theirs = getattr(contents, language), getattr(other, language)
        if ours != theirs:
            raise InputError(
                f"{folder} and {other_folder}: models that work together must have the same {language}. "
                f"Received: {ours} and {theirs}. Leave one of them out."
            )
    for role in ("source_tokenizer", "target_tokenizer"):
        if getattr(contents, role) != getattr(other, role):
            ours, theirs = (
                at / (_JOINT if one.target_tokenizer is None else f"{role.partition('_')[0]}.spm")
                for at, one in ((folder, contents), (other_folder, other))
            )
            raise InputError(
                f"{ours} and {theirs}: models that work together must have the same tokenizer, byte for byte. "
                "Received: two that differ. Give models that were trained on the same corpora with the same "
                "`tokenizer` section, whatever their seeds."
            )


def _load(folder: Path, weight_shapes: WeightShapes) -> ModelContents:
    texts = _read_verified(folder)
    path = folder / _CONFIG
    fields = _KIND.parse(texts[_CONFIG], path)
    _KIND.check_version(fields, path)
    description = _KIND.validate(_Description, fields, path)
    expected = {_CONFIG, _WEIGHTS, _CARD, description.source_tokenizer, description.target_tokenizer}
    _KIND.check_names(expected, {*texts, _WEIGHTS}, path)
    sizes = description.source_vocabulary_size, description.target_vocabulary_size
    joint = description.target_tokenizer == _JOINT
    try:
        card = texts[_CARD].decode("utf-8")
    except UnicodeDecodeError as error:
        raise _KIND.damaged(folder / _CARD, f"must be UTF-8 text: invalid byte at {error.start}") from None
    return ModelContents(
        model=description.model,
        source_vocabulary_size=description.source_vocabulary_size,
        target_vocabulary_size=description.target_vocabulary_size,
        source_language=description.source_language,
        target_language=description.target_language,
        decoding=description.decoding,
        weights=read_weights(folder / _WEIGHTS, weight_shapes(description.model, *sizes)),
        source_tokenizer=texts[description.source_tokenizer],
        target_tokenizer=None if joint else texts[description.target_tokenizer],
        card=card,
        nmt_version=description.nmt_version,
    )


def _read_verified(folder: Path) -> dict[str, bytes]:
    """Checks every file against the manifest; returns the content of all but the weights."""
    entries = _KIND.read_manifest(folder, Manifest[_FileName], {_CONFIG, _WEIGHTS, _CARD}).files
    _KIND.verify(folder / _WEIGHTS, entries[_WEIGHTS])
    return {
        name: _KIND.verify(
            folder / name, entry, max_bytes=_MAX_TEXT_BYTES if name in (_CONFIG, _CARD) else _MAX_TOKENIZER_BYTES
        )
        for name, entry in entries.items()
        if name != _WEIGHTS
    }


def _check_replaceable(folder: Path) -> None:
    with explained(folder, "write"):
        is_folder = folder.is_dir()
    if is_folder and (names := files.list_folder(folder)) and MANIFEST not in names:
        raise ModelFileError(f"{folder}: exists and is no model, so it is left alone. Choose another folder.")


def _check_weights(weights: Mapping[str, np.ndarray], folder: Path) -> None:
    for name, array in weights.items():
        if array.dtype != np.float32:
            raise ModelFileError(f"{folder}: weight `{name}` must be float32. Received: {array.dtype}.")
        if not is_finite(array):
            raise ModelFileError(
                f"{folder}: weight `{name}` must be finite. Received: NaN or infinite values. Nothing was saved."
            )


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
