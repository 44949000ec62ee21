"""Loops: output that repeats itself where the source does not, the way in which a recurrent decoder most often fails.

This module knows token ids and characters, and nothing of models, beams or lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

EXTRA_REPEATS = 3
"""How many times more often than anything in the source a stretch must stand in a row to be a loop."""

MIN_PIECES = 8
"""Fewest pieces of a loop, all its repeats together: `1 000 000` and `....` are none."""

_MIN_CHARACTERS = 3  # of what counts as repeated in a source: a double letter does not


def is_looping(token_ids: Sequence[int], source: str) -> bool:
    """Tells whether an output repeats itself in a way that its source does not.

    It does where some stretch of it, one piece or more, stands in a row at least `EXTRA_REPEATS` times more often than
    any stretch of characters of the source does, regardless of case and of double letters, and makes up at least
    `MIN_PIECES` pieces. A source in which nothing is repeated counts once: four times in a row is then the least. A
    row of dots, or `ha ha ha ha ha ha ha ha`, is no loop where the source has one like it.

    Args:
        token_ids: The pieces of the output.
        source: The text that it translates.

    Example:
        >>> is_looping([5, 6, 7, 5, 6, 7, 5, 6, 7, 5, 6, 7], "one two three")
        True
        >>> is_looping([5, 6, 7, 5, 6, 7, 5, 6, 7, 5, 6, 7], "bye bye bye bye")
        False
        >>> is_looping([5, 6, 7, 5, 6, 7, 5, 6, 7], "one two three")
        False
    """
    repeats = most_repeats(token_ids, MIN_PIECES)
    if repeats <= EXTRA_REPEATS:
        return False
    # In front of each word of a list there is a space, so that the first counts too.
    return repeats >= EXTRA_REPEATS + most_repeats(f" {source}".casefold(), _MIN_CHARACTERS)


def most_repeats(sequence: Sequence[Hashable], min_length: int = 0) -> int:
    """Returns how often the stretch that is most often repeated stands in a row; 1 where none is repeated.

    Args:
        sequence: Tokens, or the characters of a text.
        min_length: Fewest elements of all repeats together; what is shorter does not count.

    Example:
        >>> most_repeats("a b b b c"), most_repeats("one two")
        (3, 1)
    """
    most = 1
    # Nothing is repeated more often than the most frequent element occurs: most sentences are done with this.
    at_most = max(Counter(sequence).values(), default=0)
    for size in range(1, len(sequence) // 2 + 1):
        if size * (most + 1) > len(sequence) or at_most <= most:
            break  # a longer stretch has no room for more repeats
        matches = 0
        for one, other in zip(sequence, sequence[size:], strict=False):
            matches = matches + 1 if one == other else 0
            repeats = matches // size + 1
            if repeats > most and repeats * size >= min_length:
                most = repeats
    return most
