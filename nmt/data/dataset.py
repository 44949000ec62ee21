"""The batches of a corpus, one epoch after another.

This module knows nothing of text, files, models or losses. Which pairs share a batch is decided in `nmt.data.batching`.

Shape letters: N pairs, B batch, S source length, T target length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nmt.data.batching import order_blocks, pad, plan_batches, round_up
from nmt.data.blocks import BlockCorpus
from nmt.data.corpus import TokenizedCorpus
from nmt.errors import InputError
from nmt.text.special import BOS_ID, EOS_ID


class Batch(NamedTuple):
    """Sentence pairs under teacher forcing, padded on the right. Ids are int32."""

    source_ids: NDArray[np.int32]
    """(B, S) pieces and the end of the sentence."""
    target_ids: NDArray[np.int32]
    """(B, T) the beginning of the sentence and pieces: what the decoder reads."""
    labels: NDArray[np.int32]
    """(B, T) pieces and the end of the sentence: `labels[:, t]` is what follows `target_ids[:, t]`."""
    numbers: NDArray[np.int64]
    """(B,) which pairs of the corpora they are, counted from 1 through all that were read."""


class _PlannedBlock(NamedTuple):
    """A block in memory, and its batches in one epoch: indices of its pairs."""

    epoch: int
    number: int
    corpus: TokenizedCorpus
    batches: list[NDArray[np.intp]]


class Sampler(Protocol):
    """Gives other ids for a sentence, a pure function of these arguments: its ids, the epoch and the pair's number."""

    def __call__(self, token_ids: NDArray[np.int32], epoch: int, number: int) -> Sequence[int]: ...


