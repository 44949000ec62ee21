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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: &x 2", "line 2: anchors are not allowed; remove `&x`"),
        ("a: &x [1]\nb: *x", "line 1: anchors are not allowed; remove `&x`"),
        ("a: 1\nb: *x", "line 2: aliases are not allowed; write the value out"),
        ("a:\n  <<: {b: 1}", "line 2: merge keys are not allowed; write the keys out"),
        ("a: !!python/object/apply:os.system ['x']", "line 1: tags are not allowed; remove `tag:yaml.org,2002:py"),
        ("a: 1\nb: 2\na: 3", "line 3: duplicate key `a`; keep one of them"),
        ("a: 1\n2: b", "line 2: keys must be plain names"),
        ("? [a]\n: b", "line 1: keys must be plain names"),
        ("a: " + "[" * 20 + "]" * 20, "line 1: it is nested too deeply; the limit is 20 levels"),
        ("[" * 900_000, "line 1: it is nested too deeply; the limit is 20 levels"),
        ("- " * 400_000, "line 1: it is nested too deeply; the limit is 20 levels"),
        ("a: 1\nb: " + "9" * 101, "line 2: a whole number has at most 100 digits"),
        # PyYAML ended with an OverflowError, or with a ValueError that names no line.
        ('a: 1\nb: "\\UFFFFFFFF"', "line 2: a number or an escape such as `\\U00110000` is too large"),
        ('a: 1\nb: "\\U00110000"', "line 2: a number or an escape such as `\\U00110000` is too large"),
        ("%YAML 1." + "9" * 5000 + "\n---\na: 1", "line 1: a number or an escape such as `\\U00110000` is too large"),
        # It was read, and could not be written again.
        ('a: 1\nb: "\\ud800"', "line 2: half a surrogate pair is no character; write the character itself"),
        ("a: 1\nb: \x07", "line 2: the character U+0007 is not allowed in YAML"),
        ("a: 1\n---\nb: 2", "line 2: expected a single document in the stream but found another document"),
        ("a: !" + "x" * 100_000 + " b", "line 1: tags are not allowed; remove `!xxx"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^[ -~]{,250}$") as caught:
        parse(text)
    assert str(caught.value).startswith(problem)


def test_twenty_levels_are_read() -> None:
    assert repr(parse("[" * 20 + "]" * 20)) == "[" * 20 + "]" * 20


def test_what_occurs_twice_is_written_twice() -> None:
    shared = ["x"]
    assert parse(render({"a": shared, "b": shared, "<<": shared})) == {"a": ["x"], "b": ["x"], "<<": ["x"]}


def test_other_users_of_pyyaml_notice_nothing() -> None:
    assert yaml.safe_load("a: no\nb: 010\nc: 1e-3") == {"a": False, "b": 8, "c": "1e-3"}
    assert yaml.safe_dump({"a": "1e3"}) == "a: 1e3\n"
