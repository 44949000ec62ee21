"""The machine's limit: how fast it multiplies large matrices, in each arithmetic that is used.

No program that spends its operations in matrix products can be faster, so every speed stands beside its share of this.
It is measured in the process, on the cores and at the moment of what it is compared with.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.spread import Spread

# Large enough that starting a product costs nothing beside it, small enough for a tenth of a second a product. The two
# oblong ones show a library that is fast for squares alone.
SHAPES = ((2048, 2048, 2048), (1536, 2048, 2560), (2560, 2048, 1536))

DTYPES = ("float32", "bfloat16")


def matrix_product_peak(dtype: str, shapes: tuple[tuple[int, int, int], ...] = SHAPES, num_repeats: int = 2) -> Spread:
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

    def seconds_of(left: Any, right: Any) -> float:
        start = time.perf_counter()
        result = product(left, right)
        float(ops.convert_to_numpy(ops.cast(result[0, 0], "float32")))  # waits where the backend does not
        return time.perf_counter() - start

    rates = []
    for n, k, m in shapes:
        left, right = (ops.cast(random.normal(shape, seed=1), dtype) for shape in ((n, k), (k, m)))
        seconds_of(left, right)
        rates += [2 * n * k * m / seconds_of(left, right) for _ in range(num_repeats)]
    return Spread.of(rates)


def dtype_of(precision: str) -> str:
    """Returns the arithmetic of the products under a Keras dtype policy.

    Example:
        >>> dtype_of("mixed_bfloat16")
        'bfloat16'
    """
    return precision.removeprefix("mixed_")


def measure(dtypes: tuple[str, ...] = DTYPES) -> dict[str, Any]:
    """Measures the peak of each arithmetic, in operations a second."""
    from nmt import startup

    startup.import_keras()
    return {dtype: matrix_product_peak(dtype) for dtype in dtypes}
