"""BLEU, chrF2 and TER of a text against its reference, each with its signature, computed by sacreBLEU.

Validation and evaluation call the same `score_corpus`; validation switches the resampling off. Scores run from 0 to 100
for BLEU and chrF2, higher is better; TER is edits per 100 reference words, lower is better. This module knows lines of
text, nothing of models, files or languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nmt.errors import InputError, did_you_mean
from nmt.evaluation import bootstrap
from nmt.evaluation.bootstrap import ConfidenceInterval

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

METRICS = ("bleu", "chrf", "ter")
SACREBLEU_SEED = 12345  # what sacreBLEU's command resamples with when nothing is set


@dataclass(frozen=True)
class MetricScore:
    """One score of one system.

    Attributes:
        metric: `bleu`, `chrf` or `ter`.
        name: The metric's name in full, such as `chrF2`.
        score: BLEU and chrF2: 0 to 100. TER: 0 and up.
        signature: sacreBLEU's signature, which says how the score was computed; no score is stated without it.
        confidence: 95 % interval, or None where resampling was off.
    """

    metric: str
    name: str
    score: float
    signature: str
    confidence: ConfidenceInterval | None = None

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score is a better one: true of BLEU and chrF2, not of TER."""
        return self.metric != "ter"


@dataclass(frozen=True)
class Comparison:
    """One metric of two systems on the same text.

    Attributes:
        system: Score of the system.
        baseline: Score of the system that it is compared with.
        p_value: Roughly, how probable a difference this large is between systems that are equally good.
    """

    system: MetricScore
    baseline: MetricScore
    p_value: float

    @property
    def difference(self) -> float:
        """Score of the system less that of the baseline."""
        return self.system.score - self.baseline.score


@dataclass(frozen=True)
class _Options:
    """How text is compared and how often it is resampled."""

    tokenize: str
    lowercase: bool
    num_resamples: int
    seed: int


def score_corpus(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    metrics: Sequence[str] = METRICS,
    tokenize: str = "13a",
    lowercase: bool = False,
    num_resamples: int = 1000,
    seed: int = SACREBLEU_SEED,
) -> list[MetricScore]:
    """Scores translations against one reference each.

    Every line counts: a blank hypothesis is a translation of no words, a blank reference expects none.

    Args:
        hypotheses: Translations, one sentence each.
        references: What each should be, in the same order.
        metrics: Some of `bleu`, `chrf`, `ter`; the scores come in this order.
        tokenize: sacreBLEU's tokenizer for BLEU: `13a` for text as people write it, `none` for text that is tokenized.
        lowercase: Whether BLEU and chrF2 ignore case. TER always does, as sacreBLEU's command has it.
        num_resamples: Bootstrap resamples behind the confidence intervals, at least 40; 0 switches them off.
        seed: Seed of the resampling, at least 1.

    Returns:
        One score for each metric.

    Raises:
        InputError: The numbers of lines differ, there are none, or an option breaks its rule.

    Example:
        >>> hypotheses, references = ["the black cat sat down"], ["the black cat sat up"]
        >>> [bleu] = score_corpus(hypotheses, references, metrics=["bleu"], num_resamples=0)
        >>> round(bleu.score, 2)  # (4/5 x 3/4 x 2/3 x 1/2) ** (1/4)
        66.87
    """
    options = _Options(tokenize, lowercase, num_resamples, seed)
    _check_text(hypotheses, references, "hypotheses")
    _check_options(metrics, options)
    return [_score(metric, hypotheses, references, options)[0] for metric in metrics]


def compare_systems(
    hypotheses: Sequence[str],
    baseline: Sequence[str],
    references: Sequence[str],
    *,
    metrics: Sequence[str] = METRICS,
    tokenize: str = "13a",
    lowercase: bool = False,
    num_resamples: int = 1000,
    seed: int = SACREBLEU_SEED,
) -> list[Comparison]:
    """Scores two systems on the same text and tests their difference by paired bootstrap resampling.

    The p-value is that of `sacrebleu --paired-bs` (the procedure of Koehn 2004 as the Moses script has it); systems
    with the same score in every resample have p = 1.

    Args:
        hypotheses: Translations by the system.
        baseline: Translations by the system to compare with.
        references: What each should be.
        metrics: As for `score_corpus`.
        tokenize: As for `score_corpus`.
        lowercase: As for `score_corpus`.
        num_resamples: As for `score_corpus`, but never 0.
        seed: As for `score_corpus`.

    Returns:
        One comparison for each metric, with the confidence intervals of both scores.

    Raises:
        InputError: As for `score_corpus`, or resampling is off.

    Example:
        >>> references = ["a small dog", "two cats sleep"]
        >>> baseline = ["a dog", "two dogs sleep"]
        >>> [ter] = compare_systems(references, baseline, references, metrics=["ter"], num_resamples=100)
        >>> round(ter.system.score, 1), round(ter.baseline.score, 1), round(ter.difference, 1)
        (0.0, 33.3, -33.3)
    """
    options = _Options(tokenize, lowercase, num_resamples, seed)
    _check_text(hypotheses, references, "hypotheses")
    _check_text(baseline, references, "baseline hypotheses")
    _check_options(metrics, options)
    if num_resamples == 0:
        raise InputError(
            "a paired test needs resamples. Received: num_resamples=0. Use 1000, or leave the baseline out."
        )
    comparisons = []
    for metric in metrics:
        ours, our_resamples = _score(metric, hypotheses, references, options)
        theirs, their_resamples = _score(metric, baseline, references, options)
        p_value = bootstrap.paired_p_value(our_resamples, their_resamples, ours.score - theirs.score)
        comparisons.append(Comparison(ours, theirs, p_value))
    return comparisons


