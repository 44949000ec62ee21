"""What is counted of a corpus, by hand on a few lines, and what damage shows in the numbers."""

from __future__ import annotations

import random

import pytest

from nmt.errors import CorpusError
from nmt.text import statistics
from nmt.text.corpus import SentencePair
from nmt.text.phrasebook import generate
from nmt.text.statistics import Statistics, measure


def of(pairs: list[SentencePair], dev: list[SentencePair] | None = None) -> Statistics:
    return measure(pairs, len(pairs), dev or [])


@pytest.fixture(scope="module")
def corpus() -> list[SentencePair]:
    return list(generate("train", 1000, 1))


@pytest.fixture(scope="module")
def dev() -> list[SentencePair]:
    return list(generate("dev", 100, 1))


def swapped(pairs: list[SentencePair]) -> list[SentencePair]:
    return [SentencePair(pair.target, pair.source) for pair in pairs]


def test_a_few_lines_by_hand() -> None:
    pairs = [("a a bb", "é ff"), ("cc a", "é"), ("cc a", "é"), ("", "x"), (" ", "y")]
    found = of([SentencePair(*pair) for pair in pairs])
    # Two pairs stay of five: "a a bb" and "cc a" have 6 and 4 characters, "é ff" and "é" 4 and 1.
    assert found.num_pairs == 2
    assert found.source == (5.0, 2.5, 6, 3, 4, True)  # a bb cc; a, b, c and the space
    assert found.target == (2.5, 1.5, 4, 2, 3, True)
    assert (found.shared_letters, found.untranslated) == (0.0, 0.0)
    assert found.length_correlation == pytest.approx(1.0)


def test_one_sentence_in_a_hundred_is_longer_than_the_long_ones() -> None:
    pairs = [SentencePair("x" * number, "y") for number in range(1, 201)]
    random.Random(1).shuffle(pairs)
    found = of(pairs)
    assert found.source.long_characters == 198
    assert found.length_correlation is None, "the target's length never varies"


def test_rare_characters_are_not_counted() -> None:
    common = [SentencePair(f"{letter * 1000}", "y") for letter in "abc"]
    assert of([*common, SentencePair("ñ", "y")]).source.distinct_characters == 3
    assert of([*common, SentencePair("ñ" * 20, "y")]).source.distinct_characters == 4


def test_a_script_without_spaces_counts_its_characters() -> None:
    pairs = [SentencePair("The red cat sleeps.", "红色的猫睡觉。"), SentencePair("It ran.", "它昨天跑了。")]
    found = of(pairs)
    assert (found.source.has_spaces, found.source.num_words) == (True, 3.0)
    assert not found.target.has_spaces
    assert (found.target.num_words, found.target.num_characters) == (6.5, 6.5)
    assert found.shared_letters == 0
    split = of([SentencePair(pair.source, " ".join(pair.target)) for pair in pairs])
    assert split.target.has_spaces


def test_a_long_word_is_no_script_without_spaces() -> None:
    assert of([SentencePair("Donaudampfschifffahrtsgesellschaft", "1 2 3")]).source.has_spaces


def test_letters_are_shared_by_how_often_both_sides_have_them() -> None:
    # a: 3/4 and 1/4, b: 1/4 and 1/4, c: 0 and 1/2; digits are no letters
    assert of([SentencePair("aaab 7", "abcc 7")]).shared_letters == pytest.approx(0.5)


def test_an_undamaged_corpus_shows_nothing(corpus: list[SentencePair], dev: list[SentencePair]) -> None:
    found = of(corpus, dev)
    assert (found.untranslated, found.swapped, found.dev_swapped) == (0, 0, 0)
    assert found.length_correlation is not None
    assert found.length_correlation > 0.5
    assert found.shared_letters > 0.7


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_swapped_pairs_are_found(corpus: list[SentencePair], share: float) -> None:
    num_swapped = int(share * len(corpus))
    found = of(swapped(corpus[:num_swapped]) + corpus[num_swapped:])
    assert found.swapped == pytest.approx(share, rel=0.2)


def test_dev_pairs_the_other_way_round_are_found(corpus: list[SentencePair], dev: list[SentencePair]) -> None:
    assert of(corpus, swapped(dev)).dev_swapped > 0.9
    assert of(swapped(corpus), dev).dev_swapped > 0.9


def test_copies_are_found_and_are_not_swapped(corpus: list[SentencePair]) -> None:
    copies = [SentencePair(pair.source, f"{pair.source.upper()}") for pair in corpus[:100]]
    found = of(copies + corpus[100:])
    assert found.untranslated == pytest.approx(0.1, abs=0.001)
    assert found.swapped == 0


def test_lines_that_do_not_belong_together_are_found(corpus: list[SentencePair]) -> None:
    targets = [pair.target for pair in corpus]
    random.Random(1).shuffle(targets)
    found = of([SentencePair(pair.source, target) for pair, target in zip(corpus, targets, strict=True)])
    assert found.length_correlation == pytest.approx(0, abs=0.15)


def test_of_many_pairs_every_nth_is_examined(corpus: list[SentencePair], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MAX_EXAMINED", 300)
    found, every_fourth = of(corpus), of(corpus[::4])
    assert found == every_fourth._replace(num_pairs=1000)


def test_blank_pairs_alone_are_refused() -> None:
    with pytest.raises(CorpusError, match="none of the 2 pairs examined"):
        of([SentencePair("", "a"), SentencePair("b", " ")])
