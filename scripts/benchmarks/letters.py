"""A corpus of random letters, as text that is made anew at each reading, and a tokenizer whose pieces are letters.

So a corpus of any size can take the way of a real one, from text to blocks of ids, in a time that a benchmark has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nmt.text.corpus import SentencePair

PAIRS_PER_CHUNK = 50_000
"""Pairs generated at a time: the text of so many exists at once."""


class LetterPairs:
    """Pairs of sides of random letters; hardly any two are equal.

    Args:
        num_pairs: Number of pairs.
        lengths: Shortest and longest side in letters; lengths between are equally frequent on both sides.
        seed: Seed of lengths and letters.
    """

    def __init__(self, num_pairs: int, lengths: tuple[int, int], seed: int = 1) -> None:
        self.num_pairs = num_pairs
        self.lengths = lengths
        self.seed = seed

    def __iter__(self) -> Iterator[SentencePair]:
        random = np.random.default_rng(self.seed)
        for start in range(0, self.num_pairs, PAIRS_PER_CHUNK):
            num_pairs = min(PAIRS_PER_CHUNK, self.num_pairs - start)
            yield from map(SentencePair, self._sides(random, num_pairs), self._sides(random, num_pairs))

    def _sides(self, random: np.random.Generator, num_sides: int) -> Iterator[str]:
        ends = np.cumsum(random.integers(*self.lengths, num_sides, endpoint=True)).tolist()
        letters = random.integers(ord("a"), ord("z"), ends[-1], np.uint8, endpoint=True).tobytes().decode("ascii")
        return (letters[start:end] for start, end in zip([0, *ends], ends, strict=False))


class LetterTokenizer:
    """Makes each letter a piece; in place of SentencePiece, which takes minutes for millions of pairs."""

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Returns the letters' codes, line by line."""
        return [list(line.encode("ascii")) for line in lines]
