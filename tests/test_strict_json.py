"""Strict JSON reads what `json` reads, but nothing that two readers could take for different things."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt import strict_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(tree=PLAIN)
def test_it_reads_what_json_writes(tree):
    assert strict_json.parse(json.dumps(tree).encode()) == tree


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "line 1: Expecting value"),
        (b"{\n1}", "line 2: Expecting property name enclosed in double quotes"),
        (b"{} {}", "line 1: Extra data"),
        (b"ab\xff", "invalid UTF-8 at byte 2"),
        (b"\xff\xfe{\0}\0", "invalid UTF-8 at byte 0"),
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "duplicate key 'b'"),
        (b"[NaN]", "NaN is no number in JSON"),
        (b"-Infinity", "-Infinity is no number in JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_it_refuses(content, problem):
    with pytest.raises(ValueError, match=r"^[ -~]+$") as caught:
        strict_json.parse(content)
    assert str(caught.value) == problem


def test_a_number_of_too_many_digits_is_refused():
    with pytest.raises(ValueError, match="digits"):
        strict_json.parse(b"9" * 100_000)
    with pytest.raises(ValueError, match=r"^a whole number has at most 100 digits, received 101$"):
        strict_json.parse(b"[" + b"9" * 101 + b"]")
    assert strict_json.parse(b"9" * 100) == int("9" * 100)
    with pytest.raises(ValueError, match="1e999 is too large"):
        strict_json.parse(b"[1e999]")


def test_a_duplicate_among_many_keys_is_found_at_once():
    # Each key was counted among all: a header of 1 MB took minutes.
    keys = [f'"{number}": 0' for number in range(300_000)]
    with pytest.raises(ValueError, match="duplicate key '299999'"):
        strict_json.parse(("{" + ", ".join([*keys, keys[-1]]) + "}").encode())
