"""Gradients, updates and conditions as training has them on each backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from nmt.training.backend import apply_if, compiled_gradient, compiled_update, is_out_of_memory
from tests.gradients import as_array


def test_gradients_state_and_the_rest():
    """Of an embedding, a row that is looked up twice has the sum of both; an unused weight has zeros."""
    table = keras.Variable(np.arange(8, dtype="float32").reshape(4, 2))
    scale, unused = keras.Variable(3.0), keras.Variable([1.0, 1.0])
    num_calls = keras.Variable(0, dtype="int32", trainable=False)

    def function(ids):
        num_calls.assign(num_calls + 1)
        total = ops.sum(ops.take(table, ids, axis=0)) * scale
        return total, {"twice": 2 * total}

    gradient = compiled_gradient(function, [table, scale, unused], [num_calls])
    for ids in (np.array([1, 3, 1], "int32"), np.array([0], "int32")):  # another length, another shape
        gradients, rest = gradient(ids)
        rows = np.bincount(ids, minlength=4)[:, None] * np.ones(2)
        np.testing.assert_array_equal(as_array(gradients[0]), 3 * rows)
        total = (np.arange(8).reshape(4, 2) * rows).sum()
        assert as_array(gradients[1]) == total
        np.testing.assert_array_equal(as_array(gradients[2]), [0, 0])
        assert as_array(rest["twice"]) == 6 * total
    assert as_array(num_calls) == 2


@pytest.mark.parametrize("condition", [True, False])
def test_all_variables_change_or_none(condition):
    first, second = keras.Variable([1.0, 2.0]), keras.Variable(5, dtype="int32", trainable=False)

    def change():
        first.assign(first * 10)
        second.assign_add(1)

    def update(is_wanted, addend):
        apply_if(is_wanted, change, [first, second])
        return addend + 1

    compiled = compiled_update(update, [first, second])
    for _ in range(2):
        assert as_array(compiled(ops.convert_to_tensor(condition), ops.convert_to_tensor(4.0))) == 5
    np.testing.assert_array_equal(as_array(first), [100, 200] if condition else [1, 2])
    assert as_array(second) == (7 if condition else 5)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (type("ResourceExhaustedError", (Exception,), {})("OOM when allocating tensor"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 123 bytes."), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert is_out_of_memory(error) == expected
