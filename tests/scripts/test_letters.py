from __future__ import annotations

import pytest

from benchmarks import letters
from benchmarks.letters import LetterPairs, LetterTokenizer


@pytest.mark.parametrize("chunk", [7, 50_000])
def test_text_is_the_same_at_each_reading(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(letters, "PAIRS_PER_CHUNK", chunk)
    stream = LetterPairs(100, (2, 5), seed=3)
    pairs = list(stream)
    assert pairs == list(stream) == list(LetterPairs(100, (2, 5), seed=3)) != list(LetterPairs(100, (2, 5), seed=4))
    assert len(pairs) == 100
    assert {len(side) for pair in pairs for side in pair} == {2, 3, 4, 5}
    assert all(side.isascii() and side.islower() for pair in pairs for side in pair)
    assert len(set(pairs)) > 95


def test_letters_are_pieces() -> None:
    assert LetterTokenizer(300).encode(["ab", ""]) == [[97, 98], []]
