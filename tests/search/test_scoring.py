"""The pieces that a search's scores are made of, each against arithmetic by hand or brute force. No model, no beam."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from keras import ops

from nmt.backend import compiled
from nmt.decoding import scoring
from nmt.text.special import EOS_ID, PAD_ID

VOCABULARY_SIZE = 9


def tensor(values, dtype="float32"):
    return ops.convert_to_tensor(np.asarray(values, dtype))


def forbidden(log_probs) -> np.ndarray:
    """Where a tensor is minus infinity; what it is elsewhere must be a number."""
    array = ops.convert_to_numpy(log_probs)
    assert not np.isnan(array).any()
    return np.isneginf(array)


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
    np.testing.assert_allclose(ops.convert_to_numpy(of_tensor), [[expected, 1.0]], rtol=1e-6)


def test_length_penalty_never_falls_with_length():
    # The bound that stops a search rests on it.
    lengths = tensor(np.arange(1, 300), "int32")
    for alpha in (0.0, 0.6, 1.0, 10.0):
        assert (np.diff(ops.convert_to_numpy(scoring.length_penalty(lengths, alpha))) >= 0).all()


def test_coverage_penalty():
    coverage = [[[0.5, 1.5, 0.0], [1.0, 0.25, 9.0]], [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]]
    mask = [[True, True, False], [True, True, True]]
    penalty = scoring.coverage_penalty(tensor(coverage), tensor(mask, "bool"), 2.0)
    expected = [
        [2 * np.log(0.5), 2 * np.log(0.25)],  # more than 1 counts as 1, padding as nothing
        [0.0, 2 * 3 * np.log(0.5)],
    ]
    np.testing.assert_allclose(ops.convert_to_numpy(penalty), expected, rtol=1e-6)


def test_coverage_penalty_of_an_unread_word_is_finite():
    penalty = scoring.coverage_penalty(tensor([[[0.0, 1.0]]]), tensor([[True, True]], "bool"), 1.0)
    assert float(ops.squeeze(penalty)) == pytest.approx(np.log(1e-10))
    nothing = scoring.coverage_penalty(tensor([[[0.0, 1.0]]]), tensor([[True, True]], "bool"), 0.0)
    assert float(ops.squeeze(nothing)) == 0.0


def test_coverage_penalty_is_never_positive_and_never_falls_with_more_attention(rng):
    # The bound that stops a search rests on the first; what it leaves aside, on the second.
    mask = tensor(rng.random((4, 6)) < 0.7, "bool")
    before = rng.random((4, 3, 6))
    after = before + rng.random((4, 3, 6))
    low, high = (ops.convert_to_numpy(scoring.coverage_penalty(tensor(c), mask, 0.7)) for c in (before, after))
    assert (high <= 0).all()
    assert (low <= high + 1e-6).all()


def test_forbid(rng):
    log_probs = rng.normal(size=(2, 3, VOCABULARY_SIZE)).astype("float32")
    result = scoring.forbid(tensor(log_probs), (0, 5))
    assert (forbidden(result) == np.isin(np.arange(VOCABULARY_SIZE), (0, 5))).all()
    kept = [1, 2, 3, 4, 6, 7, 8]
    np.testing.assert_array_equal(ops.convert_to_numpy(result)[..., kept], log_probs[..., kept])


def test_limit_length(rng):
    # Of at least 1, 2, 3 and 4 tokens, and at most 4, 2, 9 and 4: what may token number 1, 2, 3, 4 be?
    min_length, max_length = tensor([1, 2, 3, 4], "int32"), tensor([4, 2, 9, 4], "int32")
    may_end = {1: "yes no no no", 2: "yes yes no no", 3: "yes yes yes no", 4: "yes yes yes yes"}
    may_go_on = {1: "yes yes yes yes", 2: "yes no yes yes", 3: "yes no yes yes", 4: "no no yes no"}
    log_probs = rng.normal(size=(4, 2, VOCABULARY_SIZE)).astype("float32")
    for length in (1, 2, 3, 4):
        limited = scoring.limit_length(tensor(log_probs), tensor(length, "int32"), min_length, max_length, EOS_ID)
        is_forbidden = forbidden(limited)
        others = np.delete(is_forbidden, EOS_ID, axis=-1)
        for sentence in range(4):
            assert (is_forbidden[sentence, :, EOS_ID] == (may_end[length].split()[sentence] == "no")).all()
            assert (others[sentence] == (may_go_on[length].split()[sentence] == "no")).all()
        np.testing.assert_array_equal(ops.convert_to_numpy(limited)[~is_forbidden], log_probs[~is_forbidden])


def completions(tokens: list[int], size: int) -> set[int]:
    """The tokens that would make one of the last `size` tokens' n-grams come twice, by trying every one of them."""
    seen = {tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)}
    return {token for token in range(VOCABULARY_SIZE) if tuple([*tokens, token][-size:]) in seen}


