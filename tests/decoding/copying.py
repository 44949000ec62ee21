"""A model that needs no training: it writes what it reads. What a translator adds or loses on the way is then seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nmt.decoding.search import Candidates
from nmt.text.special import EOS_ID


class CopyingModel:
    """What `Translator` wants of a model, with the source's pieces as its output, one a step and certain."""

    workers = 2

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = self.target_vocabulary_size = vocabulary_size
        self.weights: dict[str, Any] = {}

    def encode(self, source_ids: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Returns the sentences, and for each the position that is read next."""
        return source_ids, np.zeros(len(source_ids), int)

    def advance(self, encoded: Any, state: Any, parents: Any, token_ids: Any, counts: Any) -> tuple[Any, Any, Any]:
        positions = state[parents]
        sentences = np.repeat(np.arange(len(counts)), counts)
        attention = np.eye(max(map(len, encoded)), positions.max() + 1, dtype="float32").T[positions]
        # Beyond its end a sentence has nothing but ends.
        next_ids = [
            [*encoded[one], *[EOS_ID] * position][position] for one, position in zip(sentences, positions, strict=True)
        ]
        return np.array(next_ids), positions + 1, attention

    def candidates(self, next_ids: Any, size: int, banned: Any = None) -> Candidates:
        # The others are next to impossible: their logit is 100 less.
        others = (next_ids[:, None] + np.arange(1, size)) % self.vocabulary_size
        token_ids = np.concatenate([next_ids[:, None], others], axis=1)
        log_probs = np.where(np.arange(size) == 0, 0.0, -100.0) * np.ones_like(token_ids, "float32")
        log_probs = np.where(token_ids < EOS_ID, -np.inf, log_probs)
        return Candidates(token_ids, log_probs, np.where(next_ids == EOS_ID, 0.0, -100.0))

    def label_log_probs(self, next_ids: Any, labels: Any) -> Any:
        return np.where(labels == next_ids, 0.0, -100.0)
