"""A corpus in blocks: one in memory if it is small, several on disk, of which one at a time is read, if it is not.

Which block a pair belongs to is decided by a digest of its text. So each block is a random sample of the corpus, and
equal pairs share one, where the filter finds them without a view of the others. What lies on disk has no name: it goes
when the process ends, however it ends. This module knows nothing of batches or of how pairs are read.

Shape letter: N pairs.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nmt.data.corpus import TokenizedCorpus
from nmt.data.spool import Spool
from nmt.errors import CorpusError
from nmt.text.corpus import SentencePair

if TYPE_CHECKING:
    from nmt.text.filters import PairFilter
    from nmt.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

BLOCK_PAIRS = 200_000
"""Most pairs of a block, on average: about so many are in memory at a time."""

MAX_BLOCKS = 500
"""A corpus of more pairs than this many blocks hold has larger ones: each is an open file while it is written."""

_BUFFER_BYTES = 65_536  # of text a block, before they go to its file
_PREFIX = struct.Struct("<III")  # number of a pair, bytes of its two sides


class PairSource(Sized, Protocol):
    """Sentence pairs, and how many they are."""

    def __iter__(self) -> Iterator[SentencePair]: ...


def tokenize(
    pairs: PairSource,
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
    pair_filter: PairFilter,
    folder: str | Path,
) -> TokenizedCorpus | BlockCorpus:
    """Encodes pairs without those that the filter leaves out, in blocks on disk if they are more than `BLOCK_PAIRS`.

    Args:
        pairs: Read once.
        source_tokenizer: Encodes the source sides.
        target_tokenizer: Encodes the target sides; may be the same object.
        pair_filter: Counts what it leaves out; telling it is the caller's part.
        folder: Where the blocks lie. Their text needs as much space there as the pairs themselves, for a while; their
            ids, to the end of the process, about half of that.

    Raises:
        CorpusError: There are no pairs, or the filter leaves none.
        FileError: The folder can't be written, or is full.
    """
    num_blocks = min(MAX_BLOCKS, -(-len(pairs) // BLOCK_PAIRS))
    corpus: TokenizedCorpus | BlockCorpus
    if num_blocks <= 1:
        corpus = TokenizedCorpus.from_pairs(pairs, source_tokenizer, target_tokenizer, pair_filter)
    else:
        logger.info("more than %s pairs: they are tokenized into %d blocks on disk", f"{BLOCK_PAIRS:,}", num_blocks)
        corpus = BlockCorpus(folder)
        for block in _divide(pairs, num_blocks, folder):
            corpus.append(TokenizedCorpus.from_numbered_pairs(block, source_tokenizer, target_tokenizer, pair_filter))
            pair_filter.forget()
    if not len(corpus):
        report = pair_filter.report() if pair_filter.num_pairs else "it has no sentence pairs"
        raise CorpusError(
            f"nothing is left of the corpus: {report}. Rule: at least one sentence pair remains. "
            f"Check that the files are the ones you mean, or loosen the limits on length."
        )
    return corpus


class _Place(NamedTuple):
    """Where a block begins in the file, and what it holds."""

    start: int
    num_pairs: int
    num_source_ids: int
    num_target_ids: int


class BlockCorpus:
    """Tokenized blocks in a file without a name; a block is read anew each time that it is asked for.

    A block lies there as the lengths of its source sentences, those of its target sentences, the numbers of its pairs,
    the source ids and the target ids.

    Args:
        folder: Where the file lies.

    Raises:
        FileError: The folder can't be written or is full; later, that the file can't be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self._spool = Spool(folder)
        self._places: list[_Place] = []
        self._dtypes: tuple[Any, Any] = np.uint16, np.uint16

    def append(self, block: TokenizedCorpus) -> None:
        """Adds a block at the end, unless it is empty."""
        if not len(block):
            return
        self._dtypes = block.source_ids.dtype, block.target_ids.dtype
        self._places.append(_Place(self._spool.size, len(block), len(block.source_ids), len(block.target_ids)))
        lengths = block.source_lengths.astype(np.int32), block.target_lengths.astype(np.int32)
        for array in (*lengths, block.numbers.astype(np.uint32), block.source_ids, block.target_ids):
            self._spool.write(array)

    @property
    def num_blocks(self) -> int:
        """Number of blocks that have at least one pair."""
        return len(self._places)

    def __len__(self) -> int:
        return sum(place.num_pairs for place in self._places)

    def __repr__(self) -> str:
        return f"BlockCorpus({len(self)} pairs in {self.num_blocks} blocks)"

    def block(self, number: int) -> TokenizedCorpus:
        """Reads a block."""
        place = self._places[number]
        offsets = [np.cumsum(np.append(0, lengths)) for lengths in self.block_lengths(number)]
        source_dtype, target_dtype = self._dtypes
        position = place.start + 2 * place.num_pairs * np.dtype(np.int32).itemsize
        numbers = self._spool.read_array(position, np.uint32, place.num_pairs)
        position += numbers.nbytes
        source_ids = self._spool.read_array(position, source_dtype, place.num_source_ids)
        target_ids = self._spool.read_array(position + source_ids.nbytes, target_dtype, place.num_target_ids)
        return TokenizedCorpus(source_ids, offsets[0], target_ids, offsets[1], numbers)

    def block_lengths(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Reads the pieces of each source and of each target sentence of a block: (N,) each."""
        place = self._places[number]
        lengths = self._spool.read_array(place.start, np.int32, 2 * place.num_pairs).astype(np.int64)
        return lengths[: place.num_pairs], lengths[place.num_pairs :]


_NumberedPairs = Iterator[tuple[int, SentencePair]]


def _divide(pairs: Iterable[SentencePair], num_blocks: int, folder: str | Path) -> Iterator[_NumberedPairs]:
    """Yields the pairs of one block after the other, in the order in which they came; all are read before the first."""
    spools = [Spool(folder) for _ in range(num_blocks)]
    buffers = [bytearray() for _ in range(num_blocks)]
    for number, pair in enumerate(pairs, start=1):
        block = int.from_bytes(pair.digest(), "little") % num_blocks
        source, target = (side.encode("utf-8", "surrogatepass") for side in pair)
        buffer = buffers[block]
        buffer += _PREFIX.pack(number, len(source), len(target)) + source + target
        if len(buffer) >= _BUFFER_BYTES:
            spools[block].write(buffer)
            buffer.clear()
    for spool, buffer in zip(spools, buffers, strict=True):
        spool.write(buffer)
        buffer.clear()
    while spools:
        with spools.pop(0) as spool:  # closed, so that its space is free again
            yield _pairs_in(spool)


def _pairs_in(spool: Spool) -> _NumberedPairs:
    while prefix := spool.read_next(_PREFIX.size):
        number, *sizes = _PREFIX.unpack(prefix)
        yield number, SentencePair(*(spool.read_next(size).decode("utf-8", "surrogatepass") for size in sizes))
