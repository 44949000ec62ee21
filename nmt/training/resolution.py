"""What a configuration leaves open, settled before a run begins: by the corpus (`recipe: auto`) and by the machine.

A run keeps what was chosen, as plain values. The rules stand in `nmt.recipe`; this module applies them and says so.
"""

from __future__ import annotations

import logging
import math

from nmt import recipe
from nmt.backend import has_gpu
from nmt.config import Config
from nmt.config_keys import given, leaves, with_values
from nmt.text.statistics import MAX_EXAMINED, Statistics, measure
from nmt.training.estimate import estimate
from nmt.training.precision import Precision, choose_precision, operations_per_second
from nmt.training.preparation import Pairs

logger = logging.getLogger(__name__)


def resolve(config: Config, pairs: Pairs) -> Config:
    """Returns a configuration in which nothing is left to be chosen, and logs what was chosen, and why.

    Args:
        config: What is given in it stays.
        pairs: Its corpora; those to train on are gone through once for `recipe: auto`.

    Raises:
        ConfigError: What is given and what was chosen do not go together.
        CorpusError: No training pair has text on both sides.
    """
    statistics = measure(pairs.training, len(pairs.training), pairs.dev) if config.recipe == "auto" else None
    if statistics is not None:
        config = _with_recipe(config, statistics)
    precision = choose_precision(config.training.precision)
    config = with_values(config, {"training.precision": precision})
    if statistics is not None:
        _tell_estimate(config, precision, statistics)
    return config


def _with_recipe(config: Config, statistics: Statistics) -> Config:
    fixed = given(config)
    choices = recipe.choose(statistics, fixed, leaves(config.model_dump()))
    lines = [f"  {choice.key}: {_plain(choice.value)}  ({choice.reason})" for choice in choices]
    stays = [key for key in recipe.KEYS if key in fixed]
    source, target = statistics.source, statistics.target
    logger.info(
        "recipe: auto, from %s pairs, of %.1f and %.1f words a sentence, %s and %s different words in %s\n%s",
        f"{statistics.num_pairs:,}",
        source.num_words,
        target.num_words,
        f"{source.distinct_words:,}",
        f"{target.distinct_words:,}",
        "all" if statistics.num_pairs <= MAX_EXAMINED else f"up to {MAX_EXAMINED:,} of them",
        "\n".join([*lines, *([f"  as given: {', '.join(stays)}"] if stays else [])]),
    )
    for finding in recipe.findings(statistics):
        logger.warning("recipe: auto: %s", finding)
    return with_values(config, {choice.key: choice.value for choice in choices} | {"recipe": "defaults"})


def _tell_estimate(config: Config, precision: Precision, statistics: Statistics) -> None:
    training, vocabulary_size = config.training, config.tokenizer.vocabulary_size
    expected = estimate(
        config,
        num_pairs=statistics.num_pairs,
        num_pieces=(
            recipe.num_pieces(statistics.source, vocabulary_size),
            recipe.num_pieces(statistics.target, vocabulary_size),
        ),
        operations_per_second=None if has_gpu() else operations_per_second(precision),
    )
    per_epoch = recipe.updates_per_epoch(statistics, leaves(config.model_dump()))
    num_updates = min(training.max_epochs * per_epoch, training.max_updates or math.inf)
    logger.info("estimate: %s", expected.to_text(num_updates, per_epoch, training.max_minutes))


def _plain(value: float | str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"
