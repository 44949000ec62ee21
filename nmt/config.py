"""The typed configuration: load, override, validate, save.

One YAML file describes a run. Every default stands here and nowhere else; library functions take plain values and never
see these classes. This module knows pydantic, nothing of Keras, text or files other than the one it reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from nmt import strict_yaml
from nmt.config_corpora import Corpora, Section
from nmt.config_decoding import DecodingConfig
from nmt.config_model import ModelConfig
from nmt.config_problems import describe, shown
from nmt.config_training import TrainingConfig
from nmt.errors import ConfigError

MAX_CONFIG_BYTES = 1_000_000
_LANGUAGE_CODE = re.compile(r"[A-Za-z]{1,8}([-_][A-Za-z0-9]{1,8}){0,4}")


class DataConfig(Section):
    """Parallel text and what is left out of it in training."""

    train: Corpora = Field(description="Corpora to train on, concatenated in this order.")
    dev: Corpora = Field(description="Corpora that choose the best model and stop the training.")
    test: Corpora | None = Field(None, description="Held-out corpora, translated once with the finished model.")
    max_length_pieces: int = Field(
        100, ge=1, le=10_000, description="Training pairs with a longer side, in pieces, are counted and left out."
    )
    max_length_ratio: float = Field(
        9.0, ge=1, description="Training pairs whose longer side, in pieces, exceeds the shorter by more are left out."
    )
    drop_duplicates: bool = Field(True, description="Leave out exact repetitions of a training pair.")


class SamplingConfig(Section):
    """Subword regularisation: in each epoch of training every sentence is segmented anew, at random.

    Text that is translated, dev and test corpora included, always has its best segmentation. Batches are planned by the
    best ones too and padded to what was drawn, which is longer: with `batching.unit: tokens`, more tokens than `size`.
    Customary are an `alpha` of 0.2 to 0.5 (Kudo 2018) and a `merge_dropout_rate` of 0.1 (Provilkov et al. 2020).
    """

    alpha: float | None = Field(
        None,
        ge=0,
        le=100,
        description="`unigram`: draw each segmentation with its probability to this power, 0 all alike; null: off.",
    )
    merge_dropout_rate: float = Field(
        0.0, ge=0, lt=1, description="`bpe`: chance that a merge is left out (BPE-dropout); 0: off."
    )
    sides: Literal["both", "source", "target"] = Field("both", description="Whose segmentations are drawn.")

    @property
    def is_on(self) -> bool:
        """Tells whether anything is drawn."""
        return self.alpha is not None or self.merge_dropout_rate > 0

    def problem(self, model_type: str) -> str | None:
        """Returns what is wrong with these values beside a tokenizer of this type, if anything is."""
        if self.alpha is not None and model_type != "unigram":
            return (
                f"alpha: is for `model_type: unigram`. Received: alpha={self.alpha}, model_type={model_type}. "
                "Set merge_dropout_rate instead."
            )
        if self.merge_dropout_rate and model_type != "bpe":
            return (
                f"merge_dropout_rate: is for `model_type: bpe`. Received: "
                f"merge_dropout_rate={self.merge_dropout_rate}, model_type={model_type}. Set alpha instead."
            )
        if self.sides != "both" and not self.is_on:
            return (
                f"sides: nothing is drawn. Received: sides={self.sides}, alpha=null, merge_dropout_rate=0. "
                "Set one of the two, or leave sides out."
            )
        return None


class TokenizerConfig(Section):
    """SentencePiece, trained on the training side alone."""

    model_type: Literal["unigram", "bpe"] = Field("unigram", description="Segmentation model.")
    vocabulary_size: int = Field(
        8000, ge=300, le=100_000, description="Pieces a vocabulary; lowered with a message if the corpus is small."
    )
    joint: bool = Field(True, description="One vocabulary for both languages, or one for each.")
    byte_fallback: bool = Field(True, description="Spell characters outside the vocabulary as bytes: nothing is lost.")
    character_coverage: float = Field(
        0.9995, ge=0.98, le=1, description="Share of the characters of the corpus that get a piece of their own."
    )
    normalization: Literal["identity", "nfkc", "nmt_nfkc"] = Field(
        "identity", description="Unicode normalization by SentencePiece; `identity` changes nothing but runs of spaces."
    )
    sampling: SamplingConfig = Field(default_factory=SamplingConfig, description="Segmentations at random in training.")

    def training_options(self) -> dict[str, Any]:
        """Returns what decides a tokenizer, by the names that `train_tokenizer` has for it."""
        return self.model_dump(exclude={"joint", "sampling"})


class BatchingConfig(Section):
    """How training pairs are put together."""

    size: int = Field(80, ge=1, le=1_000_000, description="Size of a batch, in `unit`.")
    unit: Literal["sentences", "tokens"] = Field(
        "sentences", description="`tokens`: the longer padded side of a batch holds at most `size` tokens."
    )
    batches_per_update: int = Field(
        1,
        ge=1,
        le=10_000,
        description="Batches whose gradients make one update: large updates in the memory of a small one.",
    )


def _check_language(code: str) -> str:
    if not _LANGUAGE_CODE.fullmatch(code):
        raise ValueError(f"must be a language code such as `en` or `pt-BR`. Received: {shown(code)}")
    return code


LanguageCode = Annotated[str, pydantic.AfterValidator(_check_language)]


class Config(Section):
    """Everything that defines a run."""

    source_language: LanguageCode = Field(description="Code of the source language, such as `en`.")
    target_language: LanguageCode = Field(description="Code of the target language, such as `de`.")
    seed: int = Field(
        1, ge=0, lt=2**31, description="Seed of weights, dropout, sampled segmentations and the order of the data."
    )
    recipe: Literal["defaults", "auto"] = Field(
        "defaults",
        description="What keys have that are not given: the defaults listed here, or what suits the corpus (`auto`). "
        "`model: auto` is short for `recipe: auto`.",
    )
    data: DataConfig = Field(description="Parallel text.")
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig, description="Subword segmentation.")
    batching: BatchingConfig = Field(default_factory=BatchingConfig, description="Training batches.")
    model: ModelConfig = Field(default_factory=ModelConfig, description="Encoder-decoder.")
    training: TrainingConfig = Field(default_factory=TrainingConfig, description="Optimisation and validation.")
    decoding: DecodingConfig = Field(default_factory=DecodingConfig, description="Search.")

    @pydantic.model_validator(mode="after")
    def _check_across_sections(self) -> Config:
        problems = []
        is_tied = self.model.tied_embeddings == "all" and not self._is_open(self.model, "tied_embeddings")
        if is_tied and not self.tokenizer.joint:
            problems.append(
                "model.tied_embeddings: `all` needs one joint vocabulary. Received: tokenizer.joint=false. "
                "Set tokenizer.joint to true, or model.tied_embeddings to `target`."
            )
        if problem := self.model.decoder_problem():
            problems.append(f"model.{problem}")
        if problem := self.tokenizer.sampling.problem(self.tokenizer.model_type):
            problems.append(f"tokenizer.sampling.{problem}")
        problems += [f"training.{problem}" for problem in self.training.problems()]
        if self.model.variational_dropout and not self.model.dropout_rate:
            problems.append(
                "model.variational_dropout: says how dropout_rate draws. Received: true, with dropout_rate=0. "
                "Set dropout_rate above 0, or leave variational_dropout out."
            )
        if self.training.r_drop and not self.model.has_dropout():
            problems.append(
                "training.r_drop: two passes differ by dropout alone, and `model` has none. "
                f"Received: {self.training.r_drop}. Set it to 0, or model.dropout_rate above 0."
            )
        if self.training.bidirectional_epochs and not self.tokenizer.joint:
            problems.append(
                "training.bidirectional_epochs: one model reads and writes both languages in them, which takes a joint "
                f"vocabulary. Received: {self.training.bidirectional_epochs}, with tokenizer.joint=false. "
                "Set tokenizer.joint to true, or bidirectional_epochs to 0."
            )
        is_all = self.training.bidirectional_epochs >= self.training.max_epochs
        if is_all and not self._is_open(self.training, "max_epochs"):
            problems.append(
                "training.bidirectional_epochs: must be below training.max_epochs, as the last epochs are of the "
                f"direction that is asked for. Received: {self.training.bidirectional_epochs}, with max_epochs="
                f"{self.training.max_epochs}. Lower it."
            )
        if problem := self.decoding.length_problem():
            problems.append(f"decoding.{problem}")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _is_open(self, section: Section, name: str) -> bool:
        """Returns whether a value is not given, and the recipe will choose it."""
        return self.recipe == "auto" and name not in section.model_fields_set


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads, overrides and validates a configuration file.

    Args:
        path: YAML file.
        overrides: `section.key=value` strings; the value is YAML. Applied in order, the last one wins.

    Returns:
        The validated configuration with every default filled in.

    Raises:
        ConfigError: The file can't be read, is not YAML, or breaks the schema. All problems are listed at once.
    """
    tree = _without_shorthand(_read_yaml(Path(path)), str(path))
    for override in overrides:
        _apply_override(tree, override)
    return validate(tree, str(path))


