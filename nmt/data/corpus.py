"""Parallel text as token ids, in flat arrays.

This module takes tokenizers and filters as they come and knows nothing of files, batches or Keras.

Shape letter: N pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nmt.text.corpus import SentencePair
    from nmt.text.filters import PairFilter
    from nmt.text.tokenizer import Tokenizer

CHUNK_PAIRS = 10_000
"""Pairs encoded at a time: lists of Python integers exist for so many only."""


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
        numbers: (N,) which pairs of what was read they are, counted from 1; unsigned.
        num_blocks: Parts in which the corpus is read: it is one part, `block(0)`. See `nmt.data.blocks` for others.
    """

    source_ids: NDArray[Any]
    source_offsets: NDArray[np.int64]
    target_ids: NDArray[Any]
    target_offsets: NDArray[np.int64]
    numbers: NDArray[Any]
    num_blocks: ClassVar[int] = 1

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[SentencePair],
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        pair_filter: PairFilter | None = None,
    ) -> TokenizedCorpus:
        """Encodes the pairs, without those that the filter leaves out; otherwise as `from_numbered_pairs`."""
        return cls.from_numbered_pairs(enumerate(pairs, start=1), source_tokenizer, target_tokenizer, pair_filter)

    @classmethod
    def from_numbered_pairs(
        cls,
        pairs: Iterable[tuple[int, SentencePair]],
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        pair_filter: PairFilter | None = None,
    ) -> TokenizedCorpus:
        """Encodes the pairs, without those that the filter leaves out.

        Args:
            pairs: Each with its number, from 1; read once, a chunk at a time.
            source_tokenizer: Encodes the source sides.
            target_tokenizer: Encodes the target sides; may be the same object.
            pair_filter: Counts what it leaves out; telling it, by `pair_filter.report()`, is the caller's part. By
                default every pair is kept.

        Returns:
            The pairs that were kept, in their order; perhaps none.
        """
        source, target = _FlatRows(source_tokenizer.vocabulary_size), _FlatRows(target_tokenizer.vocabulary_size)
        numbers = [np.empty(0, np.uint32)]
        pairs = iter(pairs)
        while chunk := list(itertools.islice(pairs, CHUNK_PAIRS)):
            if pair_filter is not None:
                chunk = [(number, pair) for number, pair in chunk if pair_filter.keeps_text(pair)]
            source_rows = source_tokenizer.encode([pair.source for _, pair in chunk])
            target_rows = target_tokenizer.encode([pair.target for _, pair in chunk])
            kept = [
                (number, source_row, target_row)
                for (number, _), source_row, target_row in zip(chunk, source_rows, target_rows, strict=True)
                if pair_filter is None or pair_filter.keeps_lengths(len(source_row), len(target_row))
            ]
            numbers.append(np.array([number for number, _, _ in kept], np.uint32))
            source.append([source_row for _, source_row, _ in kept])
            target.append([target_row for _, _, target_row in kept])
        return cls(*source.arrays(), *target.arrays(), np.concatenate(numbers))

    def block(self, number: int) -> TokenizedCorpus:
        """Returns the whole corpus, which is block 0."""
        return (self,)[number]

    def block_lengths(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the pieces of each source and of each target sentence of a block."""
        block = self.block(number)
        return block.source_lengths, block.target_lengths

    def __len__(self) -> int:
        return len(self.source_offsets) - 1

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
        return np.concatenate([np.empty(0, self._dtype), *self._values]), np.cumsum(np.concatenate(self._lengths))
