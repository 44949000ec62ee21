"""Which precision is chosen: by a measurement, here one that is made up."""

from __future__ import annotations

import logging

import pytest

from nmt.training import precision
from nmt.training.precision import MIN_SPEEDUP, choose_precision


@pytest.mark.parametrize(
    ("speedup", "expected"), [(2.0, "mixed_bfloat16"), (MIN_SPEEDUP * 0.99, "float32"), (0.5, "float32")]
)
def test_the_faster_one_is_chosen_and_the_reason_told(speedup, expected, monkeypatch, caplog):
    monkeypatch.setattr(precision, "_seconds_of_product", lambda dtype: 1.0 if dtype == "float32" else 1.0 / speedup)
    with caplog.at_level(logging.INFO):
        assert choose_precision("auto") == expected
    assert caplog.messages == [
        f"precision: {expected}, as products in bfloat16 take {1 / speedup:.2f} times as long as in float32 here"
    ]


@pytest.mark.parametrize("name", ["float32", "mixed_bfloat16"])
def test_what_is_named_is_not_measured(name, monkeypatch):
    monkeypatch.setattr(precision, "_seconds_of_product", lambda dtype: pytest.fail("measured"))
    assert choose_precision(name) == name


def test_products_are_really_timed():
    seconds = [precision._seconds_of_product(dtype) for dtype in ("float32", "bfloat16")]
    assert all(0 < each < 60 for each in seconds)
