"""Which precision is chosen: by a measurement, here one that is made up."""

from __future__ import annotations

import logging

import keras
import pytest
from keras import ops

from nmt.training import precision
from nmt.training.precision import MIN_SPEEDUP, choose_precision


@pytest.mark.parametrize(
    ("speedup", "expected"), [(2.0, "mixed_bfloat16"), (MIN_SPEEDUP * 0.99, "float32"), (0.5, "float32")]
)
def test_the_faster_one_is_chosen_and_the_reason_told(speedup, expected, monkeypatch, caplog):
    seconds = {("float32", "bfloat16"): [1.0, 1.0 / speedup]}
    monkeypatch.setattr(precision, "_seconds_of_products", lambda *dtypes: seconds[dtypes])
    with caplog.at_level(logging.INFO):
        assert choose_precision("auto") == expected
    assert caplog.messages == [
        f"precision: {expected}, as products in bfloat16 take {1 / speedup:.2f} times as long as in float32 here"
    ]


@pytest.mark.parametrize("name", ["float32", "mixed_bfloat16"])
def test_what_is_named_is_not_measured(name, monkeypatch):
    monkeypatch.setattr(precision, "_seconds_of_products", lambda *dtypes: pytest.fail("measured"))
    assert choose_precision(name) == name


@pytest.mark.parametrize("dtypes", [["float32"], ["bfloat16"], ["float32", "bfloat16"]])
def test_products_of_each_dtype_are_timed_in_turn(dtypes, monkeypatch):
    multiplied = []
    matmul = ops.matmul
    monkeypatch.setattr(precision, "compiled", lambda function, variables: function)
    monkeypatch.setattr(ops, "matmul", lambda a, b: multiplied.append((a.dtype, b.dtype)) or matmul(a, b))
    found = precision._seconds_of_products(*dtypes)
    assert len(found) == len(dtypes)
    assert min(found) > 0
    of_pairs = [[keras.backend.standardize_dtype(each) for each in pair] for pair in multiplied]
    assert of_pairs == [[dtype, dtype] for dtype in dtypes] * (precision.NUM_REPEATS + 1)


def test_the_speed_is_that_of_the_product_that_is_timed(monkeypatch):
    monkeypatch.setattr(precision, "_seconds_of_products", lambda dtype: [{"float32": 0.5, "bfloat16": 0.25}[dtype]])
    rows, terms, columns = precision.SHAPE
    assert precision.operations_per_second("float32") == 2 * rows * terms * columns / 0.5
    assert precision.operations_per_second("mixed_bfloat16") == 2 * rows * terms * columns / 0.25
