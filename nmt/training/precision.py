"""The arithmetic of a model in training, chosen by what this machine is faster in.

Products in bfloat16 have half the bytes of float32, and processors with instructions for them (AVX512_BF16, AMX, the
tensor cores of a GPU) make about twice as many. Without such instructions, or under XLA on a CPU, they are slower than
float32: so it is measured, not looked up.
"""

from __future__ import annotations

import logging
import time
from typing import Literal

import numpy as np
from keras import ops

from nmt.backend import compiled

logger = logging.getLogger(__name__)

Precision = Literal["float32", "mixed_bfloat16"]

SHAPE = (1024, 512, 2048)
"""Rows, terms and columns of the product that is timed: like those that a batch of 80 sentences needs."""

NUM_REPEATS = 7

MIN_SPEEDUP = 1.4
"""How much faster bfloat16 must be: casts have their price, and a gain in a product is less of one in an update."""


def choose_precision(precision: Literal["auto"] | Precision) -> Precision:
    """Returns the precision itself, or where it is "auto" the one in which products are faster; a second at most."""
    if precision != "auto":
        return precision
    in_float32, in_bfloat16 = _seconds_of_products("float32", "bfloat16")
    speedup = in_float32 / in_bfloat16
    chosen: Precision = "mixed_bfloat16" if speedup >= MIN_SPEEDUP else "float32"
    logger.info(
        "precision: %s, as products in bfloat16 take %.2f times as long as in float32 here", chosen, 1 / speedup
    )
    return chosen


def operations_per_second(precision: Precision) -> float:
    """Returns how many floating-point operations a second this machine makes in products; half a second at most."""
    rows, terms, columns = SHAPE
    (seconds,) = _seconds_of_products("float32" if precision == "float32" else "bfloat16")
    return 2 * rows * terms * columns / seconds


def _seconds_of_products(*dtypes: str) -> list[float]:
    """Returns the fewest seconds in each type; they take turns, so that a busy moment seldom slows one alone."""
    rows, terms, columns = SHAPE
    rng = np.random.default_rng(1)
    left, right = rng.standard_normal((rows, terms), "float32"), rng.standard_normal((terms, columns), "float32")
    pairs = [(ops.cast(left, dtype), ops.cast(right, dtype)) for dtype in dtypes]
    # The sum is what is waited for, as some backends return before they have computed; of all, so that all is computed.
    product = compiled(lambda left, right: ops.sum(ops.matmul(left, right)), [])
    for pair in pairs:
        float(product(*pair))
    fastest = [float("inf")] * len(pairs)
    for _ in range(NUM_REPEATS):
        for number, pair in enumerate(pairs):
            start = time.perf_counter()
            float(product(*pair))
            fastest[number] = min(fastest[number], time.perf_counter() - start)
    return fastest