class ParallelDataset:
    """Batches of a corpus: a pure function of (seed, epoch, index). Set `epoch` before each epoch.

    An epoch goes through the corpus block by block, in an order that (seed, epoch) decides. One block and its plan are
    in memory at a time; a batch that lies in another one, at whatever index, has that one read first.

    Args:
        corpus: The sentence pairs.
        size: Size of a batch, in `unit`.
        unit: `sentences` or `tokens`, as in `plan_batches`; the padding to a multiple is counted.
        seed: Seed of the order.
        shuffle: Whether the order is random, another in each epoch. If not it runs from short to long.
        pad_multiple: S and T are rounded up to a multiple of this, so that compiled programs meet fewer shapes.
        source_sampler: Draws the ids of source sentences anew in each epoch. Batches are planned by the lengths that
            the corpus has, so what is drawn may make one larger than `size` tokens. By default the corpus is read.
        target_sampler: The same for target sentences.
        bidirectional_epochs: In so many epochs, the first ones, every other batch has source and target exchanged:
            bidirectional training, as Ding et al. 2021 (https://arxiv.org/abs/2109.07780) begin with, where each
            sentence pair is learned in both directions by one model.

    Raises:
        InputError: An argument breaks its rule, or one pair alone is longer than a batch.

    Example:
        >>> corpus = TokenizedCorpus(
        ...     source_ids=np.array([11, 12, 13]), source_offsets=np.array([0, 1, 3]),
        ...     target_ids=np.array([21, 22, 23]), target_offsets=np.array([0, 2, 3]), numbers=np.array([1, 2]),
        ... )
        >>> batch = ParallelDataset(corpus, size=2, unit="sentences", seed=1, shuffle=False)[0]
        >>> batch.source_ids
        array([[12, 13,  3],
               [11,  3,  0]], dtype=int32)
        >>> batch.target_ids
        array([[ 2, 23,  0],
               [ 2, 21, 22]], dtype=int32)
        >>> batch.labels
        array([[23,  3,  0],
               [21, 22,  3]], dtype=int32)
    """

    def __init__(
        self,
        corpus: TokenizedCorpus | BlockCorpus,
        *,
        size: int,
        unit: str,
        seed: int,
        shuffle: bool = True,
        pad_multiple: int = 1,
        source_sampler: Sampler | None = None,
        target_sampler: Sampler | None = None,
        bidirectional_epochs: int = 0,
    ) -> None:
        if pad_multiple < 1:
            raise InputError(
                f"rows are padded to a multiple of at least 1. Received: pad_multiple={pad_multiple}. Use 1 for none."
            )
        self.corpus = corpus
        self.size = size
        self.unit = unit
        self.seed = seed
        self.shuffle = shuffle
        self.pad_multiple = pad_multiple
        self.source_sampler = source_sampler
        self.target_sampler = target_sampler
        self.bidirectional_epochs = bidirectional_epochs
        self._epoch = 0
        self._current: _PlannedBlock | None = None
        self._order = (0, self._order_blocks())
        self._num_batches = [self._count_batches(number) for number in range(corpus.num_blocks)]

    @property
    def epoch(self) -> int:
        """Which pass over the corpus the batches belong to, from 0."""
        return self._epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        if value < 0:
            raise InputError(f"epochs are counted from 0. Received: epoch={value}.")
        self._epoch = value

    def __len__(self) -> int:
        """Returns the number of batches, the same in every epoch."""
        return sum(self._num_batches)

    def __iter__(self) -> Iterator[Batch]:
        """Yields the batches of the current epoch."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Batch:
        """Returns batch `index` of the current epoch."""
        index = range(len(self))[index]
        number, index_in_block = self._locate(index)
        block = self._block(number)
        pairs = block.batches[index_in_block]
        corpus = block.corpus
        numbers = corpus.numbers[pairs].astype(np.int64)
        sources = self._sample([corpus.source(pair) for pair in pairs], numbers, self.source_sampler)
        targets = self._sample([corpus.target(pair) for pair in pairs], numbers, self.target_sampler)
        if self._epoch < self.bidirectional_epochs and (self._epoch + index) % 2:
            sources, targets = targets, sources
        sources = [np.append(source, EOS_ID) for source in sources]
        source_length = round_up(max(map(len, sources)), self.pad_multiple)
        target_length = round_up(max(map(len, targets)) + 1, self.pad_multiple)
        return Batch(
            pad(sources, min_length=source_length),
            pad([np.append(BOS_ID, target) for target in targets], min_length=target_length),
            pad([np.append(target, EOS_ID) for target in targets], min_length=target_length),
            numbers,
        )

    def _sample(
        self, rows: list[NDArray[np.int32]], numbers: NDArray[np.int64], sampler: Sampler | None
    ) -> list[NDArray[np.int32]]:
        """Returns the rows as they are, or as the sampler draws them for this epoch."""
        if sampler is None:
            return rows
        numbered = zip(rows, numbers.tolist(), strict=True)
        return [np.array(sampler(row, self._epoch, number), np.int32) for row, number in numbered]

    def _locate(self, index: int) -> tuple[int, int]:
        """Returns the block that batch `index` of this epoch lies in, and which batch of that block it is."""
        if self._order[0] != self._epoch:
            self._order = (self._epoch, self._order_blocks())
        for number in self._order[1]:
            if index < self._num_batches[number]:
                return number, index
            index -= self._num_batches[number]
        raise IndexError(index)

    def _order_blocks(self) -> list[int]:
        num_blocks = self.corpus.num_blocks
        return order_blocks(num_blocks, self.seed, self._epoch).tolist() if self.shuffle else list(range(num_blocks))

    def _block(self, number: int) -> _PlannedBlock:
        """Returns a block as this epoch takes it, from memory if it was the last one."""
        last = self._current
        if last is None or (last.epoch, last.number) != (self._epoch, number):
            corpus = last.corpus if last is not None and last.number == number else None
            self._current = last = None  # its memory serves the next one
            if corpus is None:
                corpus = self.corpus.block(number)
            source_lengths, target_lengths = corpus.source_lengths, corpus.target_lengths
            batches = self._plan(source_lengths, target_lengths, self._epoch, number)
            self._current = last = _PlannedBlock(self._epoch, number, corpus, batches)
        return last

    def _count_batches(self, number: int) -> int:
        if self.corpus.num_blocks == 1:
            return len(self._block(number).batches)
        return len(self._plan(*self.corpus.block_lengths(number), 0, number))

    def _plan(
        self, source_lengths: NDArray[np.int64], target_lengths: NDArray[np.int64], epoch: int, block: int
    ) -> list[NDArray[np.intp]]:
        return plan_batches(
            round_up(source_lengths + 1, self.pad_multiple),
            round_up(target_lengths + 1, self.pad_multiple),
            size=self.size,
            unit=self.unit,
            seed=self.seed,
            epoch=epoch,
            block=block,
            shuffle=self.shuffle,
        )
