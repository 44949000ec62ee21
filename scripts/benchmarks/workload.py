"""What is trained on in a measurement: a configuration's corpus, or generated ids without text.

The steps from a configuration to batches, model and optimizer are those of `nmt train`, with the same parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmt.config import Config
from nmt.errors import InputError

DEFAULT_CONFIG = Path(__file__).parents[2] / "configs" / "benchmark.yaml"

JAX_PAD_MULTIPLE = 8
"""As `nmt train` pads there, where every new shape is compiled."""

PAIRS_PER_CHUNK = 100_000
"""Pairs generated at a time: the random numbers of so many exist beside the corpus."""


@dataclass(frozen=True)
class Material:
    """A tokenized corpus with the sizes of the vocabularies that a model of it has."""

    corpus: Any
    source_vocabulary_size: int
    target_vocabulary_size: int


def read(config: Config, num_pairs: int) -> Material:
    """Reads and tokenizes the first pairs of a configuration's training corpora.

    A vocabulary that the text can't fill is filled up with pieces that never occur: the sizes of the model are then the
    configured ones whatever the corpus.

    Args:
        config: What to read, and how to tokenize it.
        num_pairs: How many pairs, before the filter of the configuration.

    Raises:
        NMTError: A corpus can't be read or is too small.
    """
    from nmt.corpora import read_corpora
    from nmt.data.corpus import TokenizedCorpus
    from nmt.text.filters import PairFilter
    from nmt.text.tokenizer import train_tokenizer

    pairs = read_corpora(config.data.train, config.source_language, config.target_language)
    if len(pairs) < num_pairs:
        raise InputError(
            f"the training corpora have {len(pairs):,} pairs. Received: num_pairs={num_pairs:,}. Ask for fewer."
        )
    pairs = pairs[:num_pairs]
    settings: dict[str, Any] = {**config.tokenizer.training_options(), "seed": config.seed}
    sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
    if config.tokenizer.joint:
        source = target = train_tokenizer(sources + targets, **settings)
    else:
        source, target = train_tokenizer(sources, **settings), train_tokenizer(targets, **settings)
    data = config.data
    pair_filter = PairFilter(data.max_length_pieces, data.max_length_ratio, data.drop_duplicates)
    corpus = TokenizedCorpus.from_pairs(pairs, source, target, pair_filter)
    wanted = config.tokenizer.vocabulary_size
    return Material(corpus, max(source.vocabulary_size, wanted), max(target.vocabulary_size, wanted))


def generate(num_pairs: int, lengths: tuple[int, int], vocabulary_size: int, seed: int = 1) -> Material:
    """Generates pairs of random ids straight into the arrays of a tokenized corpus.

    Args:
        num_pairs: Number of pairs.
        lengths: Shortest and longest side in pieces; lengths between are equally frequent on both sides.
        vocabulary_size: Pieces of the one vocabulary; ids are drawn from the ordinary pieces.
        seed: Seed of lengths and ids.
    """
    from nmt.data.corpus import TokenizedCorpus
    from nmt.text.special import EOS_ID

    random = np.random.default_rng(seed)
    shortest, longest = lengths

    def offsets() -> NDArray[np.int64]:
        numbers = np.zeros(num_pairs + 1, np.int64)
        for start in range(0, num_pairs, PAIRS_PER_CHUNK):
            stop = min(start + PAIRS_PER_CHUNK, num_pairs)
            drawn = random.integers(shortest, longest, stop - start, endpoint=True)
            numbers[start + 1 : stop + 1] = numbers[start] + np.cumsum(drawn)
        return numbers

    def ids(num_pieces: int) -> NDArray[Any]:
        dtype = np.min_scalar_type(vocabulary_size - 1)
        pieces = np.empty(num_pieces, dtype)
        for start in range(0, num_pieces, PAIRS_PER_CHUNK):
            stop = min(start + PAIRS_PER_CHUNK, num_pieces)
            pieces[start:stop] = random.integers(EOS_ID + 1, vocabulary_size, stop - start)
        return pieces

    source_offsets, target_offsets = offsets(), offsets()
    corpus = TokenizedCorpus(
        source_ids=ids(int(source_offsets[-1])),
        source_offsets=source_offsets,
        target_ids=ids(int(target_offsets[-1])),
        target_offsets=target_offsets,
        numbers=np.arange(1, num_pairs + 1, dtype=np.uint32),
    )
    return Material(corpus, vocabulary_size, vocabulary_size)


def dataset_of(config: Config, corpus: Any) -> Any:
    """Returns the batches of a corpus as `nmt train` makes them."""
    from nmt.backend import library_name
    from nmt.data.dataset import ParallelDataset

    multiple = JAX_PAD_MULTIPLE if library_name() == "jax" else 1
    return ParallelDataset(
        corpus, size=config.batching.size, unit=config.batching.unit, seed=config.seed, pad_multiple=multiple
    )


def model_of(config: Config, material: Material) -> Any:
    """Returns a new model."""
    import keras

    from nmt.loading import build_model

    keras.utils.set_random_seed(config.seed)
    sizes = material.source_vocabulary_size, material.target_vocabulary_size
    return build_model(config.model, *sizes, dtype=config.training.precision)


def updater_of(config: Config, model: Any) -> Any:
    """Returns what makes the updates of a model, as `nmt train` makes them."""
    from nmt.training.objective import Objective
    from nmt.training.preparation import configured_optimizer
    from nmt.training.update import Updater

    training = config.training
    objective = Objective(model, training.label_smoothing, training.r_drop)
    return Updater(objective, configured_optimizer(training), training.clip_norm)
