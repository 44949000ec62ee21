"""The section of the configuration that beam search reads; a model keeps it.

This module knows pydantic, nothing of models or of how the search works.
"""

from __future__ import annotations

import math
from typing import Any

import pydantic
from pydantic import Field

from nmt.config_corpora import Section
from nmt.config_problems import describe
from nmt.errors import InputError

EXTRA_TARGET_PIECES = 10
"""Pieces an output may have beyond its ratio of the source, so that one word can become several."""

MAX_POSITIONS = 2**24
"""Most pieces that the hypotheses of a sentence, or of a batch of several, may have together: bounds the memory."""


class DecodingConfig(Section):
    """Beam search; the defaults of every later translation with the model."""

    beam_size: int = Field(5, ge=1, le=1000, description="Hypotheses kept a step; 1 is greedy search.")
    length_penalty: float = Field(1.0, ge=0, le=10, description="GNMT length penalty alpha; 0: none.")
    coverage_penalty: float = Field(0.0, ge=0, le=10, description="GNMT coverage penalty beta; 0: none.")
    min_length_ratio: float = Field(0.0, ge=0, le=1, description="Shortest output, as a ratio of the source's pieces.")
    max_length_ratio: float = Field(
        2.0, gt=0, le=100, description="Longest output, as a ratio of the source's pieces (plus ten)."
    )
    no_repeat_ngram_size: int = Field(0, ge=0, le=100, description="No n-gram of this many pieces comes twice; 0: off.")
    max_source_pieces: int = Field(
        128, ge=8, le=10_000, description="Longer lines are translated in parts of this many pieces, and joined again."
    )
    batch_size: int = Field(128, ge=1, le=100_000, description="Sentences translated at a time.")

    def with_changes(self, changes: dict[str, Any]) -> DecodingConfig:
        """Returns a copy with some values changed.

        Raises:
            InputError: A name is unknown or a value out of range; all problems are listed.
        """
        try:
            changed = DecodingConfig.model_validate({**self.model_dump(), **changes})
        except pydantic.ValidationError as error:
            raise InputError("; ".join(describe(error, DecodingConfig))) from None
        if problem := changed.length_problem():
            raise InputError(problem)
        return changed

    def longest_output(self, num_source_pieces: int) -> int:
        """Returns how many pieces an output may have where its source has so many."""
        return math.ceil(num_source_pieces * self.max_length_ratio) + EXTRA_TARGET_PIECES

    def length_problem(self) -> str | None:
        """Returns what is wrong with the limits of length together, if anything is."""
        shortest, longest = self.min_length_ratio, self.max_length_ratio
        if shortest > longest:
            return f"min_length_ratio: must be <= max_length_ratio ({longest}). Received: {shortest}"
        if self.beam_size * self.longest_output(self.max_source_pieces) <= MAX_POSITIONS:
            return None
        return (
            f"beam_size: times the longest output, of max_source_pieces x max_length_ratio + {EXTRA_TARGET_PIECES} "
            f"pieces, must be <= {MAX_POSITIONS:,}, else a sentence takes too much memory. Received: "
            f"beam_size={self.beam_size}, max_source_pieces={self.max_source_pieces}, max_length_ratio={longest}. "
            "Lower one of them"
        )
