"""The machine's limit: how fast it multiplies large matrices, in each arithmetic that is used.

No program that spends its operations in matrix products can be faster, so every speed stands beside its share of this.
It is measured in the process, on the cores and at the moment of what it is compared with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.spread import Spread

Shapes = tuple[tuple[int, int, int], ...]

# Large enough that starting a product costs nothing beside it, small enough for a tenth of a second a product. The two
# oblong ones show a library that is fast for squares alone.
SHAPES: Shapes = ((2048, 2048, 2048), (1536, 2048, 2560), (2560, 2048, 1536))

DTYPES = ("float32", "bfloat16")


def matrix_product_peak(dtype: str, shapes: Shapes = SHAPES, num_repeats: int = 2) -> Spread:
    """Measures floating-point operations a second of matrix products, compiled by the active backend.

    Args:
        dtype: Arithmetic of the products.
        shapes: (n, k, m) of each product of an (n, k) and a (k, m) matrix.
        num_repeats: Timed runs of each, after one that is not.

    Returns:
        The spread over all products.
    """
    from keras import ops, random

    from nmt.backend import compiled

    product = compiled(ops.matmul, [])

    def multiply(left: Any, right: Any) -> None:
        result = product(left, right)
        float(ops.convert_to_numpy(ops.cast(result[0, 0], "float32")))  # waits where the backend does not

    return _peak(lambda shape: ops.cast(random.normal(shape, seed=1), dtype), multiply, shapes, num_repeats)


def numpy_product_peak(shapes: Shapes = SHAPES, num_repeats: int = 2) -> Spread:
    """Measures the same with NumPy in float32, which is what translates on a CPU."""
    rng = np.random.default_rng(1)
    return _peak(lambda shape: rng.standard_normal(shape, "float32"), np.matmul, shapes, num_repeats)


def _peak(
    draw: Callable[[tuple[int, int]], Any], multiply: Callable[[Any, Any], object], shapes: Shapes, num_repeats: int
) -> Spread:
    rates = []
    for n, k, m in shapes:
        left, right = draw((n, k)), draw((k, m))
        multiply(left, right)
        for _ in range(num_repeats):
            start = time.perf_counter()
            multiply(left, right)
            rates.append(2 * n * k * m / (time.perf_counter() - start))
    return Spread.of(rates)


def dtype_of(precision: str) -> str:
    """Returns the arithmetic of the products under a Keras dtype policy.

    Example:
        >>> dtype_of("mixed_bfloat16")
        'bfloat16'
    """
    return precision.removeprefix("mixed_")


def measure(dtypes: tuple[str, ...] = DTYPES) -> dict[str, Any]:
    """Measures the peak of each arithmetic, and NumPy's, in operations a second."""
    from nmt import startup

    in_numpy = numpy_product_peak()
    startup.import_keras()
    return {dtype: matrix_product_peak(dtype) for dtype in dtypes} | {"float32, NumPy": in_numpy}
