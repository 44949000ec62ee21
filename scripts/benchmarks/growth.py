"""How the cost of a token grows, one size at a time while the others stay as they are.

With the corpus, which should cost no memory beyond that of a block; with vocabulary, length of sentences, batch,
width of the model, and beam. Each point is a process of its own.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import decoding, memory, process, training, workload
from benchmarks.letters import LetterPairs, LetterTokenizer
from nmt import config as configuration
from nmt import startup

POINTS = {
    "corpus": (10_000, 100_000, 1_000_000, 10_000_000),
    "vocabulary": (4_000, 8_000, 16_000, 32_000),
    "length": (10, 25, 50, 100, 200),
    "batch": (10, 20, 40, 80, 160),
    "width": (64, 128, 256, 512),
    "beam": (1, 2, 5, 10, 20),
}
"""Pairs; pieces; tokens of a sentence; sentences; units of the embedding and of each direction of the encoder (the
decoder and the attention have twice as many); hypotheses."""

LENGTH = 20
BATCH_SIZE = 32
"""What the axes keep that do not vary it: short enough for a minute a point."""

CORPUS_LENGTHS = (4, 20)
"""Shortest and longest side, in pieces, of the pairs of the growing corpus."""

NUM_UPDATES = 6
"""Updates of a measured epoch."""

NUM_CORPUS_UPDATES = 100
NUM_WARM_UP_UPDATES = 10
TINY_MODEL = ("embedding_size", "encoder_size", "decoder_size", "attention_size")


def training_point(axis: str, value: int, num_repeats: int) -> dict[str, Any]:
    """Measures training at one point of an axis that changes the model or its batches, in a process of its own."""
    width = value if axis == "width" else None
    length = value if axis == "length" else LENGTH
    batch_size = value if axis == "batch" else BATCH_SIZE
    overrides = [f"batching.size={batch_size}", "batching.unit=sentences"]
    if axis == "vocabulary":
        overrides.append(f"tokenizer.vocabulary_size={value}")
    if width is not None:
        overrides += [f"model.{name}={width}" for name in ("embedding_size", "encoder_size")]
        overrides += [f"model.{name}={2 * width}" for name in ("decoder_size", "attention_size")]
    config = configuration.load(workload.DEFAULT_CONFIG, overrides)
    lengths = (length - 1, length - 1)  # the end of sentence is the last token
    found = process.run(training.measure_generated, config, batch_size * NUM_UPDATES, lengths, num_repeats)
    return {axis: value, **found}


def corpus_point(num_pairs: int) -> dict[str, Any]:
    """Measures the path of the data with a corpus of generated text, around a model so small that it hardly counts.

    The text takes the way of `nmt train` from a stream of pairs to batches, but for the tokenizer, whose pieces are
    letters. Between two times of training all blocks of an epoch are visited.

    Runs in this process: call it through `process.run`.

    Args:
        num_pairs: Number of pairs.

    Returns:
        The figures by name: seconds of reading and tokenizing the corpus, of planning an epoch and of making a batch,
        and memory.
    """
    startup.import_keras()
    from nmt.corpora import PairStream
    from nmt.data import blocks
    from nmt.text.filters import PairFilter

    config = configuration.load(workload.DEFAULT_CONFIG, [f"model.{name}=8" for name in TINY_MODEL])
    data, vocabulary_size = config.data, config.tokenizer.vocabulary_size
    before = memory.resident_gb()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        pairs = PairStream([LetterPairs(num_pairs, CORPUS_LENGTHS)], max_held=blocks.BLOCK_PAIRS)
        tokenizer: Any = LetterTokenizer(vocabulary_size)
        pair_filter = PairFilter(data.max_length_pieces, data.max_length_ratio, data.drop_duplicates)
        corpus = blocks.tokenize(pairs, tokenizer, tokenizer, pair_filter, folder)
        pairs.release()
        del pair_filter
        building = time.perf_counter() - start
    with_corpus, building_peak = memory.resident_gb(), memory.peak_gb()
    block = corpus.block(0)
    block_bytes = sum(
        array.nbytes
        for array in (block.source_ids, block.target_ids, block.source_offsets, block.target_offsets, block.numbers)
    )
    bytes_per_pair = block_bytes / len(block)
    del block
    dataset = workload.dataset_of(config, corpus)
    model = workload.model_of(config, workload.Material(corpus, vocabulary_size, vocabulary_size))
    updater = workload.updater_of(config, model)
    training.epoch(updater, dataset, 0, max_updates=NUM_WARM_UP_UPDATES)
    early = memory.resident_gb()
    dataset.epoch = 1
    start = time.perf_counter()
    for number in range(corpus.num_blocks):
        dataset._block(number)  # reads and plans it; there is no public way to do so without making its batches
    planning = time.perf_counter() - start
    num_tokens = sum(int((corpus.block_lengths(number)[1] + 1).sum()) for number in range(corpus.num_blocks))
    making = _seconds_per_token(dataset)
    tokens_per_second = training.epoch(updater, dataset, 1, max_updates=NUM_CORPUS_UPDATES)
    late = memory.resident_gb()
    return {
        "corpus": num_pairs,
        "num_blocks": corpus.num_blocks,
        "num_target_tokens": num_tokens,
        "block_gb": block_bytes / 1e9,
        "bytes_per_pair": bytes_per_pair,
        "building_seconds": building,
        "planning_seconds": planning,
        "planning_microseconds_per_token": planning / num_tokens * 1e6,
        "batch_microseconds_per_token": making * 1e6,
        "tiny_model_microseconds_per_token": 1e6 / tokens_per_second,
        "resident_before_gb": before,
        "resident_with_corpus_gb": with_corpus,
        "peak_of_building_gb": building_peak,
        "growth_in_training_gb": None if early is None or late is None else max(0.0, late - early),
        "peak_memory_gb": memory.peak_gb(),
    }


def _seconds_per_token(dataset: Any) -> float:
    """Returns the time of making batches by their real target tokens."""
    from nmt.text.special import PAD_ID

    sample = range(max(0, len(dataset) - NUM_CORPUS_UPDATES), len(dataset))  # all, or nearly, of the last block
    _ = dataset[-1]  # that block is in memory then
    start = time.perf_counter()
    batches = [dataset[index] for index in sample]
    seconds = time.perf_counter() - start
    return seconds / sum(int(np.count_nonzero(batch.labels != PAD_ID)) for batch in batches)


def beam_point(model: Path, sources: list[str], references: list[str], beam_size: int) -> dict[str, Any]:
    """Measures translation with one beam size, in a process of its own."""
    found = process.run(
        decoding.measure,
        model,
        sources,
        references,
        beam_size=beam_size,
        batch_size=None,
        num_repeats=1,
        num_single_lines=0,
    )
    return {"beam": beam_size, **found}


def training_points(axis: str, values: tuple[int, ...], num_repeats: int) -> Iterator[dict[str, Any]]:
    """Yields the points of an axis that is measured by training."""
    for value in values:
        yield process.run(corpus_point, value) if axis == "corpus" else training_point(axis, value, num_repeats)
