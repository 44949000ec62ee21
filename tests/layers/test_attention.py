"""Attention keeps the Keras contract; its arithmetic is checked in `tests/numerics/test_attention.py`."""

from __future__ import annotations

import numpy as np
import pytest

from nmt.layers.attention import BahdanauAttention
from tests.layer_contract import check_layer

BATCH, SOURCE, QUERY, MEMORY, UNITS = 2, 7, 3, 6, 4


def test_contract(rng, tmp_path):
    check_layer(
        BahdanauAttention,
        {"units": UNITS},
        {
            "query": rng.normal(size=(BATCH, QUERY)).astype("float32"),
            "memory": rng.normal(size=(BATCH, SOURCE, MEMORY)).astype("float32"),
            "mask": np.arange(SOURCE) < np.array([[7], [4]]),
        },
        output_shapes=((BATCH, MEMORY), (BATCH, SOURCE)),
        weight_shapes={
            "query_kernel": (QUERY, UNITS),
            "memory_kernel": (MEMORY, UNITS),
            "bias": (UNITS,),
            "energy_vector": (UNITS, 1),
        },
        unknown_sizes={BATCH, SOURCE},
        folder=tmp_path,
    )


def test_outputs_have_no_mask(rng):
    """The mask is of the memory's positions; a mask named as such was once answered with a warning of Keras."""
    query, memory = rng.normal(size=(BATCH, QUERY)), rng.normal(size=(BATCH, SOURCE, MEMORY))
    outputs = BahdanauAttention(UNITS)(query, memory, mask=np.ones((BATCH, SOURCE), bool))
    assert [getattr(output, "_keras_mask", None) for output in outputs] == [None, None]


def test_units_must_be_positive():
    with pytest.raises(ValueError, match="Received: units=-1"):
        BahdanauAttention(-1)
