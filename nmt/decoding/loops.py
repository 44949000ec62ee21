"""Loops: output that repeats itself where the source does not, the way in which a recurrent decoder most often fails.

This module knows characters, and nothing of pieces, models, beams or lines.
"""

from __future__ import annotations

from collections.abc import Iterator

EXTRA_REPEATS = 3
"""How many times more often than anything in the source a stretch must stand in a row to be a loop."""

MIN_CHARACTERS = 24
"""Fewest characters of a loop, all its repeats together: `very very very very` is none."""

LAUGHTER_REPEATS = 12
"""Fewest repeats of a stretch of one or two letters: people write `ha ha ha ha ha` and `nooooooo`."""

MAX_STRETCH = 256
"""Longest stretch, in characters, that is looked for: bounds the time."""

_MIN_SOURCE_CHARACTERS = 3  # of what counts as repeated in a source: a double letter does not


def is_looping(text: str, source: str, *, is_capped: bool = False) -> bool:
    """Tells whether an output repeats itself in a way that its source does not.

    What is looked at is a run: a stretch of at most `MAX_STRETCH` characters several times in a row. The source has
    its most repeated one, regardless of case and of double letters; a source in which nothing is repeated counts once.
    An output loops where a run of it has `EXTRA_REPEATS` repeats more than that (so four or more), and

    - the stretch has three different letters or more, and the run `MIN_CHARACTERS` characters or more; or
    - the stretch has one or two different letters, and the run as many characters and `LAUGHTER_REPEATS` repeats; or
    - the limit of length ended the output, and the run makes up more than half of it: then any stretch will do.

    So digits, signs and emoji, of which numbers, rulers and emphasis are made, are no loop where the output ends of
    itself; nor is what the source repeats.

    Args:
        text: The output.
        source: The text that it translates.
        is_capped: Whether the limit of length ended the output.

    Example:
        >>> is_looping("a dog in a dog in a dog in a dog in a", "one two three")
        True
        >>> is_looping("a dog in a dog in a dog in a dog in a", "bye bye bye bye")
        False
        >>> is_looping("1,000,000,000,000", "one trillion")
        False
    """
    # In front of each word of a list there is a space, so that the first counts too.
    text = f" {text}"
    least = 0
    for stretch, repeats in _runs(text, EXTRA_REPEATS + 1):
        size = repeats * len(stretch)
        if not ((is_capped and 2 * size > len(text)) or _is_odd(stretch, repeats)):
            continue
        least = least or EXTRA_REPEATS + most_repeats(f" {source}".casefold(), _MIN_SOURCE_CHARACTERS)
        if repeats >= least:
            return True
    return False


def most_repeats(text: str, min_length: int = 0) -> int:
    """Returns how often the stretch that is most often repeated stands in a row; 1 where none is repeated.

    Args:
        text: A text.
        min_length: Fewest characters of all repeats together; what is shorter does not count.

    Example:
        >>> most_repeats("a b b b c"), most_repeats("one two")
        (3, 1)
    """
    return max((repeats for stretch, repeats in _runs(text, 2) if repeats * len(stretch) >= min_length), default=1)


def _is_odd(stretch: str, repeats: int) -> bool:
    """Tells whether a run is one that people hardly write."""
    num_letters = len({character for character in stretch.casefold() if character.isalpha()})
    least = EXTRA_REPEATS + 1 if num_letters > 2 else LAUGHTER_REPEATS
    return bool(num_letters) and repeats >= least and repeats * len(stretch) >= MIN_CHARACTERS


def _runs(text: str, min_repeats: int) -> Iterator[tuple[str, int]]:
    """Yields each run of so many repeats or more: the stretch and how often it stands in a row."""
    for size in range(1, min(len(text) // min_repeats, MAX_STRETCH) + 1):
        # Every character of a run but those of its last repeat is the same as the one `size` further on: a row of at
        # least so many, and one of them is at a multiple of their number.
        least = (min_repeats - 1) * size
        end = 0
        for place in range(0, len(text) - size, least):
            if place < end or text[place] != text[place + size]:
                continue
            start, end = place, place + 1
            while start and text[start - 1] == text[start - 1 + size]:
                start -= 1
            while end < len(text) - size and text[end] == text[end + size]:
                end += 1
            if end - start >= least:
                yield text[start : start + size], (end - start) // size + 1