def padded(hypotheses: list[list[int]], width: int) -> np.ndarray:
    return np.array([tokens + [PAD_ID] * (width - len(tokens)) for tokens in hypotheses], "int32")


def test_forbid_repeated_ngrams_by_hand():
    def after(tokens: list[int], size: int) -> list[int]:
        log_probs = np.zeros((1, 1, VOCABULARY_SIZE), "float32")
        tokens_so_far = tensor(padded([tokens], 8)[None], "int32")
        result = scoring.forbid_repeated_ngrams(tensor(log_probs), tokens_so_far, tensor(len(tokens), "int32"), size)
        return [token for token in np.flatnonzero(forbidden(result)[0, 0]) if token != PAD_ID]

    assert after([4, 5, 4], 2) == [5]  # "4 5" has been; after a second 4 no second 5
    assert after([4, 5, 4], 3) == []  # no three tokens have been but "4 5 4" itself
    assert after([4, 5, 6, 4, 5], 3) == [6]
    assert after([4, 4], 2) == [4]  # windows that overlap count
    assert after([6, 4, 5, 6], 1) == [4, 5, 6]
    assert after([], 1) == []
    assert after([4], 2) == []
    assert after([4, 5, 6, 7, 8, 4, 5, 6], 5) == []


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_forbid_repeated_ngrams_is_brute_force(size, rng):
    batch_size, beam_size, width = 5, 4, 12
    for length in range(width + 1):
        # Three different tokens, so that much repeats.
        hypotheses = rng.integers(4, 7, size=(batch_size * beam_size, length)).tolist()
        log_probs = rng.normal(size=(batch_size, beam_size, VOCABULARY_SIZE)).astype("float32")
        tokens = tensor(padded(hypotheses, width).reshape(batch_size, beam_size, width), "int32")
        result = scoring.forbid_repeated_ngrams(tensor(log_probs), tokens, tensor(length, "int32"), size)
        is_forbidden = forbidden(result)
        for row, hypothesis in zip(is_forbidden.reshape(-1, VOCABULARY_SIZE), hypotheses, strict=True):
            assert set(np.flatnonzero(row)) - {PAD_ID} == completions(hypothesis, size), hypothesis
        np.testing.assert_array_equal(ops.convert_to_numpy(result)[~is_forbidden], log_probs[~is_forbidden])


def test_forbid_repeated_ngrams_longer_than_the_output():
    # An n-gram longer than the longest output failed on TensorFlow once the width was unknown: an index range of
    # negative length.
    for size in (2, 5, 18):
        function = compiled(lambda *args, size=size: scoring.forbid_repeated_ngrams(*args, size), [])
        for width, length in itertools.product((24, 8, 4), (0, 3, 4)):
            tokens = tensor(padded([[4] * length], width)[None], "int32")
            result = function(tensor(np.zeros((1, 1, VOCABULARY_SIZE))), tokens, tensor(length, "int32"))
            assert forbidden(result)[0, 0, 4] == (length >= size)
