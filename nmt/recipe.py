"""The automatic recipe: from what a corpus is like to the values of a configuration, each with its reason.

Most rules are powers of the number of words on a side, through the one point that was tuned by hand: the 29,000
captions of Multi30k (configs/multi30k-en-de.yaml). Which way they go, and how far for 5 thousand pairs, follows
Sennrich and Zhang 2019 (https://arxiv.org/abs/1905.11901): the less text, the fewer pieces, the smaller batches, the
more dropout and label smoothing. Little text has R-Drop too, and then no more dropout than Multi30k but that of the
recurrent state, and no smaller model: on dev that was better, with one seed each (docs/log.md). The least text learns
both directions first. The rules are meant for 5 thousand to 1 million pairs. This module knows numbers and plain
values, nothing of files, of Keras, or of the configuration beyond its keys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from nmt.text.statistics import Side, Statistics

KEYS = (
    "tokenizer.joint",
    "tokenizer.vocabulary_size",
    "data.max_length_pieces",
    "model.tied_embeddings",
    "model.embedding_size",
    "model.encoder_size",
    "model.encoder_layers",
    "model.decoder_size",
    "model.attention_size",
    "model.lexical_model",
    "model.dropout_rate",
    "model.recurrent_dropout_rate",
    "batching.size",
    "training.max_epochs",
    "training.bidirectional_epochs",
    "training.learning_rate",
    "training.schedule.warmup_updates",
    "training.schedule.decay_updates",
    "training.label_smoothing",
    "training.r_drop",
    "training.ema_decay",
    "training.precision",
    "training.validate_every_epochs",
    "training.early_stopping_patience",
    "training.metric",
)
"""What the recipe chooses, in this order."""

_REFERENCE_WORDS = 333_000  # of Multi30k, on a side
_REFERENCE_BATCH_PIECES = 1045  # 64 captions, as `num_pieces` counts them
_FEW_WORDS = 30_000  # 5 thousand sentences of Tatoeba; as many captions have 57,000
_MANY_WORDS = 30_000_000  # 1 million long sentences
_DEEP_FROM_WORDS = 3_000_000
_R_DROP_BELOW_WORDS = 500_000  # 43 thousand captions
_BIDIRECTIONAL_BELOW_WORDS = 100_000  # 9 thousand captions; tried with 5 thousand of them, and as many of Tatoeba
_OTHER_DROPOUT = ("model.recurrent_dropout_rate", "model.source_word_dropout", "model.target_word_dropout")
_ONE_SCRIPT = 0.4  # English and German have 0.75, two scripts 0

_DECAYS = {"inverse_sqrt": (0.22, "22 %"), "cosine": (1.0, "all")}  # share of the updates; other schedules have none

_UNTRANSLATED, _SWAPPED, _MOST = 0.02, 0.02, 0.5
_UNRELATED_LENGTHS, _ENOUGH_FOR_CORRELATION = 0.2, 100


class Choice(NamedTuple):
    """A value that was chosen.

    Attributes:
        key: Dotted key of the configuration.
        value: What it becomes.
        reason: Why, in a line.
    """

    key: str
    value: int | float | str | bool
    reason: str


def num_words(statistics: Statistics) -> float:
    """Returns the words of a corpus on one side, the mean of both: what decides how much can be learned."""
    return statistics.num_pairs * (statistics.source.num_words + statistics.target.num_words) / 2


def num_pieces(side: Side, vocabulary_size: int) -> float:
    """Returns about how many pieces a sentence will have.

    A fit to Multi30k and Tatoeba, English and German, with 1,500 to 12,000 pieces: 20 % off at most. Where words have
    no spaces between them, pieces of one and a half characters.
    """
    if side.has_spaces:
        return side.num_words * (1 + 0.42 * math.pow(6000 / vocabulary_size, 0.55))
    return side.num_words / 1.5


def updates_per_epoch(statistics: Statistics, values: Mapping[str, Any]) -> float:
    """Returns about how many updates go through the corpus once.

    Args:
        statistics: The corpus.
        values: Of `batching` and `tokenizer.vocabulary_size`, by dotted key.
    """
    batches: float = statistics.num_pairs / values["batching.size"]
    if values["batching.unit"] == "tokens":
        batches *= max(num_pieces(side, values["tokenizer.vocabulary_size"]) + 1 for side in statistics[1:3])
    batches_per_update: int = values["batching.batches_per_update"]
    return max(1.0, batches / batches_per_update)


def open_keys(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """Returns which of `KEYS` are chosen: all but those given, and `decay_updates` where the schedule has none.

    Args:
        given: Values that stay, by dotted key.
        defaults: Values of keys that are neither given nor chosen.
    """
    decays = {**defaults, **given}["training.schedule.type"] in _DECAYS
    return [key for key in KEYS if key not in given and (decays or key != "training.schedule.decay_updates")]


def choose(statistics: Statistics, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[Choice]:
    """Returns the values that suit a corpus, for all `open_keys`, in their order.

    Args:
        statistics: The corpus.
        given: Values that stay, by dotted key; what is chosen fits them.
        defaults: Values of keys that are neither given nor chosen.
    """
    sheet = _Sheet(given, defaults)
    words = num_words(statistics)
    _choose_pieces(sheet, statistics, words)
    _choose_model(sheet, words)
    _choose_regularisation(sheet, words)
    _choose_batches(sheet, statistics, words)
    _choose_course(sheet, statistics, words)
    _choose_validation(sheet, statistics)
    return [sheet.choices[key] for key in open_keys(given, defaults)]


class _Sheet:
    """Values by key: those given, those chosen so far, and defaults."""

    def __init__(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = {**defaults, **given}
        self.choices: dict[str, Choice] = {}
        self._given = given

    def choose(self, key: str, value: float | str | bool, reason: str) -> None:
        if key not in self._given:
            self.values[key] = value
            self.choices[key] = Choice(key, value, reason)

    def gives(self, key: str, value: object) -> bool:
        return key in self._given and self._given[key] == value


def _choose_pieces(sheet: _Sheet, statistics: Statistics, words: float) -> None:
    source, target = statistics.source, statistics.target
    shared = statistics.shared_letters
    is_joint = shared >= _ONE_SCRIPT or sheet.gives("model.tied_embeddings", "all")
    script = f"{shared:.0%} of the letters are common to both sides"
    sheet.choose("tokenizer.joint", is_joint, script)
    is_joint = sheet.values["tokenizer.joint"]
    sheet.choose(
        "model.tied_embeddings",
        "all" if is_joint else "target",
        "one matrix for source, target and output" if is_joint else "two vocabularies share no embeddings",
    )
    size = _power(words, 6000, 0.4, 500, 32_000)
    sides = [source.distinct_characters, target.distinct_characters]
    characters, where = (sum(sides), "both sides") if is_joint else (max(sides), "a side")
    needed = 300 + 1.5 * characters
    reason = f"as many as {_rounded(words):,} words show often enough; 6,000 for 29,000 captions"
    if needed > size:
        reason = f"the {characters:,} characters of {where} need more pieces than {_rounded(words):,} words"
    sheet.choose("tokenizer.vocabulary_size", min(100_000, _multiple(max(size, needed), 100)), reason)
    pieces = sheet.values["tokenizer.vocabulary_size"]
    longest = max(num_pieces(side, pieces) * side.long_characters / side.num_characters for side in (source, target))
    wished = _multiple(2 * longest, 10)
    told = "250 at most, as longer ones take much memory: " if wished > 250 else ""
    reason = f"{told}99 of 100 sentences have at most some {longest:.0f} pieces"
    sheet.choose("data.max_length_pieces", min(max(wished, 80), 250), reason)


def _choose_model(sheet: _Sheet, words: float) -> None:
    width = _multiple(_power(words, 256, 0.2, 256, 640), 32)
    reason = "256 up to 29,000 captions, then grows with the fifth root of the words"
    for name in ("embedding_size", "encoder_size", "attention_size"):
        sheet.choose(f"model.{name}", width, reason)
    decoder_size = max(32, _multiple(1.5 * sheet.values["model.encoder_size"], 32))
    sheet.choose("model.decoder_size", decoder_size, "half as wide again as an encoder's direction")
    layers = 2 if words >= _DEEP_FROM_WORDS else 1
    sheet.choose("model.encoder_layers", layers, f"a second one from {_DEEP_FROM_WORDS:,} words on")
    sheet.choose("model.lexical_model", True, "meant for rare words; helped with 5,000 captions")


def _choose_regularisation(sheet: _Sheet, words: float) -> None:
    is_without = sheet.gives("model.dropout_rate", 0.0)
    rate = 0.0 if is_without else _step(-0.27 * _decades(words), 0.05, 0.0, 0.2)
    reason = "no dropout, as given" if is_without else "0.2 for 5,000 captions, none from 24,000 on"
    sheet.choose("model.recurrent_dropout_rate", rate, reason)
    weight, reason = 0.0, f"twice the work: for less than {_R_DROP_BELOW_WORDS:,} words alone"
    if is_without and not any(sheet.values[key] for key in _OTHER_DROPOUT):
        reason = "without dropout two passes are the same"
    elif words < _R_DROP_BELOW_WORDS:
        weight, reason = 1.0, "for little text: two passes with different dropout learn to agree, at twice the work"
    sheet.choose("training.r_drop", weight, reason)
    has_r_drop = sheet.values["training.r_drop"] > 0
    told = "0.4 for 29,000 captions, 0.2 less for ten times as much text"
    sheet.choose(
        "model.dropout_rate",
        _step(0.4 - 0.2 * _decades(words), 0.05, 0.1, 0.4 if has_r_drop else 0.5),
        f"{told}{', and not more with R-Drop' if has_r_drop else ''}",
    )
    smoothing = _step(0.1 - 0.13 * _decades(words), 0.05, 0.1, 0.2)
    sheet.choose("training.label_smoothing", smoothing, "0.1; up to 0.2 for less text than 29,000 captions")


def _choose_batches(sheet: _Sheet, statistics: Statistics, words: float) -> None:
    vocabulary_size = sheet.values["tokenizer.vocabulary_size"]
    pieces = sum(num_pieces(side, vocabulary_size) for side in statistics[1:3]) / 2
    size = _power(words, _REFERENCE_BATCH_PIECES, 0.35, 250, 5000)
    if sheet.values["batching.unit"] == "tokens":
        # A pair of the longest must fit: with the end of the sentence, and padded to a multiple on some backends.
        value = max(_multiple(1.1 * size, 50), _multiple(sheet.values["data.max_length_pieces"] + 9, 50, up=True))
    else:
        value = max(4, _multiple(size / pieces, 4))
    sheet.choose("batching.size", value, f"some {size:,.0f} pieces: the less text, the smaller")


def _choose_course(sheet: _Sheet, statistics: Statistics, words: float) -> None:
    values = sheet.values
    epochs = round(_power(words, 30, -0.35, 6, 100))
    sheet.choose("training.max_epochs", epochs, "the less text, the more often it is gone through")
    rate = (0.004 if values["training.r_drop"] else 0.002) * min(1.0, math.sqrt(384 / values["model.decoder_size"]))
    reason = "0.002, or 0.004 with R-Drop; lower for a decoder wider than 384"
    sheet.choose("training.learning_rate", _rounded(rate), reason)
    in_epoch = updates_per_epoch(statistics, values)
    total = in_epoch * values["training.max_epochs"]
    if values["training.max_updates"]:
        total = min(total, values["training.max_updates"])
    share, reason = 0.0, f"for less than {_BIDIRECTIONAL_BELOW_WORDS:,} words alone"
    if not values["tokenizer.joint"]:
        reason = "two vocabularies go one way alone"
    elif words < _BIDIRECTIONAL_BELOW_WORDS and values["training.max_minutes"]:
        reason = "training.max_minutes might end the run in them"
    elif words < _BIDIRECTIONAL_BELOW_WORDS:
        share, reason = 0.6, "for little text: three fifths of the epochs learn the other direction too"
    both_ways = int(share * total / in_epoch)
    sheet.choose("training.bidirectional_epochs", both_ways, reason)
    told = f"of some {_rounded(total):,} updates"
    warmup = int(_rounded(min(max(0.022 * total, 20), 2000)))
    sheet.choose("training.schedule.warmup_updates", warmup, f"2 % {told}")
    if values["training.schedule.type"] in _DECAYS:
        of_total, reason = _DECAYS[values["training.schedule.type"]]
        sheet.choose("training.schedule.decay_updates", max(1, int(_rounded(of_total * total))), f"{reason} {told}")
    window = min(max(20.0, 0.0735 * total), 50_000.0)
    sheet.choose("training.ema_decay", round(1 - 1 / window, 5), f"averages the last {_rounded(window):,} {told}")
    sheet.choose("training.precision", "auto", "products in bfloat16 where this machine is faster in it")


def _choose_validation(sheet: _Sheet, statistics: Statistics) -> None:
    every = min(max(math.ceil(10_000 / statistics.num_pairs), 1), 5)
    reason = "after 10,000 pairs or more, and five epochs at most"
    sheet.choose("training.validate_every_epochs", every, reason)
    patience = max(3, round(0.2 * sheet.values["training.max_epochs"] / sheet.values["training.validate_every_epochs"]))
    sheet.choose("training.early_stopping_patience", patience, "a fifth of the epochs without a better model, or three")
    has_spaces = statistics.target.has_spaces
    reason = "usual" if has_spaces else "BLEU counts words, and the target has no spaces between them"
    sheet.choose("training.metric", "bleu" if has_spaces else "chrf", reason)


def findings(statistics: Statistics) -> list[str]:
    """Returns what is suspicious about a corpus, each with what becomes of it."""
    found = []
    words = num_words(statistics)
    if words < _FEW_WORDS:
        found.append(
            f"{_rounded(words):,} words a side, in {statistics.num_pairs:,} pairs, are too few for a good model: "
            "training goes on all the same. Expect phrases it has seen, not new sentences. The recipe was tried "
            f"from {_FEW_WORDS:,} words on: with 5,000 short sentences."
        )
    if words > _MANY_WORDS:
        found.append(
            f"{_rounded(words):,} words a side, in {statistics.num_pairs:,} pairs, are more than the recipe is made "
            "for: its rules are carried on to what they allow at most (widths of 640, 32,000 pieces). A larger model "
            "(model.*_size) may learn more from them."
        )
    if statistics.untranslated >= _UNTRANSLATED:
        found.append(
            f"{statistics.untranslated:.0%} of the pairs look untranslated: nearly the same words on both sides. They "
            "stay, and the model learns to copy such lines. If it should not, take them out."
        )
    if statistics.dev_swapped >= _MOST:
        found.append(
            f"{statistics.dev_swapped:.0%} of the dev pairs look swapped, going by the training pairs: source like "
            "target and target like source. Training goes on from source to target as the training pairs have them, "
            "and dev scores will be near 0. Swap the sides of one of the two."
        )
    if statistics.swapped >= _SWAPPED:
        found.append(
            f"{statistics.swapped:.0%} of the training pairs look swapped: their source reads like the other targets, "
            "and their target like the other sources. They stay, and the model will at times answer in the wrong "
            "language. Swap them back."
        )
    correlation = statistics.length_correlation
    if correlation is not None and correlation < _UNRELATED_LENGTHS and statistics.num_pairs >= _ENOUGH_FOR_CORRELATION:
        found.append(
            f"long sources hardly ever have long targets (correlation {correlation:.2f}): the lines of the two sides "
            "may not belong together. They are trained on as they stand; nothing can be learned from pairs that "
            "are none. Check some of them."
        )
    return found


def _decades(words: float) -> float:
    """Returns how many times ten times as large a corpus is as Multi30k; negative if it is smaller."""
    return math.log10(max(words, 1) / _REFERENCE_WORDS)


def _power(words: float, at_reference: float, exponent: float, low: float, high: float) -> float:
    return min(max(at_reference * math.pow(10, exponent * _decades(words)), low), high)


def _multiple(value: float, of: int, *, up: bool = False) -> int:
    return of * (math.ceil(value / of) if up else round(value / of))


def _step(value: float, step: float, low: float, high: float) -> float:
    return round(min(max(round(value / step) * step, low), high), 2)


def _rounded(value: float) -> int | float:
    """Returns a number with two digits that count."""
    rounded = float(f"{value:.2g}")
    return int(rounded) if rounded.is_integer() else rounded
