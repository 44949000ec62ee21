"""Parallel text as token ids: the whole corpus in flat arrays, and the batches of one epoch after another.

This module takes tokenizers and filters as they come and knows nothing of files, models or losses. Which pairs share a
batch is decided in `nmt.data.batching`.

Shape letters: N pairs, B batch, S source length, T target length.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from nmt.data.batching import pad, plan_batches, round_up
from nmt.errors import CorpusError, InputError
from nmt.text.special import BOS_ID, EOS_ID

if TYPE_CHECKING:
    from nmt.text.corpus import SentencePair
    from nmt.text.filters import PairFilter
    from nmt.text.tokenizer import Tokenizer

CHUNK_PAIRS = 10_000
"""Pairs encoded at a time: lists of Python integers exist for so many only."""

Batch = tuple[dict[str, NDArray[np.int32]], NDArray[np.int32]]


@dataclass(frozen=True, eq=False, repr=False)
class TokenizedCorpus:
    """Sentence pairs as piece ids, without beginning or end of sentence.

    The ids of a side lie end to end in one array of the smallest type that holds the vocabulary: two bytes a piece up
    to 65,536 pieces. Sentence i is `ids[offsets[i] : offsets[i + 1]]`.

    Attributes:
        source_ids: Ids of all source sentences, unsigned.
        source_offsets: (N + 1,) int64.
        target_ids: Ids of all target sentences, unsigned.
        target_offsets: (N + 1,) int64.
        pair_numbers: (N,) int64, ascending: where each pair stood in the corpus it came from, counted from 1.
    """

    source_ids: NDArray[Any]
    source_offsets: NDArray[np.int64]
    target_ids: NDArray[Any]
    target_offsets: NDArray[np.int64]
    pair_numbers: NDArray[np.int64]

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[SentencePair],
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        pair_filter: PairFilter | None = None,
    ) -> TokenizedCorpus:
        """Encodes the pairs, without those that the filter leaves out.

        Args:
            pairs: Read once, a chunk at a time.
            source_tokenizer: Encodes the source sides.
            target_tokenizer: Encodes the target sides; may be the same object.
            pair_filter: Counts what it leaves out; telling it, by `pair_filter.report()`, is the caller's part. By
                default every pair is kept.

        Returns:
            The pairs that were kept, in their order.

        Raises:
            CorpusError: There are no pairs, or the filter leaves none.
        """
        source, target = _FlatRows(source_tokenizer.vocabulary_size), _FlatRows(target_tokenizer.vocabulary_size)
        pair_numbers: list[NDArray[np.int64]] = []
        num_pairs = 0
        numbered = enumerate(pairs, start=1)
        while chunk := list(itertools.islice(numbered, CHUNK_PAIRS)):
            num_pairs += len(chunk)
            if pair_filter is not None:
                chunk = [(number, pair) for number, pair in chunk if pair_filter.keeps_text(pair)]
            source_rows = source_tokenizer.encode([pair.source for _, pair in chunk])
            target_rows = target_tokenizer.encode([pair.target for _, pair in chunk])
            rows = zip([number for number, _ in chunk], source_rows, target_rows, strict=True)
            kept = [row for row in rows if pair_filter is None or pair_filter.keeps_lengths(len(row[1]), len(row[2]))]
            pair_numbers.append(np.array([number for number, _, _ in kept], np.int64))
            source.append([source_row for _, source_row, _ in kept])
            target.append([target_row for _, _, target_row in kept])
        if not sum(map(len, pair_numbers)):
            report = pair_filter.report() if pair_filter is not None and num_pairs else "it has no sentence pairs"
            raise CorpusError(
                f"nothing is left of the corpus: {report}. Rule: at least one sentence pair remains. "
                f"Check that the files are the ones you mean, or loosen the limits on length."
            )
        return cls(*source.arrays(), *target.arrays(), np.concatenate(pair_numbers))

    def __len__(self) -> int:
        return len(self.pair_numbers)

    def __repr__(self) -> str:
        return f"TokenizedCorpus({len(self)} pairs, {len(self.source_ids)} + {len(self.target_ids)} pieces)"

    def source(self, index: int) -> NDArray[np.int32]:
        """Returns the piece ids of one source sentence."""
        return _row(self.source_ids, self.source_offsets, index)

    def target(self, index: int) -> NDArray[np.int32]:
        """Returns the piece ids of one target sentence."""
        return _row(self.target_ids, self.target_offsets, index)

    @property
    def source_lengths(self) -> NDArray[np.int64]:
        """(N,) pieces of each source sentence."""
        return np.diff(self.source_offsets)

    @property
    def target_lengths(self) -> NDArray[np.int64]:
        """(N,) pieces of each target sentence."""
        return np.diff(self.target_offsets)


def _row(ids: NDArray[Any], offsets: NDArray[np.int64], index: int) -> NDArray[np.int32]:
    index = range(len(offsets) - 1)[index]  # counts from the end too, and refuses what is outside
    return ids[offsets[index] : offsets[index + 1]].astype(np.int32)


class _FlatRows:
    """Rows of ids, collected chunk by chunk into one array and the offsets of the rows in it."""

    def __init__(self, vocabulary_size: int) -> None:
        self._dtype = np.min_scalar_type(vocabulary_size - 1)
        self._values: list[NDArray[Any]] = []
        self._lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]

    def append(self, rows: Sequence[Sequence[int]]) -> None:
        self._values.append(np.fromiter(itertools.chain.from_iterable(rows), self._dtype))
        self._lengths.append(np.fromiter(map(len, rows), np.int64, len(rows)))

    def arrays(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        return np.concatenate(self._values), np.cumsum(np.concatenate(self._lengths))


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
        ...     pair_numbers=np.array([1, 2]),
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
        corpus: TokenizedCorpus,
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
        self._source_lengths = round_up(corpus.source_lengths + 1, pad_multiple).astype(np.int32)
        self._target_lengths = round_up(corpus.target_lengths + 1, pad_multiple).astype(np.int32)
        self._epoch = 0
        self._taken: set[int] | None = None  # batches taken since `on_epoch_begin`
        self._plan = (0, self._plan_epoch(0))

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
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch:
        """Returns batch `index` of the current epoch."""
        index = range(len(self))[index]
        if self._taken is not None:
            self._taken.add(index)
        source_length, target_length = self._padded_lengths(index)
        pairs = self._batches[index]
        sources = [np.append(self.corpus.source(pair), EOS_ID) for pair in pairs]
        targets = [self.corpus.target(pair) for pair in pairs]
        inputs = {
            "source_ids": pad(sources, min_length=source_length),
            "target_ids": pad([np.append(BOS_ID, target) for target in targets], min_length=target_length),
        }
        return inputs, pad([np.append(target, EOS_ID) for target in targets], min_length=target_length)

    def num_target_tokens(self, index: int) -> int:
        """Returns the real target tokens of a batch: pieces and ends of sentences, no padding."""
        pairs = self._batches[index]
        offsets = self.corpus.target_offsets
        return int((offsets[pairs + 1] - offsets[pairs] + 1).sum())

    def num_padded_tokens(self, index: int) -> int:
        """Returns the target tokens of a batch with its padding: B x T."""
        index = range(len(self))[index]
        return len(self._batches[index]) * self._padded_lengths(index)[1]

    def on_epoch_begin(self) -> None:
        self._taken = set()

    def on_epoch_end(self) -> None:
        if self._taken is not None and len(self._taken) == len(self):
            self.epoch += 1
        self._taken = None

    @property
    def _batches(self) -> list[NDArray[np.intp]]:
        if self._plan[0] != self._epoch:
            self._plan = (self._epoch, self._plan_epoch(self._epoch))
        return self._plan[1]

    def _plan_epoch(self, epoch: int) -> list[NDArray[np.intp]]:
        return plan_batches(
            self._source_lengths,
            self._target_lengths,
            size=self.size,
            unit=self.unit,
            seed=self.seed,
            epoch=epoch,
            shuffle=self.shuffle,
        )

    def _padded_lengths(self, index: int) -> tuple[int, int]:
        """Returns S and T of a batch.

        On TensorFlow Keras declares the shapes of all batches from the first two: a length that both share counts as
        fixed, and the first batch of another length ends the training (Keras 3.15.1, `get_keras_tensor_spec`). Where
        the second would be as long as the first it therefore gets `pad_multiple` more, even beyond `size` tokens.
        """
        pairs = self._batches[index]
        lengths = int(self._source_lengths[pairs].max()), int(self._target_lengths[pairs].max())
        if index != 1:
            return lengths
        source_length, target_length = (
            length + self.pad_multiple if length == first else length
            for length, first in zip(lengths, self._padded_lengths(0), strict=True)
        )
        return source_length, target_length
