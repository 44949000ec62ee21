"""The preparation of a training run: from a configuration to its pairs, its tokenizers, its batches and its optimizer.

This module knows nothing of models.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import keras

from nmt import files
from nmt.backend import library_name
from nmt.config import Config
from nmt.config_training import TrainingConfig
from nmt.corpora import PairStream, read_corpora, stream_corpora
from nmt.data import blocks
from nmt.data.dataset import ParallelDataset
from nmt.errors import RunDirectoryError
from nmt.run_dir import RunDirectory
from nmt.text.corpus import SentencePair
from nmt.text.filters import PairFilter
from nmt.text.sampling import MergeSampling, Segmentation, SentenceSampler, UnigramSampling
from nmt.text.tokenizer import Tokenizer, train_tokenizer
from nmt.training.optimizers import build_optimizer
from nmt.training.schedules import WarmupSchedule

logger = logging.getLogger(__name__)

_MAX_TOKENIZER_BYTES = 100_000_000

JAX_PAD_MULTIPLE = 8
"""On JAX every new shape compiles for seconds; elsewhere rows are padded to the longest of their batch alone."""


class Pairs(NamedTuple):
    """The sentence pairs of a run."""

    training: PairStream
    dev: list[SentencePair]
    test: list[SentencePair]


def read_pairs(config: Config) -> Pairs:
    """Reads all corpora that a configuration names; those to train on are not held in memory if they are large.

    Raises:
        CorpusError: One of them can't be read, or has no pair to use.
    """
    languages = config.source_language, config.target_language
    dev, test = (read_corpora(corpora, *languages) for corpora in (config.data.dev, config.data.test or []))
    held_out = {"dev": dev, "test": test}
    training = stream_corpora(config.data.train, *languages, max_held=blocks.BLOCK_PAIRS, held_out=held_out)
    return Pairs(training, _without_blanks(dev, "dev"), test)


def load_tokenizers(
    config: Config, run_dir: RunDirectory, pairs: Iterable[SentencePair]
) -> tuple[Tokenizer, Tokenizer]:
    """Returns the tokenizers of the source and the target side; those that are not in the run yet are trained.

    Args:
        config: What kind of tokenizers.
        run_dir: Folder of the run; they are kept there.
        pairs: What to train them on; read twice at most.

    Raises:
        TokenizerError: One can't be trained, or that of the run is damaged.
    """

    def load_or_train(name: str, lines: Iterable[str]) -> Tokenizer:
        path = run_dir.tokenizer / name
        if not path.exists():
            # Not by the run's seed: models of several seeds share their pieces, so that they can decode together.
            settings = config.tokenizer.training_options()
            files.write_bytes(path, train_tokenizer(lines, **settings).model_bytes)
        return Tokenizer.from_file(path)

    sources, targets = (pair.source for pair in pairs), (pair.target for pair in pairs)
    if config.tokenizer.joint:
        joint = load_or_train("joint.spm", itertools.chain(sources, targets))
        return joint, joint
    return load_or_train("source.spm", sources), load_or_train("target.spm", targets)


def make_batches(
    config: Config,
    run_dir: RunDirectory,
    pairs: PairStream,
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
) -> ParallelDataset:
    """Filters and tokenizes the training pairs, and logs what was left out of them.

    Args:
        config: The filter's limits, the size of the batches, the seed of their order.
        run_dir: Folder of the run; a large corpus has its ids there, in a file without a name.
        pairs: Read once.
        source_tokenizer: Encodes the source sides.
        target_tokenizer: Encodes the target sides.

    Raises:
        CorpusError: No pair is left.
        FileError: The folder is full.
        InputError: A pair alone is longer than a batch.
    """
    data = config.data
    pair_filter = PairFilter(data.max_length_pieces, data.max_length_ratio, data.drop_duplicates)
    corpus = blocks.tokenize(pairs, source_tokenizer, target_tokenizer, pair_filter, run_dir.path)
    logger.info("training corpora: %s", pair_filter.report())
    return ParallelDataset(
        corpus,
        size=config.batching.size,
        unit=config.batching.unit,
        seed=config.seed,
        pad_multiple=_pad_multiple(),
        source_sampler=_sampler(config, source_tokenizer, "source"),
        target_sampler=_sampler(config, target_tokenizer, "target"),
        bidirectional_epochs=config.training.bidirectional_epochs,
    )


def _sampler(config: Config, tokenizer: Tokenizer, side: Literal["source", "target"]) -> SentenceSampler | None:
    """Returns what segments the sentences of a side anew in each epoch, if anything does."""
    sampling = config.tokenizer.sampling
    if not sampling.is_on or sampling.sides not in ("both", side):
        return None
    segmentation: Segmentation
    if sampling.alpha is not None:
        segmentation = UnigramSampling(tokenizer, sampling.alpha)
    else:
        segmentation = MergeSampling(tokenizer, sampling.merge_dropout_rate)
    return SentenceSampler(tokenizer, segmentation, seed=config.seed, side=side)


def _pad_multiple() -> int:
    return JAX_PAD_MULTIPLE if library_name() == "jax" else 1


def source_digests(
    config: Config, run_dir: RunDirectory, training_pairs: PairStream, dev_pairs: Iterable[SentencePair]
) -> dict[str, str]:
    """Returns digests of what a run is made from, by name: its `corpus`, its `tokenizer`, the `order` of its batches.

    Raises:
        FileError: A tokenizer of the run can't be read.
    """
    corpus, tokenizer = hashlib.blake2b(training_pairs.digest), hashlib.blake2b()
    for pair in dev_pairs:
        corpus.update(pair.digest())
    for name in files.list_folder(run_dir.tokenizer):
        tokenizer.update(files.read_bytes(run_dir.tokenizer / name, max_bytes=_MAX_TOKENIZER_BYTES))
    limits = config.data.model_dump(include={"max_length_pieces", "max_length_ratio", "drop_duplicates"})
    parts = config.seed, config.batching.model_dump(), limits, _pad_multiple(), blocks.BLOCK_PAIRS
    order = hashlib.blake2b(repr(parts).encode())
    found = {"corpus": corpus, "tokenizer": tokenizer, "order": order}
    return {name: digest.hexdigest()[:32] for name, digest in found.items()}


def check_sources(before: Mapping[str, str], now: Mapping[str, str], allow_changed: Sequence[str]) -> bool:
    """Refuses to go on with another corpus or tokenizer than a run began with.

    Args:
        before: What `source_digests` gave for the run's checkpoint.
        now: What it gives now.
        allow_changed: Names that may differ.

    Returns:
        Whether anything differs.

    Raises:
        RunDirectoryError: One of the two differs and is not allowed to.
    """
    changed = [name for name, digest in now.items() if before.get(name) != digest]
    refused = [name for name in ("corpus", "tokenizer") if name in changed and name not in allow_changed]
    if refused:
        raise RunDirectoryError(
            f"the {' and the '.join(refused)} changed since the last checkpoint. Rule: a run goes on with what it "
            f"began with. Restore it, or go on all the same: --allow-changed {' --allow-changed '.join(refused)}"
        )
    return bool(changed)


def _without_blanks(pairs: list[SentencePair], name: str) -> list[SentencePair]:
    kept = [pair for pair in pairs if pair.source.strip() and pair.target.strip()]
    if len(kept) < len(pairs):
        logger.warning("%s corpora: left out %s pairs with a blank side", name, f"{len(pairs) - len(kept):,}")
    return kept


def configured_optimizer(training: TrainingConfig) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a configuration, with its schedule."""
    schedule = training.schedule
    rate = WarmupSchedule(
        training.learning_rate,
        # The plateau rule cuts a constant rate from outside.
        "constant" if schedule.type == "plateau" else schedule.type,
        schedule.warmup_updates,
        schedule.decay_updates,
        schedule.floor,
    )
    return build_optimizer(
        training.optimizer,
        rate,
        weight_decay=training.weight_decay,
        ema_decay=training.ema_decay,
    )
