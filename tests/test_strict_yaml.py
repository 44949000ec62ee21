"""YAML without surprises: what is written is what is read, and PyYAML's own reader agrees."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nmt.strict_yaml import parse, render

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


def same(first: Any, second: Any) -> bool:
    """Equal in value and in type: 1, 1.0 and true are three values."""
    if isinstance(first, dict) and isinstance(second, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and first == second


@given(TREES)
def test_what_is_rendered_is_parsed_to_an_equal_tree(tree: Any) -> None:
    assert same(parse(render(tree)), tree)


@given(TREES)
def test_what_is_rendered_means_the_same_to_a_reader_of_yaml_1_1(tree: Any) -> None:
    assert same(yaml.safe_load(render(tree)), tree)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("~", None), ("", None), ("null", None),
        ("0", 0), ("-12", -12), ("+12", 12), ("1.", 1.0), (".5", 0.5), ("-1.5e+3", -1500.0), ("1e-3", 0.001),
        ("yes", "yes"), ("No", "No"), ("on", "on"), ("y", "y"), ("010", "010"), ("0x1F", "0x1F"), ("0o7", "0o7"),
        ("1_000", "1_000"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), (".inf", ".inf"), (".nan", ".nan"),
        ("=", "="), ("'1'", "1"), ('"true"', "true"), ("tRUE", "tRUE"), ("1e", "1e"), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_a_plain_scalar_is_read_as_yaml_1_2_reads_it(text: str, value: object) -> None:
    assert same(parse(f"key: {text}"), {"key": value})


def test_a_merge_key_is_an_ordinary_name() -> None:
    assert parse("<<: {a: 1}\nb: 2") == {"<<": {"a": 1}, "b": 2}


def test_other_users_of_pyyaml_notice_nothing() -> None:
    assert yaml.safe_load("a: no\nb: 010\nc: 1e-3") == {"a": False, "b": 8, "c": "1e-3"}
    assert yaml.safe_dump({"a": "1e3"}) == "a: 1e3\n"
