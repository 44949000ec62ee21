"""The resampling against a brute-force draw, a closed form and hand-computed cases."""

import numpy as np
import pytest

from nmt.evaluation.bootstrap import ConfidenceInterval, confidence_interval, paired_p_value, resample


def mean_score(total):
    return float(total[0] / total[1])


def test_resamples_are_the_sentences_of_one_draw_of_a_matrix(rng):
    # sacreBLEU draws all resamples at once: (R, N) indices. Row by row must give the same ones.
    values = rng.normal(size=(7, 2)) ** 2 + 0.1
    indices = np.random.default_rng(5).choice(7, size=(50, 7), replace=True)
    expected = [mean_score(values[row].sum(axis=0)) for row in indices]

    scores = resample(values, mean_score, num_resamples=50, seed=5)

    np.testing.assert_allclose(scores, expected, rtol=1e-12)


def test_the_draws_depend_on_seed_and_number_of_sentences_alone(rng):
    first, second = rng.normal(size=(9, 2)) ** 2 + 0.1, rng.normal(size=(9, 2)) ** 2 + 0.1
    again = resample(first, mean_score, num_resamples=20, seed=1)
    np.random.default_rng().random()

    np.testing.assert_array_equal(resample(first, mean_score, num_resamples=20, seed=1), again)
    assert not np.array_equal(resample(first, mean_score, num_resamples=20, seed=2), again)
    # The same sentences for another system: scores of the sum are the sums of the scores, for a score that is linear.
    both = resample(np.hstack([first, second]), lambda total: float(total[0] + total[2]), num_resamples=20, seed=1)
    apart = [resample(part, lambda total: float(total[0]), num_resamples=20, seed=1) for part in (first, second)]
    np.testing.assert_allclose(apart[0] + apart[1], both, rtol=1e-12)


def test_one_sentence_has_an_interval_of_no_width():
    scores = resample(np.array([[3.0, 4.0]]), mean_score, num_resamples=40, seed=1)

    assert confidence_interval(scores) == ConfidenceInterval(mean=0.75, half_width=0.0)


def test_interval_leaves_out_a_fortieth_at_each_end():
    # 120 scores, 3 left out at each end of the sorted ones: bounds 3 and 116, in whatever order they come.
    scores = np.random.default_rng(0).permutation(np.arange(120.0))

    interval = confidence_interval(scores)

    assert (interval.low, interval.high) == (3.0, 116.0)


def test_interval_is_centred_on_the_mean_even_where_the_scores_are_lopsided():
    scores = np.array([0.0] * 39 + [100.0])  # bounds 0 and 0 after leaving out one at each end; mean 2.5

    assert confidence_interval(scores) == ConfidenceInterval(mean=2.5, half_width=0.0)


def test_interval_of_a_mean_is_the_one_of_the_normal_distribution(rng):
    # The mean of N values of variance 1 has standard error 1 / sqrt(N); 95 % lie within 1.96 of them.
    num_sentences = 400
    values = rng.normal(size=num_sentences)
    statistics = np.column_stack([values, np.ones(num_sentences)])

    interval = confidence_interval(resample(statistics, mean_score, num_resamples=2000, seed=3))

    assert interval.mean == pytest.approx(values.mean(), abs=0.01)
    assert interval.half_width == pytest.approx(1.96 * values.std() / np.sqrt(num_sentences), rel=0.15)


def test_p_value_counts_distances_beyond_the_difference():
    # distances 4 2 0 2, mean 2, centred 2 0 -2 0: one of four exceeds 1, so p = (1 + 1) / (4 + 1).
    system, baseline = np.array([14.0, 12.0, 10.0, 8.0]), np.full(4, 10.0)

    assert paired_p_value(system, baseline, 1.0) == 0.4
    assert paired_p_value(system, baseline, -1.0) == 0.4  # the sign is of no account
    assert paired_p_value(baseline, system, 1.0) == 0.4
    assert paired_p_value(system, baseline, 2.0) == 0.2  # beyond means more than


def test_systems_that_never_differ_have_p_one():
    # Bug guarded against: (0 + 1) / (R + 1) would call two equal systems significantly different.
    scores = np.linspace(30.0, 40.0, 1000)

    assert paired_p_value(scores, scores.copy(), 0.0) == 1.0


def test_systems_that_are_equally_good_are_rarely_found_different(rng):
    num_found = 0
    for _ in range(100):
        ours, theirs = rng.normal(size=(2, 100))
        statistics = [np.column_stack([values, np.ones(100)]) for values in (ours, theirs)]
        resamples = [resample(values, mean_score, num_resamples=100, seed=7) for values in statistics]
        num_found += paired_p_value(*resamples, ours.mean() - theirs.mean()) < 0.05
    # The test of sacreBLEU is one-sided in effect: 10 in 100 are expected, and 25 or more once in 100,000 runs.
    assert num_found < 25