def _score(
    metric: str, hypotheses: Sequence[str], references: Sequence[str], options: _Options
) -> tuple[MetricScore, bootstrap.Array]:
    """Returns the score and the (R,) scores of its resamples."""
    scorer = _create(metric, options)
    # sacreBLEU's public call resamples too, but takes its seed from the environment of the process, holds all draws in
    # memory at once, and gives out neither statistics nor resampled scores: hence these methods, equal to it by test.
    statistics = scorer._extract_corpus_statistics(hypotheses, [references])
    result = scorer._aggregate_and_compute(statistics)
    resamples, confidence = np.empty(0), None
    if options.num_resamples:

        def score_of(total: bootstrap.Array) -> float:
            # sacreBLEU resamples in float32; so do we, to agree with its command to the last digit.
            return float(scorer._compute_score_from_stats(total.astype(np.float32)).score)

        resamples = bootstrap.resample(
            np.array(statistics, np.float64), score_of, num_resamples=options.num_resamples, seed=options.seed
        )
        confidence = bootstrap.confidence_interval(resamples)
        scorer.n_bootstrap, scorer.seed = options.num_resamples, str(options.seed)
    return MetricScore(metric, result.name, float(result.score), str(scorer.get_signature()), confidence), resamples


def _create(metric: str, options: _Options) -> Metric:
    from sacrebleu.metrics import BLEU, CHRF, TER  # here, so that the command line starts without it

    if metric == "chrf":
        return CHRF(lowercase=options.lowercase)
    if metric == "ter":
        return TER()
    if options.tokenize not in BLEU.TOKENIZERS:
        raise InputError(
            f"tokenize: not a tokenizer of sacreBLEU. {did_you_mean(options.tokenize, BLEU.TOKENIZERS)} "
            f"Received: tokenize={options.tokenize!r}."
        )
    try:
        # `force` silences a warning about tokenized text: the report has its own, with a count.
        return BLEU(tokenize=options.tokenize, lowercase=options.lowercase, force=True)
    except (RuntimeError, ImportError) as error:  # some need packages of their own
        reason = " ".join(str(error).split())
        raise InputError(f"tokenize={options.tokenize!r} can't be used here: {reason}") from None


def _check_text(hypotheses: Sequence[str], references: Sequence[str], name: str) -> None:
    for lines, side in ((hypotheses, name), (references, "references")):
        if isinstance(lines, str):
            raise InputError(
                f"{side} are a sequence of lines, not one text. Received: {lines[:80]!r}. Put it in a list."
            )
    if len(hypotheses) != len(references):
        raise InputError(
            f"{name} and references must be equal in number: each line is scored against the same line of the other. "
            f"Received: {len(hypotheses):,} {name}, {len(references):,} references. Check that both are whole and "
            "belong together."
        )
    if not references:
        raise InputError(f"there is nothing to score. Received: no {name} and no references. Give one line or more.")


def _check_options(metrics: Sequence[str], options: _Options) -> None:
    if isinstance(metrics, str) or not metrics or len(set(metrics)) < len(metrics):
        raise InputError(
            f"metrics must be a list of different names. Received: metrics={metrics!r}. Known: {', '.join(METRICS)}."
        )
    for metric in metrics:
        if metric not in METRICS:
            raise InputError(f"unknown metric. {did_you_mean(metric, METRICS)} Received: {metric!r}.")
    if options.num_resamples != 0 and options.num_resamples < 40:
        raise InputError(
            "num_resamples must be 0 (no confidence intervals) or at least 40, as a 95 % interval leaves out one "
            f"fortieth at each end. Received: num_resamples={options.num_resamples}."
        )
    if options.seed < 1:
        raise InputError(f"the seed of the resampling must be a whole number >= 1. Received: seed={options.seed}.")
