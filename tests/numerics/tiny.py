"""Tiny models and batches for the numeric tests: small enough to check every number, odd enough to tell axes apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from nmt.model import Seq2Seq
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID
from tests.gradients import as_array

VOCABULARY = 11

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
}
"""Every choice of every option at least twice, in four models."""

SENTENCES = [([5, 6, 7, 4, 9], [8, 10, 5]), ([4], [7, 6, 5, 9]), ([10, 5, 8], [4])]
"""Source and target pieces: each length differs, and no source is the longest where its target is."""


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


def rows(sentences: list[tuple[list[int], list[int]]] = SENTENCES) -> list[tuple[list[int], list[int], list[int]]]:
    """Returns source ids, target ids and labels of each sentence, as `Seq2Seq.call` describes them."""
    return [([*source, EOS_ID], [BOS_ID, *target], [*target, EOS_ID]) for source, target in sentences]


def padded(
    sentences: list[tuple[list[int], list[int]]] = SENTENCES, extra_source: int = 0, extra_target: int = 0
) -> tuple[dict[str, Any], Any]:
    """Returns the batch for `Seq2Seq.call`, and its labels, with some columns of padding more than it needs."""
    sources, targets, labels = zip(*rows(sentences), strict=True)

    def matrix(lists: tuple[list[int], ...], extra: int) -> Any:
        length = max(map(len, lists)) + extra
        return ops.convert_to_tensor(np.array([row + [PAD_ID] * (length - len(row)) for row in lists], "int32"))

    return {"source_ids": matrix(sources, extra_source), "target_ids": matrix(targets, extra_target)}, matrix(
        labels, extra_target
    )
