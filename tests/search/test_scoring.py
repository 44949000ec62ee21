"""The pieces that a search's scores are made of, each against arithmetic by hand or brute force. No model, no beam."""

from __future__ import annotations

import numpy as np
import pytest

from nmt.decoding import scoring

VOCABULARY_SIZE = 9


def tensor(values, dtype="float32"):
    return np.asarray(values, dtype)


@pytest.mark.parametrize(
    ("length", "alpha", "expected"),
    [
        (1, 0.0, 1.0),
        (1, 3.0, 1.0),  # (6 / 6) ** 3: the empty output, whose only token is the end of sentence
        (7, 1.0, 2.0),  # 12 / 6
        (7, 2.0, 4.0),
        (13, 1.0, 3.0),  # 18 / 6
        (19, 0.5, 2.0),  # sqrt(24 / 6)
        (500, 0.0, 1.0),
    ],
)
def test_length_penalty(length, alpha, expected):
    assert float(scoring.length_penalty(length, alpha)) == pytest.approx(expected)
    of_tensor = scoring.length_penalty(tensor([[length, 1]], "int32"), alpha)
    np.testing.assert_allclose(np.asarray(of_tensor), [[expected, 1.0]], rtol=1e-6)


def test_length_penalty_never_falls_with_length():
    # The bound that stops a search rests on it.
    lengths = tensor(np.arange(1, 300), "int32")
    for alpha in (0.0, 0.6, 1.0, 10.0):
        assert (np.diff(np.asarray(scoring.length_penalty(lengths, alpha))) >= 0).all()


def test_coverage_penalty():
    coverage = [[[0.5, 1.5, 0.0], [1.0, 0.25, 9.0]], [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]]
    mask = [[True, True, False], [True, True, True]]
    penalty = scoring.coverage_penalty(tensor(coverage), tensor(mask, "bool"), 2.0)
    expected = [
        [2 * np.log(0.5), 2 * np.log(0.25)],  # more than 1 counts as 1, padding as nothing
        [0.0, 2 * 3 * np.log(0.5)],
    ]
    np.testing.assert_allclose(np.asarray(penalty), expected, rtol=1e-6)


def test_coverage_penalty_of_an_unread_word_is_finite():
    penalty = scoring.coverage_penalty(tensor([[[0.0, 1.0]]]), tensor([[True, True]], "bool"), 1.0)
    assert penalty.item() == pytest.approx(np.log(1e-10))
    nothing = scoring.coverage_penalty(tensor([[[0.0, 1.0]]]), tensor([[True, True]], "bool"), 0.0)
    assert nothing.item() == 0.0


def test_coverage_penalty_is_never_positive_and_never_falls_with_more_attention(rng):
    # The bound that stops a search rests on the first; what it leaves aside, on the second.
    mask = tensor(rng.random((4, 6)) < 0.7, "bool")
    before = rng.random((4, 3, 6))
    after = before + rng.random((4, 3, 6))
    low, high = (np.asarray(scoring.coverage_penalty(tensor(c), mask, 0.7)) for c in (before, after))
    assert (high <= 0).all()
    assert (low <= high + 1e-6).all()


def completions(tokens: list[int], size: int) -> set[int]:
    """The tokens that would make one of the last `size` tokens' n-grams come twice, by trying every one of them."""
    seen = {tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)}
    return {token for token in range(VOCABULARY_SIZE) if tuple([*tokens, token][-size:]) in seen}


def test_repeated_ngrams_by_hand():
    def after(tokens: list[int], size: int) -> list[int]:
        rows, token_ids = scoring.repeated_ngrams(np.array([tokens], int), size)
        assert not rows.any()
        return sorted(set(token_ids.tolist()))

    assert after([4, 5, 4], 2) == [5]  # "4 5" has been; after a second 4 no second 5
    assert after([4, 5, 4], 3) == []  # no three tokens have been but "4 5 4" itself
    assert after([4, 5, 6, 4, 5], 3) == [6]
    assert after([4, 4], 2) == [4]  # windows that overlap count
    assert after([6, 4, 5, 6], 1) == [4, 5, 6]
    assert after([], 1) == []
    assert after([4], 2) == []
    assert after([4, 5, 6, 7, 8, 4, 5, 6], 5) == []


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_repeated_ngrams_is_brute_force(size, rng):
    for length in range(13):
        # Three different tokens, so that much repeats.
        hypotheses = rng.integers(4, 7, size=(20, length))
        rows, token_ids = scoring.repeated_ngrams(hypotheses, size)
        for number, hypothesis in enumerate(hypotheses.tolist()):
            assert set(token_ids[rows == number].tolist()) == completions(hypothesis, size), hypothesis
