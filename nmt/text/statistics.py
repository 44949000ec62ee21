"""What a parallel corpus is like, in numbers: how large, how long, in which scripts, and how well its sides fit.

A word is what stands between white space. In a script that writes none between words (Chinese, Japanese, Thai, ...) a
character counts as one, unless the text has been split into words.
Of a large corpus every n-th pair is examined. This module knows nothing of where the pairs come from.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from nmt.errors import CorpusError
from nmt.text.corpus import SentencePair

MAX_EXAMINED = 100_000
"""Most pairs that are examined: 10 seconds, and more would tell the same."""

_SPACELESS_SCRIPTS = (
    (0x0E00, 0x109F),  # Thai, Lao, Tibetan, Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # kana
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_SPLIT = 4.0
"""Characters from one white space to the next, on average, below which text in such a script is split into words."""
_COVERED = 0.9995
_SAME_WORDS = 0.8
_EVIDENCE = 3.0


class Side(NamedTuple):
    """One side of a corpus.

    Attributes:
        num_characters: Characters of a sentence, on average.
        num_words: Words of a sentence, on average.
        long_characters: Characters that one sentence in a hundred exceeds.
        distinct_words: Different words.
        distinct_characters: Different characters, of which the rarest are not counted: one in 2,000 of the text.
        has_spaces: Whether words stand between white space.
    """

    num_characters: float
    num_words: float
    long_characters: int
    distinct_words: int
    distinct_characters: int
    has_spaces: bool


class Statistics(NamedTuple):
    """A corpus.

    Attributes:
        num_pairs: Pairs with text on both sides, repetitions not counted, judged by those examined.
        source: The source side.
        target: The target side.
        shared_letters: How much the letters of both sides have in common: 0 for two scripts, 1 for equal frequencies.
        untranslated: Share of pairs whose sides have nearly the same words.
        swapped: Share of pairs whose sides look like those of the other language, going by all other pairs.
        dev_swapped: The same of the dev pairs, going by the training pairs; 0 if there are none.
        length_correlation: Correlation of the sides' lengths in characters; None if one of them never varies.
    """

    num_pairs: int
    source: Side
    target: Side
    shared_letters: float
    untranslated: float
    swapped: float
    dev_swapped: float
    length_correlation: float | None


def measure(pairs: Iterable[SentencePair], num_pairs: int, dev_pairs: Sequence[SentencePair] = ()) -> Statistics:
    """Examines a corpus.

    Args:
        pairs: The training pairs; gone through once.
        num_pairs: How many they are.
        dev_pairs: Pairs whose sides are compared with theirs.

    Returns:
        Its numbers.

    Raises:
        CorpusError: No pair that was examined has text on both sides.

    Example:
        >>> corpus = measure([SentencePair("a b", "x y z"), SentencePair("a", "x"), SentencePair("a", "x")], 3)
        >>> corpus.num_pairs, corpus.source.num_words, corpus.target.distinct_words, corpus.shared_letters
        (2, 1.5, 3, 0.0)
    """
    step = max(1, math.ceil(num_pairs / MAX_EXAMINED))
    examined = list(itertools.islice(pairs, 0, None, step))
    distinct = list(dict.fromkeys(pair for pair in examined if pair.source.strip() and pair.target.strip()))
    if not distinct:
        raise CorpusError(
            f"training corpora: text on both sides is in none of the {len(examined):,} pairs examined. "
            "Check the files and the columns."
        )
    sources, targets = zip(*distinct, strict=True)
    source, target = _side(sources), _side(targets)
    split: Callable[[str], list[str]] = _words if source.has_spaces and target.has_spaces else list
    words = [(split(pair.source), split(pair.target)) for pair in distinct]
    judge = _Judge(words)
    dev_words = [(split(pair.source), split(pair.target)) for pair in dev_pairs]
    return Statistics(
        num_pairs=round(num_pairs * len(distinct) / len(examined)),
        source=source,
        target=target,
        shared_letters=_shared_letters(sources, targets),
        untranslated=_share(_has_same_words(*pair) for pair in words),
        swapped=_share(judge.finds_swapped(pair, is_counted=True) for pair in words),
        dev_swapped=_share(judge.finds_swapped(pair, is_counted=False) for pair in dev_words),
        length_correlation=_correlation([len(line) for line in sources], [len(line) for line in targets]),
    )


def _side(lines: Sequence[str]) -> Side:
    num_characters = sorted(len(line) for line in lines)
    total = sum(num_characters)
    num_words = sum(len(line.split()) for line in lines)
    characters = Counter(itertools.chain.from_iterable(lines))
    has_spaces = not _is_spaceless(characters) or total / num_words < _SPLIT
    split = _words if has_spaces else list
    covered = itertools.accumulate(count for _, count in characters.most_common())
    return Side(
        num_characters=total / len(lines),
        num_words=(num_words if has_spaces else total) / len(lines),
        long_characters=num_characters[(99 * len(lines) - 1) // 100],
        distinct_words=len({word for line in lines for word in split(line)}),
        distinct_characters=1 + sum(count < _COVERED * total for count in covered),
        has_spaces=has_spaces,
    )


def _is_spaceless(characters: Counter[str]) -> bool:
    letters = [(ord(character), count) for character, count in characters.items() if character.isalpha()]
    spaceless = sum(
        count for code, count in letters if any(first <= code <= last for first, last in _SPACELESS_SCRIPTS)
    )
    return 2 * spaceless > sum(count for _, count in letters)


def _words(line: str) -> list[str]:
    return line.split()


class _Judge:
    """Tells by its words which side of a corpus a sentence is from."""

    def __init__(self, pairs: Sequence[tuple[list[str], list[str]]]) -> None:
        self._counts = tuple(Counter(itertools.chain.from_iterable(side)) for side in zip(*pairs, strict=True))
        num_words = [counts.total() for counts in self._counts]
        self._prior = math.log(num_words[1] / num_words[0])

    def finds_swapped(self, pair: tuple[list[str], list[str]], *, is_counted: bool) -> bool:
        """Returns whether each side looks more like the other one.

        Args:
            pair: Words of the source and the target.
            is_counted: Whether the pair is one of the corpus: its own words must not speak for it.
        """
        own = tuple(Counter(side) if is_counted else Counter[str]() for side in pair)
        # Sum over the words of log p(word | source side) / p(word | target side), from counts of the other pairs.
        evidence = [
            sum(
                math.log((self._counts[0][word] - own[0][word] + 0.5) / (self._counts[1][word] - own[1][word] + 0.5))
                + self._prior
                for word in set(side)
                if self._counts[0][word] + self._counts[1][word] > own[0][word] + own[1][word]
            )
            for side in pair
        ]
        return evidence[0] < -_EVIDENCE and evidence[1] > _EVIDENCE


def _has_same_words(source: list[str], target: list[str]) -> bool:
    one, other = ({word.casefold() for word in side} for side in (source, target))
    return len(one & other) >= _SAME_WORDS * len(one | other)


def _shared_letters(sources: Iterable[str], targets: Iterable[str]) -> float:
    """Returns the sum over the letters of the smaller of their shares of the two sides."""
    one, other = (
        Counter(letter for letter in itertools.chain.from_iterable(lines) if letter.isalpha())
        for lines in (sources, targets)
    )
    totals = max(one.total(), 1), max(other.total(), 1)
    return sum(min(one[letter] / totals[0], other[letter] / totals[1]) for letter in one)


def _share(found: Iterable[bool]) -> float:
    flags = list(found)
    return sum(flags) / max(len(flags), 1)


def _correlation(one: Sequence[int], other: Sequence[int]) -> float | None:
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return float(np.corrcoef(one, other)[0, 1])
