"""What a translator returns of a line, and how many lines came out in a way that a person should know of.

This module knows nothing of models, searches or tokenizers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a command that only counts does without
    import numpy as np


@dataclass(frozen=True)
class Hypothesis:
    """A translation of one line."""

    text: str
    """The translation; never contains a line separator."""
    token_ids: tuple[int, ...]
    """Its pieces, without the end of sentence."""
    score: float
    """Length-penalised log-probability; higher is better."""
    log_prob: float
    """Plain sum of the log-probabilities of the pieces and the end of sentence, in nats."""
    attention: np.ndarray | None = None
    """(T, S) weights of each output piece over the source pieces, both with the end of sentence; where asked for."""
    is_capped: bool = False
    """Whether it ended where the limit of length ended it, and might have gone on."""
    is_looping: bool = False
    """Whether it repeats itself where its source does not; see `nmt.decoding.loops`."""
    is_fallback: bool = False
    """Whether it stands here in place of one with a better score that loops."""
    num_parts: int = 1
    """In how many parts the line was translated, because it was too long to be translated whole."""

    @property
    def flags(self) -> list[str]:
        """The names of what is out of the ordinary about it: `split`, `capped`, `looping`, `fallback`."""
        named = {
            "split": self.num_parts > 1,
            "capped": self.is_capped,
            "looping": self.is_looping,
            "fallback": self.is_fallback,
        }
        return [name for name, is_set in named.items() if is_set]


BLANK = Hypothesis("", (), 0.0, 0.0)
"""The translation of a blank line."""


@dataclass(frozen=True)
class Score:
    """How probable a model finds a given translation."""

    log_prob: float
    """Sum of the log-probabilities of the pieces and the end of sentence, in nats."""
    num_pieces: int
    """Pieces of the target, the end of sentence counted."""


def join(parts: Sequence[tuple[str, list[Hypothesis]]]) -> list[Hypothesis]:
    """Joins the hypotheses of a line's parts, the best with the best and so on.

    Args:
        parts: Of each part what goes before it, a space or nothing, and its hypotheses; none for a blank line.
    """
    if not parts:
        return [BLANK]
    if len(parts) == 1:
        return parts[0][1]
    spaces = [space for space, _ in parts]
    return [
        Hypothesis(
            text="".join(space + part.text for space, part in zip(spaces, ranked, strict=True)).strip(),
            token_ids=tuple(token_id for part in ranked for token_id in part.token_ids),
            score=sum(part.score for part in ranked),
            log_prob=sum(part.log_prob for part in ranked),
            is_capped=any(part.is_capped for part in ranked),
            is_looping=any(part.is_looping for part in ranked),
            is_fallback=any(part.is_fallback for part in ranked),
            num_parts=len(parts),
        )
        for ranked in zip(*(found for _, found in parts), strict=False)
    ]


def fall_back(pool: list[Hypothesis], wider: list[Hypothesis]) -> list[Hypothesis]:
    """Puts another hypothesis in the place of a best one that loops, and marks it.

    Only one that has text, does not loop and was not ended by the limit of length may stand in: saying nothing, or
    half of something, is no better.

    Args:
        pool: The hypotheses of a line, best first; the first one loops.
        wider: Those of a wider search.

    Returns:
        Those of the wider search: first the best that may stand in, then all others, last those that loop. The pool as
        it is where none may.
    """
    able = [one for one in wider if one.text.strip() and not one.is_looping and not one.is_capped]
    if not able:
        return pool
    others = [one for one in wider if one is not able[0]]
    return [dataclasses.replace(able[0], is_fallback=True), *loops_last(others)]


def loops_last(pool: list[Hypothesis]) -> list[Hypothesis]:
    """Returns the hypotheses in the same order, save that those that loop stand behind the others."""
    return sorted(pool, key=lambda one: one.is_looping)


@dataclass
class Counts:
    """How many lines of a translation were read or translated out of the ordinary; grows from call to call.

    Example:
        >>> counts = Counts()
        >>> counts.add([Hypothesis("a a a a", (4,) * 8, -1.0, -1.0, is_looping=True), BLANK])
        >>> counts.num_looping
        1
        >>> list(counts.messages())
        ['1 output repeats itself, and no other hypothesis of its line was better']
    """

    num_surrogates: int = 0
    """Lines with half a surrogate pair, which is no text; a Python string can hold it."""
    num_split: int = 0
    num_capped: int = 0
    num_fallbacks: int = 0
    num_looping: int = 0

    def add(self, best: Sequence[Hypothesis]) -> None:
        """Counts the best hypothesis of each line."""
        self.num_split += sum(one.num_parts > 1 for one in best)
        self.num_capped += sum(one.is_capped for one in best)
        self.num_fallbacks += sum(one.is_fallback for one in best)
        self.num_looping += sum(one.is_looping for one in best)

    def messages(self) -> Iterator[str]:
        """Yields a line for each count that is not zero."""
        for count, of_one, of_several in (
            (
                self.num_surrogates,
                "line held half a surrogate pair, which is no text; it was read as U+FFFD",
                "lines held half a surrogate pair, which is no text; it was read as U+FFFD",
            ),
            (
                self.num_split,
                "line was too long (max_source_pieces), translated in parts and joined again",
                "lines were too long (max_source_pieces), translated in parts and joined again",
            ),
            (
                self.num_capped,
                "output was ended by the limit of length (max_length_ratio)",
                "outputs were ended by the limit of length (max_length_ratio)",
            ),
            (
                self.num_fallbacks,
                "output repeated itself, and the next best one that does not stands in its place",
                "outputs repeated themselves, and the next best ones that do not stand in their places",
            ),
            (
                self.num_looping,
                "output repeats itself, and no other hypothesis of its line was better",
                "outputs repeat themselves, and no other hypotheses of their lines were better",
            ),
        ):
            if count:
                yield f"{count:,} {of_one if count == 1 else of_several}"
