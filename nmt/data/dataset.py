"""The batches of a corpus, one epoch after another, as Keras's `fit` takes them.

This module knows nothing of text, files, models or losses. Which pairs share a batch is decided in `nmt.data.batching`.

Shape letters: N pairs, B batch, S source length, T target length.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from nmt.data.batching import order_blocks, pad, plan_batches, round_up
from nmt.data.blocks import BlockCorpus
from nmt.data.corpus import TokenizedCorpus
from nmt.errors import InputError
from nmt.text.special import BOS_ID, EOS_ID

Batch = tuple[dict[str, NDArray[np.int32]], NDArray[np.int32]]


class _PlannedBlock(NamedTuple):
    """A block in memory, and its batches in one epoch: indices of its pairs."""

    epoch: int
    number: int
    corpus: TokenizedCorpus
    batches: list[NDArray[np.intp]]


class _Size(NamedTuple):
    """How large a batch is: B, S and T, and its target tokens without padding."""

    num_pairs: int
    source_length: int
    target_length: int
    num_target_tokens: int


class ParallelDataset(keras.utils.PyDataset):
    """Batches of a corpus for `fit` and `evaluate`: a pure function of (seed, epoch, index).

    A batch is `({"source_ids": (B, S), "target_ids": (B, T)}, labels (B, T))`, all int32, padded on the right. A row of
    source_ids is the pieces and the end of the sentence; of target_ids the beginning and the pieces; of labels the
    pieces and the end: `labels[:, t]` is what follows `target_ids[:, t]`.

    Call `fit(dataset, shuffle=False)`. The order is random here already, and by default Keras shuffles the batches once
    more from Python's global generator, which no seed of ours reaches and no checkpoint holds.

    Set `epoch` before each epoch, as a callback's `on_epoch_begin` can, for an order that is exact after resuming too.
    Left alone it starts at 0 and goes up whenever `fit` has taken all batches of an epoch; not at every `on_epoch_end`,
    which `fit` calls once before its first epoch as well.

    An epoch goes through the corpus block by block, in an order that (seed, epoch) decides. One block and its plan are
    in memory at a time; a batch that lies in another one, at whatever index, has that one read first.

    Args:
        corpus: The sentence pairs.
        size: Size of a batch, in `unit`.
        unit: `sentences` or `tokens`, as in `plan_batches`; the padding to a multiple is counted.
        seed: Seed of the order.
        shuffle: Whether the order is random, another in each epoch. If not it runs from short to long.
        pad_multiple: S and T are rounded up to a multiple of this, so that compiled programs meet fewer shapes.

    Raises:
        InputError: An argument breaks its rule, or one pair alone is longer than a batch.

    Example:
        >>> corpus = TokenizedCorpus(
        ...     source_ids=np.array([11, 12, 13]), source_offsets=np.array([0, 1, 3]),
        ...     target_ids=np.array([21, 22, 23]), target_offsets=np.array([0, 2, 3]),
        ... )
        >>> inputs, labels = ParallelDataset(corpus, size=2, unit="sentences", seed=1, shuffle=False)[0]
        >>> inputs["source_ids"]
        array([[12, 13,  3],
               [11,  3,  0]], dtype=int32)
        >>> inputs["target_ids"]
        array([[ 2, 23,  0],
               [ 2, 21, 22]], dtype=int32)
        >>> labels
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
    ) -> None:
        # No thread of its own: a batch takes a fraction of a millisecond, and one thread keeps the order plain.
        super().__init__(workers=1, use_multiprocessing=False)
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
        self._epoch = 0
        self._taken: NDArray[np.bool_] | None = None  # which batches were, since `on_epoch_begin`
        # `fit` makes batches in a thread of its own while callbacks ask for the sizes of earlier ones.
        self._lock = threading.RLock()
        self._current: _PlannedBlock | None = None
        self._sizes: dict[tuple[int, int], NDArray[np.int64]] = {}  # of the last two blocks, by epoch and number
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

    def __getitem__(self, index: int) -> Batch:
        """Returns batch `index` of the current epoch."""
        index = range(len(self))[index]
        with self._lock:
            if self._taken is not None:
                self._taken[index] = True
            source_length, target_length = self._padded_lengths(index)
            number, index_in_block = self._locate(index)
            block = self._block(number)
            pairs = block.batches[index_in_block]
            sources = [np.append(block.corpus.source(pair), EOS_ID) for pair in pairs]
            targets = [block.corpus.target(pair) for pair in pairs]
        inputs = {
            "source_ids": pad(sources, min_length=source_length),
            "target_ids": pad([np.append(BOS_ID, target) for target in targets], min_length=target_length),
        }
        return inputs, pad([np.append(target, EOS_ID) for target in targets], min_length=target_length)

    def num_target_tokens(self, index: int) -> int:
        """Returns the real target tokens of a batch: pieces and ends of sentences, no padding."""
        return self._size_of(range(len(self))[index]).num_target_tokens

    def num_padded_tokens(self, index: int) -> int:
        """Returns the target tokens of a batch with its padding: B x T."""
        index = range(len(self))[index]
        return self._size_of(index).num_pairs * self._padded_lengths(index)[1]

    def on_epoch_begin(self) -> None:
        self._taken = np.zeros(len(self), np.bool_)

    def on_epoch_end(self) -> None:
        if self._taken is not None and self._taken.all():
            self.epoch += 1
        self._taken = None

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
            sizes = self._measure(batches, source_lengths, target_lengths)
            self._sizes = dict([*self._sizes.items(), ((self._epoch, number), sizes)][-2:])
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

    def _measure(
        self, batches: list[NDArray[np.intp]], source_lengths: NDArray[np.int64], target_lengths: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Returns (batches, 4): the `_Size` of each."""
        num_pairs = np.array([len(batch) for batch in batches], np.int64)
        order = np.concatenate([np.empty(0, np.intp), *batches])
        starts = np.cumsum(num_pairs) - num_pairs
        source, target = source_lengths[order] + 1, target_lengths[order] + 1
        longest = [round_up(np.maximum.reduceat(side, starts), self.pad_multiple) for side in (source, target)]
        return np.stack([num_pairs, *longest, np.add.reduceat(target, starts)], axis=1)

    def _size_of(self, index: int) -> _Size:
        with self._lock:
            number, index_in_block = self._locate(index)
            if (self._epoch, number) not in self._sizes:
                self._block(number)
            return _Size(*self._sizes[self._epoch, number][index_in_block].tolist())

    def _padded_lengths(self, index: int) -> tuple[int, int]:
        """Returns S and T of a batch.

        On TensorFlow Keras declares the shapes of all batches from the first two: a length that both share counts as
        fixed, and the first batch of another length ends the training (Keras 3.15.1, `get_keras_tensor_spec`). Where
        the second would be as long as the first it therefore gets `pad_multiple` more, even beyond `size` tokens.
        """
        size = self._size_of(index)
        lengths = size.source_length, size.target_length
        if index != 1:
            return lengths
        source_length, target_length = (
            length + self.pad_multiple if length == first else length
            for length, first in zip(lengths, self._padded_lengths(0), strict=True)
        )
        return source_length, target_length
