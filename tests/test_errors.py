"""The hint that names what was meant, whatever names a file brings along."""

from __future__ import annotations

import pytest

from nmt.errors import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("beam_sise", ["batch_size", "beam_size"], "Did you mean `beam_size`?"),
        ("x", ["b", "a"], "Known: a, b."),
        ("x", [], "Known: ."),
        ("x", ["de\nerror: all is lost", "\x1b[2J"], "Known: \\x1b[2J, de\\nerror: all is lost."),
        ("de\n2", ["de\n"], "Did you mean `de\\n`?"),
        ("x", ["y" * 1000], f"Known: {'y' * 77}...."),
        ("k", [f"name {number:03}" for number in range(100)],
         f"Known: {', '.join(f'name {number:03}' for number in range(30))} and 70 more."),
    ],
)  # fmt: skip
def test_a_hint_is_one_short_line(name, known, hint):
    assert did_you_mean(name, known) == hint


def test_long_names_are_not_compared_for_hours():
    # The comparison takes time by the product of their lengths.
    assert did_you_mean("ab" * 500_000, ["ba" * 500_000]).startswith("Known: baba")
    assert did_you_mean("name", [f"naem {number}" for number in range(300_000)]).startswith("Did you mean `naem ")
