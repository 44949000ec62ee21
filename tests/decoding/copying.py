"""A model that needs no training: it writes what it reads. What a translator adds or loses on the way is then seen."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from nmt.text.special import PAD_ID

CERTAINTY = 100.0
"""Logit of the piece to copy; the others have 0, so that the log-probability is 0 to a float32."""


class Encoded(NamedTuple):
    source_ids: Any  # (B, S)
    mask: Any  # (B, S)


class CopyingModel:
    """What `Translator` and `BeamSearch` use of a `Seq2Seq`, with the source's pieces as its output, one a step."""

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size

    def named_weights(self) -> dict[str, Any]:
        return {}

    def encode(self, source_ids: Any) -> Encoded:
        return Encoded(source_ids, ops.not_equal(source_ids, PAD_ID))

    def initial_state(self, encoded: Encoded) -> Any:
        """Returns (B,): the position that is read next."""
        return ops.zeros_like(encoded.source_ids[:, 0])

    def step(self, token_ids: Any, state: Any, encoded: Encoded) -> tuple[Any, Any, Any]:
        num_sentences, source_length = ops.shape(encoded.source_ids)
        attention = ops.one_hot(state, source_length)  # (B * Q, S)
        by_sentence = ops.reshape(ops.cast(attention, "int32"), (num_sentences, -1, source_length))
        next_ids = ops.reshape(ops.sum(by_sentence * ops.expand_dims(encoded.source_ids, 1), axis=-1), (-1,))
        return CERTAINTY * ops.one_hot(next_ids, self.vocabulary_size), state + 1, attention
