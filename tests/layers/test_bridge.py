"""The bridge: contract and formula."""

from __future__ import annotations

import numpy as np

from nmt.layers.bridge import Bridge
from tests.gradients import as_array
from tests.layer_contract import check_layer

BATCH, SUMMARY, UNITS = 2, 6, 4


def test_contract(rng, tmp_path):
    check_layer(
        Bridge,
        {"units": UNITS},
        {"summary": rng.normal(size=(BATCH, SUMMARY)).astype("float32")},
        output_shapes=(BATCH, UNITS),
        weight_shapes={"dense/kernel": (SUMMARY, UNITS), "dense/bias": (UNITS,)},
        unknown_sizes={BATCH},
        folder=tmp_path,
    )


def test_formula(rng):
    summary = rng.normal(size=(BATCH, SUMMARY)).astype("float32")
    bridge = Bridge(UNITS)
    bridge.build(summary.shape)
    kernel, bias = rng.normal(size=(SUMMARY, UNITS)), rng.normal(size=UNITS)
    bridge.set_weights([kernel, bias])
    np.testing.assert_allclose(as_array(bridge(summary)), np.tanh(summary @ kernel + bias), atol=1e-5)
