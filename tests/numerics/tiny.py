"""Tiny models and batches for the numeric tests: small enough to check every number, odd enough to tell axes apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from nmt.model import Seq2Seq
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID
from tests.gradients import as_array

VOCABULARY = 11

WIDE = {"encoder_size": 6, "decoder_size": 8}
"""Of two numbers, normalised ones have no slope; of few they have a steep one where the two are near."""

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "conditional-after-all": {"decoder": "conditional", "reset_after": True, "tied_embeddings": "all"},
    "input_feeding-before-none-2": {
        "decoder": "input_feeding",
        "reset_after": False,
        "tied_embeddings": "none",
        "encoder_layers": 2,
        "source_vocabulary_size": 13,
    },
    "conditional-before-target": {"decoder": "conditional", "reset_after": False, "tied_embeddings": "target"},
    "input_feeding-after-all": {"decoder": "input_feeding", "reset_after": True, "tied_embeddings": "all"},
    "conditional-after-lexical": {"decoder": "conditional", "reset_after": True, "lexical_model": True},
    "input_feeding-before-lexical-none": {
        "decoder": "input_feeding",
        "reset_after": False,
        "tied_embeddings": "none",
        "source_vocabulary_size": 13,
        "lexical_model": True,
    },
    "conditional-after-norm": {"decoder": "conditional", "reset_after": True, "layer_norm": True, **WIDE},
    "conditional-before-norm": {"decoder": "conditional", "reset_after": False, "layer_norm": True, **WIDE},
    "conditional-after-transitions": {"decoder": "conditional", "reset_after": True, "decoder_transitions": 1},
    "conditional-before-transitions-norm": {
        "decoder": "conditional",
        "reset_after": False,
        "layer_norm": True,
        "decoder_transitions": 2,
        **WIDE,
    },
    "input_feeding-after-norm": {"decoder": "input_feeding", "reset_after": True, "layer_norm": True, **WIDE},
}
"""Both decoders with both variants of the GRU, and every choice of the other options."""

Sentence = tuple[list[int], list[int]]

SENTENCES: list[Sentence] = [([5, 6, 7, 4, 9], [8, 10, 5]), ([4], [7, 6, 5, 9]), ([10, 5, 8], [4])]
"""Source and target pieces: each length differs, and the longest source has not the longest target."""

NOTHING: Sentence = ([], [])
"""A row of padding alone."""

SOURCE_LENGTH, TARGET_LENGTH = 6, 5
"""Columns that `SENTENCES` need."""


def tiny_model(rng: np.random.Generator, **options: Any) -> Seq2Seq:
    """Returns a model with every weight drawn at random: no bias is zero, nothing is orthogonal."""
    sizes = {"source_vocabulary_size": VOCABULARY, "target_vocabulary_size": VOCABULARY, "embedding_size": 3}
    sizes |= {"encoder_size": 2, "decoder_size": 4, "attention_size": 5}
    model = Seq2Seq(**(sizes | options))
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.7, size=weight.shape))
    return model


def reference_weights(model: Seq2Seq) -> dict[str, np.ndarray]:
    """Returns the weights for `tests.numerics.reference`."""
    return {name: as_array(weight) for name, weight in model.named_weights().items()}


def rows(sentences: Sequence[Sentence] = SENTENCES) -> list[tuple[list[int], list[int], list[int]]]:
    """Returns source ids, target ids and labels of each sentence, as `Seq2Seq.call` describes them."""
    return [
        ([], [], []) if (source, target) == NOTHING else ([*source, EOS_ID], [BOS_ID, *target], [*target, EOS_ID])
        for source, target in sentences
    ]


def padded(
    sentences: Sequence[Sentence] = SENTENCES, source_length: int = SOURCE_LENGTH, target_length: int = TARGET_LENGTH
) -> tuple[dict[str, Any], Any]:
    """Returns the batch for `Seq2Seq.call`, and its labels, with so many columns."""
    sources, targets, labels = zip(*rows(sentences), strict=True)

    def matrix(lists: tuple[list[int], ...], length: int) -> Any:
        return ops.convert_to_tensor(np.array([row + [PAD_ID] * (length - len(row)) for row in lists], "int32"))

    inputs = {"source_ids": matrix(sources, source_length), "target_ids": matrix(targets, target_length)}
    return inputs, matrix(labels, target_length)
