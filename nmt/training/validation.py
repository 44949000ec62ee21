"""What a validation measures: likelihood and translation quality of the dev corpora.

The model that is measured is the one that would be saved: a float32 copy, of the averaged weights where such are kept;
the training weights are never swapped. This module knows nothing of files or of the course of a run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from nmt.decoding.hypothesis import Counts
from nmt.decoding.translator import Translator
from nmt.evaluation.metrics import MetricScore, score_corpus
from nmt.model import Seq2Seq
from nmt.text.corpus import SentencePair
from nmt.training.optimizers import averaged_weights

METRICS = ("bleu", "chrf")


@dataclass(frozen=True)
class Validation:
    """What a validation found."""

    loss: float
    """Mean negative log-likelihood of a dev token, in nats."""
    scores: dict[str, MetricScore]
    """Scores of the translations by name; empty where none were made."""
    translations: list[str]
    """Translations of the dev sources; empty where none were made."""

    @property
    def perplexity(self) -> float:
        """Exponential of the loss; infinite where that exceeds a float."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def value(self, metric: str) -> float:
        """Returns the metric, turned so that higher is better."""
        return -self.loss if metric == "loss" else self.scores[metric].score


def validate(translator: Translator, pairs: Sequence[SentencePair], *, with_translations: bool) -> Validation:
    """Measures a translator on sentence pairs.

    Args:
        translator: What to measure.
        pairs: Sentence pairs; none is left out.
        with_translations: Whether to translate and score the translations, or to take the likelihood alone.
    """
    sources, references = [pair.source for pair in pairs], [pair.target for pair in pairs]
    forced = translator.score(sources, references)
    loss = -sum(score.log_prob for score in forced) / sum(score.num_pieces for score in forced)
    if not with_translations:
        return Validation(loss, {}, [])
    # Counted for no one: what an unfinished model repeats is no news, and the scores tell how good it is.
    translations = [hypothesis.text for hypothesis in translator.translate(sources, counts=Counts())]
    scores = score_corpus(translations, references, metrics=METRICS, num_resamples=0)
    return Validation(loss, {score.metric: score for score in scores}, translations)


def inference_weights(model: Seq2Seq, optimizer: keras.optimizers.Optimizer) -> dict[str, NDArray[np.float32]]:
    """Returns copies of the averaged weights of `model` by name, or of its weights where no average is kept."""
    averages = averaged_weights(optimizer)
    return {
        name: np.array(ops.convert_to_numpy(averages.get(id(weight), weight)), "float32")
        for name, weight in model.named_weights().items()
    }