def validate(tree: dict[str, Any], name: str) -> Config:
    """Validates a tree of plain values, reporting every problem under `name`."""
    try:
        return Config.model_validate(_without_shorthand(tree, name))
    except pydantic.ValidationError as error:
        problems = describe(error, Config)
        num_problems = max(len(problems), error.error_count())  # of very many, not all have a line
        count = f"{num_problems:,} problem{'s' if num_problems > 1 else ''}"
        raise ConfigError("\n  ".join([f"{name}: {count}", *problems])) from None


def dump(config: Config) -> str:
    """Returns the configuration as YAML that `load` reads back to an equal one; what is still open is left out."""
    return strict_yaml.render(config.model_dump(mode="json", exclude_unset=config.recipe == "auto"))


def _without_shorthand(tree: dict[str, Any], name: str) -> dict[str, Any]:
    if tree.get("model") != "auto":
        return tree
    recipe = tree.get("recipe", "auto")
    if recipe != "auto":
        raise ConfigError(
            f"{name}: `model: auto` is short for `recipe: auto`. Received: it beside `recipe: {shown(recipe)}`. "
            "Leave one of the two out."
        )
    return {**tree, "model": {}, "recipe": "auto"}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: can't read the configuration: {error.strerror}. Check the path.") from None
    if len(content) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path}: a configuration has at most {MAX_CONFIG_BYTES:,} bytes. Is this the right file?")
    try:
        tree = strict_yaml.parse(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        problem = f"a configuration is UTF-8 text. Received: an invalid byte at {error.start}"
        raise ConfigError(f"{path}: {problem}. Save it as UTF-8.") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of sections. Received: {shown(tree)}")
    return tree


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    path = key.strip().split(".")
    if not separator or not all(path):
        raise ConfigError(f"--set takes key=value, such as training.max_epochs=5. Received: {shown(override)}")
    try:
        value = strict_yaml.parse(text)
    except ValueError as error:
        raise ConfigError(f"--set {key}: not valid YAML: {error}. Received: {shown(text)}") from None
    node = tree
    for depth, name in enumerate(path[:-1]):
        if node.get(name) is None:  # absent, or a section left empty in the file
            node[name] = {}
        child = node[name]
        if not isinstance(child, dict):
            parent = ".".join(path[: depth + 1])
            raise ConfigError(f"--set {key}: `{parent}` is not a section; set it whole, as in --set '{parent}=...'")
        node = child
    node[path[-1]] = value
