"""A promise: a stored model loads in every later version, and translates as on the day when it was made.

`scripts/make_golden_model.py` made the model and its translations. The test is run on each backend.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import nmt
from nmt.text.lines import read_lines

HERE = Path(__file__).parent
SCORE_TOLERANCE = 0.002
"""Scores are stored with three digits; what is left is how differently the backends round."""


@pytest.fixture(scope="module")
def translator():
    return nmt.load(HERE / "model")


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    return [line.split("\t") for line in read_lines(HERE / "translations.tsv")]


def test_translations_are_what_they_were(translator, rows):
    lines, texts, scores = zip(*rows, strict=True)
    assert len(lines) >= 30
    found = translator.translate(lines)
    assert [one.text for one in found] == list(texts)
    assert [one.score for one in found] == pytest.approx([float(score) for score in scores], abs=SCORE_TOLERANCE)


def test_each_line_alone_is_translated_the_same(translator, rows):
    for line, text, _ in rows[7:11]:
        assert translator.translate([line])[0].text == text


def test_the_model_has_learned_something(rows):
    # Else translations could stay the same by being nothing.
    translations = {line: text for line, text, _ in rows}
    assert translations["Where is the station?"] == "Où est la gare ?"
    assert len(set(translations.values())) > 25
