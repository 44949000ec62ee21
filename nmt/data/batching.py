"""Which sentence pairs make up each batch, and the padding that makes a rectangle of them.

NumPy alone: this module knows nothing of text, tokenizers or Keras, and a plan is the same on every backend. Lengths
are those of the rows as a model will see them, so they count the end (or the beginning) of the sentence.

Shape letters: N pairs, B batch, L length of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmt.errors import InputError
from nmt.text.special import PAD_ID

# Pairs are sorted by length inside pools of about this many batches: larger pools pad less and mix less. Padding added
# to the source / target side, and the chance that two pairs of one batch meet again in the next epoch, with
# SentencePiece of 8,000 pieces and 80 pairs a batch:
#   batches in a pool             1      10      25      50     100     200     all
#   Multi30k, 29,000 pairs     67/67   20/15   13/9    10/6     8/5     5/3     3/2   %
#                                0.5     1.9     4.7     8.8    14.3    24.5    40.4  %
#   Tatoeba, 165,813 pairs   149/170   26/20   18/11   13/8     9/5     6/3     1/1   %
#                               0.05     0.3     0.8     1.3     2.1     3.3     9.8  %
# Sorting a random pool of 100 batches by (target length, source length) instead pads 22/2 % and 20/3 %, and batches of
# at most 2,000 tokens become 11 % and 9 % more.
POOL_BATCHES = 100


def plan_batches(
    source_lengths: ArrayLike,
    target_lengths: ArrayLike,
    *,
    size: int,
    unit: str,
    seed: int,
    epoch: int,
    block: int = 0,
    shuffle: bool = True,
) -> list[NDArray[np.intp]]:
    """Divides the pairs into batches of similar length, in an order that (seed, epoch, block) alone decides.

    Pairs are sorted by the longer of their two lengths, ties at random, and dealt out to pools in turn; each pool is
    sorted by (longer length, target length - source length), which keeps neighbours alike on both sides. The pools,
    every other one turned round so that lengths run on at the joints, are cut into batches, and the batches shuffled.

    Dealing out gives every pool the same sequence of longer lengths in every epoch, and nothing else decides the cuts:
    the **number of batches is the same in every epoch**: the cursor of a run and the time that is left are told by it.

    Args:
        source_lengths: (N,) lengths of the source rows, each at least 1.
        target_lengths: (N,) lengths of the target rows, each at least 1.
        size: Size of a batch, in `unit`; at least 1.
        unit: `sentences`: pairs in a batch (the last may have fewer). `tokens`: the longer padded side of a batch, that
            is its number of pairs times its longest row, holds at most `size` tokens.
        seed: Seed of the order; at least 0.
        epoch: Which pass over the pairs, from 0.
        block: Which of the parts that a corpus is divided into these pairs are, from 0: each has an order of its own.
        shuffle: Whether the order is random. If not it runs from short to long, the same in every epoch.

    Returns:
        Arrays of indices into the lengths: each index once in all.

    Raises:
        InputError: An argument breaks its rule, or one pair alone is longer than a batch of `size` tokens.

    Example:
        >>> plan = plan_batches([3, 9, 4, 8], [3, 9, 3, 9], size=20, unit="tokens", seed=1, epoch=0, shuffle=False)
        >>> [batch.tolist() for batch in plan]
        [[0, 2], [1, 3]]
    """
    source, target = np.asarray(source_lengths, np.int64), np.asarray(target_lengths, np.int64)
    _check(source, target, size, unit)
    if not len(source):
        return []
    longer = np.maximum(source, target)
    # The bit generator's own stream is the same in every release of NumPy; what `Generator` makes of it need not be.
    random = np.random.PCG64([seed, epoch, block] if block else [seed, epoch])
    if shuffle:
        num_batches = (len(longer) if unit == "sentences" else int(longer.sum())) / size
        order = _pooled_order(longer, target - source, max(1, round(num_batches / POOL_BATCHES)), random)
    else:
        order = np.lexsort((target - source, longer))
    cuts = range(size, len(order), size) if unit == "sentences" else _token_cuts(longer[order], size)
    batches = np.split(order, cuts)
    if shuffle:
        batches = [batches[i] for i in _permutation(len(batches), random)]
    return batches


def pad(sequences: Sequence[ArrayLike], multiple: int = 1, min_length: int = 0) -> NDArray[np.int32]:
    """Puts sequences of ids below each other, filled up on the right with `PAD_ID`.

    Args:
        sequences: B sequences of ids, of any lengths.
        multiple: The common length L is rounded up to a multiple of this; at least 1.
        min_length: Least length before rounding.

    Returns:
        (B, L) int32.

    Raises:
        InputError: `multiple` is less than 1.

    Example:
        >>> pad([[5, 6, 7], [8]], multiple=4)
        array([[5, 6, 7, 0],
               [8, 0, 0, 0]], dtype=int32)
    """
    if multiple < 1:
        raise InputError(f"rows are padded to a multiple of at least 1. Received: multiple={multiple}. Use 1 for none.")
    rows = [np.asarray(sequence, np.int32) for sequence in sequences]
    length = max([min_length, *map(len, rows)])
    padded = np.full((len(rows), round_up(length, multiple)), PAD_ID, np.int32)
    for padded_row, row in zip(padded, rows, strict=True):
        padded_row[: len(row)] = row
    return padded


def round_up(length: Any, multiple: int) -> Any:
    """Returns the next multiple that is not smaller; for numbers and arrays.

    >>> round_up(9, 8), round_up(8, 8)
    (16, 8)
    """
    return -(-length // multiple) * multiple


def _check(source: NDArray[np.int64], target: NDArray[np.int64], size: int, unit: str) -> None:
    if unit not in ("sentences", "tokens"):
        raise InputError(f"the size of a batch counts `sentences` or `tokens`. Received: unit={unit!r}. Choose one.")
    if size < 1:
        raise InputError(f"a batch holds at least 1 of its unit. Received: size={size}. Give a larger one.")
    if source.ndim != 1 or source.shape != target.shape:
        shapes = f"source_lengths of shape {source.shape}, target_lengths of shape {target.shape}"
        raise InputError(f"every pair has one source length and one target length. Received: {shapes}.")
    if not len(source):
        return
    if min(source.min(), target.min()) < 1:
        received = f"a length of {min(source.min(), target.min())}"
        raise InputError(f"a row has at least one token, the end of the sentence. Received: {received}. Count it too.")
    longer = np.maximum(source, target)
    if unit == "tokens" and longer.max() > size:
        longest = int(longer.argmax())
        raise InputError(
            f"a pair alone is longer than a batch: {source[longest]} source and {target[longest]} target "
            f"tokens, the end of the sentence included. Rule: the longer padded side of a batch holds at most `size` "
            f"tokens, and no pair is cut. Received: size={size}, unit='tokens'. Raise the size to {longer[longest]} or "
            f"more, or leave out longer pairs."
        )


def _pooled_order(
    longer: NDArray[np.int64], difference: NDArray[np.int64], num_pools: int, random: np.random.PCG64
) -> NDArray[np.intp]:
    """Returns the order that is cut into batches: pool after pool, each sorted, each a sample of all lengths."""
    by_length = np.lexsort((random.random_raw(len(longer)), longer))
    pools = []
    for number in range(num_pools):
        pool = by_length[number::num_pools]
        pool = pool[np.lexsort((difference[pool], longer[pool]))]
        pools.append(pool if number % 2 == 0 else pool[::-1])
    return np.concatenate(pools)


def _token_cuts(longer: NDArray[np.int64], size: int) -> list[int]:
    """Returns where to cut pairs in this order so that each batch takes as many as `size` tokens hold."""
    cuts = [0]
    while cuts[-1] < len(longer):
        start = cuts[-1]
        window = longer[start : start + size // int(longer[start])]  # no batch from here can have more pairs
        tokens = np.maximum.accumulate(window) * np.arange(1, len(window) + 1)
        cuts.append(start + int(np.searchsorted(tokens, size, side="right")))
    return cuts[1:-1]


def order_blocks(num_blocks: int, seed: int, epoch: int) -> NDArray[np.intp]:
    """Returns the order in which an epoch visits the blocks of a corpus: a permutation that (seed, epoch) decides."""
    # As one more block the permutation has random numbers of its own.
    return _permutation(num_blocks, np.random.PCG64([seed, epoch, num_blocks]))


def _permutation(length: int, random: np.random.PCG64) -> NDArray[np.intp]:
    return np.argsort(random.random_raw(length), kind="stable")
