"""Bootstrap resampling: how far a corpus score moves when other sentences are drawn from the same text.

A corpus score is a function of statistics summed over sentences. A resample draws as many sentences as there are, with
replacement, and scores their sum (Koehn 2004). The draws depend on the seed and the number of sentences alone, so two
systems resampled with one seed are compared on the same sentences: the paired test. The draws, the interval and the
p-value are those of sacreBLEU's own command, which asks for all draws at once, gigabytes on a long text; here one
resample is held at a time. This module knows NumPy and nothing of text or of any particular metric.

Shapes: N sentences, R resamples, F statistics a sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ConfidenceInterval:
    """The 95 % interval of a score: where it lies for 95 in 100 texts drawn like this one.

    Attributes:
        mean: Mean score of the resamples.
        half_width: Half the distance between the bounds that leave out one fortieth of the resamples at each end.
    """

    mean: float
    half_width: float

    @property
    def low(self) -> float:
        """Lower end of the interval, `mean - half_width`."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval, `mean + half_width`."""
        return self.mean + self.half_width


def resample(statistics: Array, score: Callable[[Array], float], *, num_resamples: int, seed: int) -> Array:
    """Scores texts that are drawn from this one with replacement.

    Args:
        statistics: (N, F) float64, what each sentence adds to the corpus score.
        score: Maps the (F,) sum over sentences to the corpus score.
        num_resamples: Number of texts to draw, R.
        seed: Seed of the draws.

    Returns:
        (R,) float64, the score of each resample.

    Example:
        >>> edits_and_words = np.array([[0.0, 4.0], [2.0, 4.0]])
        >>> resample(edits_and_words, lambda total: total[0] / total[1], num_resamples=4, seed=1).tolist()
        [0.25, 0.5, 0.0, 0.5]
    """
    num_sentences = len(statistics)
    draw = np.random.default_rng(seed)
    scores = np.empty(num_resamples)
    for index in range(num_resamples):
        sentences = draw.integers(num_sentences, size=num_sentences)  # (N,)
        times_drawn = np.bincount(sentences, minlength=num_sentences).astype(np.float64)  # (N,)
        scores[index] = score(times_drawn @ statistics)
    return scores


def confidence_interval(scores: Array) -> ConfidenceInterval:
    """Returns the 95 % interval of resampled scores.

    Args:
        scores: (R,) scores of the resamples; with fewer than 40 the bounds are the extremes.

    Example:
        >>> interval = confidence_interval(np.arange(80.0))  # bounds 2 and 77
        >>> interval.mean, interval.low, interval.high
        (39.5, 2.0, 77.0)
    """
    ordered = np.sort(scores)
    left_out = len(ordered) // 40
    half_width = (ordered[-1 - left_out] - ordered[left_out]) / 2
    return ConfidenceInterval(mean=float(ordered.mean()), half_width=float(half_width))


def paired_p_value(system: Array, baseline: Array, difference: float) -> float:
    """Returns the p-value of the difference between two systems, from the same resamples of both.

    With d the (R,) absolute differences of the resamples, p = (1 + #{r: d_r - mean(d) > |difference|}) / (R + 1).
    Systems that differ in no resample have p = 1, where sacreBLEU's command prints 1 / (R + 1).

    Args:
        system: (R,) resampled scores of one system.
        baseline: (R,) resampled scores of the other, drawn with the same seed.
        difference: Difference of the two scores on the whole text, of either sign.

    Example:
        >>> paired_p_value(np.array([2.0, 2.0, 5.0]), np.array([1.0, 1.0, 1.0]), 1.5)  # d - mean(d) = -1, -1, 2
        0.5
    """
    distances = np.abs(system - baseline)
    if not distances.any():
        return 1.0
    num_beyond = np.count_nonzero(distances - distances.mean() > abs(difference))
    return float((num_beyond + 1) / (len(distances) + 1))
