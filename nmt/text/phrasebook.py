"""The built-in corpus: a synchronous grammar that generates English-French sentence pairs of a traveller's world.

The grammar is finite and unambiguous: it makes each English sentence once, with one French translation. Where English
leaves a choice, a rule decides: "you" is the polite "vous" to one man, "I" is a man, "they" without antecedent are men,
"old" is "vieux" of people and things alike. French is typed as on a plain keyboard: straight apostrophes, and an
ordinary space before a question mark.

This module knows seeds and splits. The corpus itself lies in four others: `phrasebook_templates` (which words go
together), `phrasebook_sentences` (kinds of sentence), `phrasebook_grammar` (what agrees with what) and
`phrasebook_lexicon` (the words).
"""

from __future__ import annotations

import random
import zlib
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Literal, get_args

from nmt.errors import CorpusError, did_you_mean
from nmt.text.corpus import SentencePair
from nmt.text.phrasebook_templates import TEMPLATES

Split = Literal["train", "dev", "test"]

_DEV_PERCENT = 5
_TEST_PERCENT = 5


def generate(split: Split, num_pairs: int, seed: int = 1) -> list[SentencePair]:
    """Generates distinct English-French sentence pairs.

    The same arguments give the same pairs on every platform, and `generate(split, n)` is the beginning of
    `generate(split, m)` for m > n. Templates are drawn in proportion to the cube root of their number of sentences, so
    that a large one does not crowd out the others; each sentence is drawn once.

    Args:
        split: `"train"`, `"dev"` or `"test"`. No English and no French sentence is in two of them, whatever the seeds.
        num_pairs: Number of pairs.
        seed: Chooses which sentences come, and in which order.

    Returns:
        `num_pairs` pairs, source English, target French.

    Raises:
        CorpusError: The split is unknown, or holds fewer pairs than `num_pairs`.

    >>> for pair in generate("train", 3):
    ...     print(pair.source, "|", pair.target)
    They aren't going to buy any rice. | Ils ne vont pas acheter de riz.
    The green book is heavier than the red book. | Le livre vert est plus lourd que le livre rouge.
    The bridge isn't very old. | Le pont n'est pas très vieux.
    """
    if split not in get_args(Split):
        raise CorpusError(
            f"phrasebook: unknown split. {did_you_mean(split, get_args(Split))} Received: split={split!r}"
        )
    if num_pairs < 0:
        raise CorpusError(f"phrasebook: num_pairs must be >= 0. Received: num_pairs={num_pairs}")
    pairs = list(islice((pair for pair in _draw(seed) if split_of(pair) == split), num_pairs))
    if len(pairs) < num_pairs:
        raise CorpusError(
            f"phrasebook: the split `{split}` has {len(pairs):,} pairs. Received: num_pairs={num_pairs:,}. "
            f"Ask for at most {len(pairs):,}."
        )
    return pairs


def split_of(pair: SentencePair) -> Split:
    """Returns the split of a pair, decided by its French alone: translations of one French sentence stay together."""
    percent = zlib.crc32(pair.target.encode()) % 100
    if percent < _TEST_PERCENT:
        return "test"
    return "dev" if percent < _TEST_PERCENT + _DEV_PERCENT else "train"


def _draw(seed: int) -> Iterator[SentencePair]:
    """Yields every sentence of the grammar once, in an order decided by the seed."""
    # Of the generator only random() is used: Python keeps its sequence the same from version to version.
    generator = random.Random(seed)
    templates = [(template, _shuffled(template.num_sentences, generator)) for template in TEMPLATES]
    while templates:
        bounds = list(accumulate(round(template.num_sentences ** (1 / 3)) for template, _ in templates))
        exhausted = False
        while not exhausted:
            choice = bisect(bounds, int(generator.random() * bounds[-1]))
            template, numbers = templates[choice]
            number = next(numbers, None)
            exhausted = number is None
            if number is not None:
                yield SentencePair(*template.sentence(number))
        del templates[choice]


def _shuffled(size: int, generator: random.Random) -> Iterator[int]:
    """Yields the numbers below `size` in random order (Fisher-Yates), remembering only those that were swapped."""
    swapped: dict[int, int] = {}
    for position in range(size):
        other = position + int(generator.random() * (size - position))
        yield swapped.get(other, other)
        swapped[other] = swapped.pop(position, position)
