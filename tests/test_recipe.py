"""The automatic recipe: golden values by size of the corpus, what stays as it is given, what is found suspicious."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from nmt import recipe
from nmt.config import Config, load, validate
from nmt.config_keys import leaves, with_values
from nmt.config_model import ModelConfig
from nmt.recipe import KEYS, choose, findings
from nmt.text.statistics import Side, Statistics

PHRASEBOOK = {"type": "phrasebook"}
CONFIG = validate(
    {"source_language": "en", "target_language": "de", "data": {"train": PHRASEBOOK, "dev": PHRASEBOOK}}, "test"
)
DEFAULTS = leaves(CONFIG.model_dump())

# Of Multi30k, English to German, as `measure` gives them.
ENGLISH = Side(61.1, 11.9, 122, 15_456, 52, True)
GERMAN = Side(70.6, 11.1, 144, 24_889, 59, True)
CHINESE = Side(20.0, 20.0, 44, 2_500, 2_500, False)
TINY = Side(2.0, 1.0, 2, 1, 1, True)
HUGE = Side(4e3, 700.0, 9000, 9, 60, True)
SIZES = (5_000, 15_000, 29_000, 200_000, 1_000_000)

GOLDEN = {
    "tokenizer.joint": (True,) * 5,
    "tokenizer.vocabulary_size": (3000, 4600, 6000, 13_000, 24_700),
    "data.max_length_pieces": (80,) * 5,
    "model.tied_embeddings": ("all",) * 5,
    "model.embedding_size": (256, 256, 256, 384, 512),
    "model.encoder_size": (256, 256, 256, 384, 512),
    "model.encoder_layers": (1, 1, 1, 1, 2),
    "model.decoder_size": (384, 384, 384, 576, 768),
    "model.attention_size": (256, 256, 256, 384, 512),
    "model.lexical_model": (True,) * 5,
    "model.dropout_rate": (0.4, 0.4, 0.4, 0.25, 0.1),
    "model.recurrent_dropout_rate": (0.2, 0.1, 0.0, 0.0, 0.0),
    "batching.size": (32, 48, 64, 140, 264),
    "training.max_epochs": (55, 38, 30, 15, 9),
    "training.bidirectional_epochs": (33, 0, 0, 0, 0),
    "training.learning_rate": (0.004, 0.004, 0.004, 0.0016, 0.0014),
    "training.schedule.warmup_updates": (190, 260, 300, 470, 750),
    "training.schedule.decay_updates": (1900, 2600, 3000, 4700, 7500),
    "training.label_smoothing": (0.2, 0.15, 0.1, 0.1, 0.1),
    "training.r_drop": (1.0, 1.0, 1.0, 0.0, 0.0),
    "training.ema_decay": (0.99842, 0.99885, 0.999, 0.99937, 0.9996),
    "training.precision": ("auto",) * 5,
    "training.validate_every_epochs": (2, 1, 1, 1, 1),
    "training.early_stopping_patience": (6, 8, 6, 3, 3),
    "training.metric": ("bleu",) * 5,
}
RISING = {
    "tokenizer.vocabulary_size", "model.embedding_size", "model.encoder_layers", "model.decoder_size",
    "model.attention_size", "batching.size",
}  # fmt: skip
# What follows the number of updates: it falls a little where the batches grow by a step.
MOSTLY_RISING = {"training.schedule.warmup_updates", "training.schedule.decay_updates", "training.ema_decay"}
FALLING = {
    "training.bidirectional_epochs",
    "model.dropout_rate", "model.recurrent_dropout_rate", "training.max_epochs", "training.learning_rate",
    "training.label_smoothing", "training.r_drop", "training.validate_every_epochs",
}  # fmt: skip


def corpus(num_pairs: int = 29_000, **changes: Any) -> Statistics:
    one = Statistics(num_pairs, ENGLISH, GERMAN, 0.75, 0.0, 0.0, 0.0, 0.89)
    return one._replace(**changes)


def chosen(statistics: Statistics, **given: Any) -> dict[str, Any]:
    keys = {key.replace("__", "."): value for key, value in given.items()}
    return {choice.key: choice.value for choice in choose(statistics, keys, DEFAULTS)}


@pytest.mark.parametrize("number", range(5), ids=[f"{size:,}" for size in SIZES])
def test_golden_values(number: int) -> None:
    assert chosen(corpus(SIZES[number])) == {key: values[number] for key, values in GOLDEN.items()}


def test_every_key_is_chosen_in_order_with_a_reason() -> None:
    choices = choose(corpus(), {}, DEFAULTS)
    assert tuple(choice.key for choice in choices) == KEYS
    assert all(choice.reason and "\n" not in choice.reason and len(choice.reason) < 90 for choice in choices)


def test_for_multi30k_it_is_the_recipe_tuned_by_hand() -> None:
    by_hand = leaves(load("configs/multi30k-en-de.yaml").model_dump())
    by_hand["training.max_epochs"] = 30  # the file has as many as the published figures: patience ends the others
    assert chosen(corpus()) == {key: by_hand[key] for key in KEYS}


def test_it_changes_one_way_with_the_size() -> None:
    sizes = [round(10 ** (decade / 10)) for decade in range(30, 75)]  # 1 thousand to 25 million
    tables = [chosen(corpus(size)) for size in sizes]
    for smaller, larger in pairwise(tables):
        for key in RISING:
            assert smaller[key] <= larger[key], key
        for key in MOSTLY_RISING:
            assert smaller[key] <= 1.2 * larger[key], key
        for key in FALLING:
            assert smaller[key] >= larger[key], key


def test_it_is_smooth() -> None:
    """A tenth more text moves no value by more than a third.

    Small numbers and R-Drop change in steps, and the rate where R-Drop ends.
    """
    small = {
        "model.recurrent_dropout_rate",
        "training.r_drop",
        "training.bidirectional_epochs",
        "training.validate_every_epochs",
        "training.early_stopping_patience",
        "model.encoder_layers",
    }
    size = 5_000.0
    while size < 1_000_000:
        one, other = chosen(corpus(int(size))), chosen(corpus(int(size * 1.1)))
        has_changed = one["training.r_drop"] != other["training.r_drop"]
        steps = small | ({"training.learning_rate"} if has_changed else set())
        for key in (RISING | MOSTLY_RISING | FALLING) - steps:
            ratio = other[key] / one[key]
            assert 0.65 < ratio < 1.35, (key, size, one[key], other[key])
        size *= 1.1


@pytest.mark.parametrize("num_pairs", [1, 48, 1_000, 5_000, 1_000_000, 100_000_000])
@pytest.mark.parametrize("unit", ["sentences", "tokens"])
@pytest.mark.parametrize(
    "target", [GERMAN, CHINESE, Side(2.0, 1.0, 2, 1, 1, True), Side(4e3, 700.0, 9000, 9, 60, True)]
)
def test_it_fits_the_schema(num_pairs: int, unit: str, target: Side) -> None:
    values = chosen(corpus(num_pairs, target=target), batching__unit=unit)
    config = with_values(CONFIG, values | {"batching.unit": unit})
    assert isinstance(config, Config)
    if unit == "tokens":
        assert config.batching.size >= config.data.max_length_pieces + 1


GIVEN = {
    "tokenizer.joint": False, "tokenizer.vocabulary_size": 1234, "data.max_length_pieces": 33,
    "model.tied_embeddings": "none", "model.embedding_size": 11, "model.encoder_size": 12, "model.encoder_layers": 3,
    "model.decoder_size": 13, "model.attention_size": 14, "model.lexical_model": False, "model.dropout_rate": 0.01,
    "model.recurrent_dropout_rate": 0.02, "batching.size": 15, "training.max_epochs": 16,
    "training.bidirectional_epochs": 3, "training.learning_rate": 0.5,
    "training.schedule.warmup_updates": 17, "training.schedule.decay_updates": 18, "training.label_smoothing": 0.0,
    "training.r_drop": 0.5, "training.ema_decay": None, "training.precision": "float32",
    "training.validate_every_epochs": 19, "training.early_stopping_patience": None, "training.metric": "loss",
}  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_what_is_given_is_not_chosen(key: str) -> None:
    choices = choose(corpus(), {key: GIVEN[key]}, DEFAULTS)
    assert [choice.key for choice in choices] == [one for one in KEYS if one != key]
    with_values(CONFIG, {choice.key: choice.value for choice in choices} | {key: GIVEN[key]})


def test_what_is_chosen_fits_what_is_given() -> None:
    assert chosen(corpus(), tokenizer__joint=False)["model.tied_embeddings"] == "target"
    foreign = corpus(shared_letters=0.1)
    assert (chosen(foreign)["tokenizer.joint"], chosen(foreign)["model.tied_embeddings"]) == (False, "target")
    assert chosen(foreign, model__tied_embeddings="all")["tokenizer.joint"] is True
    # Half the epochs are half the updates: warm-up, decay and average are shorter.
    half = chosen(corpus(), training__max_epochs=15)
    assert half["training.schedule.warmup_updates"] == 150
    assert half["training.schedule.decay_updates"] == 1500
    assert half["training.ema_decay"] == 0.998
    assert chosen(corpus(), batching__batches_per_update=2)["training.schedule.decay_updates"] == 1500
    assert chosen(corpus(), training__max_updates=5000)["training.schedule.decay_updates"] == 1100
    cosine = {"training.schedule.type": "cosine"}
    by_key = {choice.key: choice.value for choice in choose(corpus(), cosine, DEFAULTS)}
    assert by_key["training.schedule.decay_updates"] == 14_000  # a cosine reaches its floor at the end
    for shape in ("constant", "plateau"):
        keys = [choice.key for choice in choose(corpus(), {"training.schedule.type": shape}, DEFAULTS)]
        assert keys == [key for key in KEYS if key != "training.schedule.decay_updates"]
    assert chosen(corpus(), model__decoder_size=1536)["training.learning_rate"] == 0.002
    assert chosen(corpus(), model__encoder_size=512)["model.decoder_size"] == 768
    assert chosen(corpus(), model__encoder_size=8)["model.decoder_size"] == 32
    assert chosen(corpus(), training__r_drop=0.0)["training.learning_rate"] == 0.002
    assert chosen(corpus(1_000_000), training__r_drop=1.0)["training.learning_rate"] == 0.0028
    assert chosen(corpus(5_000))["training.r_drop"] == 1.0
    without = chosen(corpus(5_000), model__dropout_rate=0.0)
    assert (without["model.recurrent_dropout_rate"], without["training.r_drop"]) == (0.0, 0.0)
    assert chosen(corpus(5_000), training__r_drop=0.0)["model.dropout_rate"] == 0.5
    assert chosen(corpus(5_000), tokenizer__joint=False)["training.bidirectional_epochs"] == 0
    assert chosen(corpus(5_000), training__max_epochs=10)["training.bidirectional_epochs"] == 6
    assert chosen(corpus(5_000), training__max_epochs=1)["training.bidirectional_epochs"] == 0
    assert chosen(corpus(5_000), training__max_minutes=90.0)["training.bidirectional_epochs"] == 0
    assert chosen(corpus(5_000), training__max_updates=1600)["training.bidirectional_epochs"] == 6  # of 10


RATES = [name for name, field in ModelConfig.model_fields.items() if "dropout" in name and field.annotation is float]


@pytest.mark.parametrize("name", RATES)
def test_any_dropout_is_enough_for_r_drop(name: str) -> None:
    """What the recipe and the schema call dropout is the same."""
    rates = {f"model.{rate}": 0.2 if rate == name else 0.0 for rate in RATES}
    values = {choice.key: choice.value for choice in choose(corpus(5_000), rates, DEFAULTS)}
    assert values["training.r_drop"] == 1.0
    assert with_values(CONFIG, values | rates).model.has_dropout()


def test_updates_are_counted_in_either_unit() -> None:
    values = {**DEFAULTS, "batching.size": 64, "tokenizer.vocabulary_size": 6000}
    assert recipe.updates_per_epoch(corpus(), values) == pytest.approx(29_000 / 64)
    # 16.9 pieces and the end of the sentence on the longer side
    in_tokens = {**values, "batching.unit": "tokens", "batching.size": 1000}
    assert recipe.updates_per_epoch(corpus(), in_tokens) == pytest.approx(29_000 * 17.9 / 1000, rel=0.01)
    assert recipe.updates_per_epoch(corpus(3), values) == 1


@pytest.mark.parametrize(("vocabulary_size", "counted"), [(1500, 18.9), (3000, 16.2), (6000, 14.85), (12_000, 14.1)])
def test_pieces_are_about_those_that_were_counted(vocabulary_size: int, counted: float) -> None:
    """The first 3,000 English captions of Multi30k, joint unigram vocabularies trained on all of it."""
    assert recipe.num_pieces(ENGLISH, vocabulary_size) == pytest.approx(counted, rel=0.2)


def test_many_characters_need_many_pieces() -> None:
    choices = choose(corpus(5_000, target=CHINESE, shared_letters=0.0), {}, DEFAULTS)
    by_key = {choice.key: choice for choice in choices}
    pieces = by_key["tokenizer.vocabulary_size"]
    assert pieces.value >= 300 + 2_500
    assert pieces.reason == "the 2,500 characters of a side need more pieces than 80,000 words"
    assert by_key["training.metric"].value == "chrf", "BLEU counts words"
    joint = {"tokenizer.joint": True}
    [pieces] = [choice for choice in choose(corpus(5_000, target=CHINESE), joint, DEFAULTS) if choice.key == pieces.key]
    assert pieces.value >= 300 + 2_552
    assert pieces.reason == "the 2,552 characters of both sides need more pieces than 80,000 words"


def test_long_sentences_make_smaller_batches() -> None:
    long = ENGLISH._replace(num_characters=250.0, num_words=45.0, long_characters=700)
    values = chosen(corpus(10_000, source=long, target=long))
    assert values["batching.size"] < chosen(corpus(29_000))["batching.size"]
    assert values["data.max_length_pieces"] > 200


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    for size in (*SIZES, 29_000):
        assert findings(corpus(size)) == []
    short = ENGLISH._replace(num_characters=30.0, num_words=6.4, long_characters=80)
    long = ENGLISH._replace(num_characters=140.0, num_words=25.0, long_characters=350)
    assert findings(corpus(5_000, source=short, target=short)) == []
    assert findings(corpus(1_000_000, source=long, target=long)) == []


@pytest.mark.parametrize(
    ("statistics", "expected"),
    [
        (corpus(1_000), "12,000 words a side, in 1,000 pairs, are too few for a good model: training goes on"),
        (corpus(9_000_000), "100,000,000 words a side, in 9,000,000 pairs, are more than the recipe is made for"),
        (corpus(untranslated=0.25), "25% of the pairs look untranslated: nearly the same words on both sides. They "),
        (corpus(swapped=0.1), "10% of the training pairs look swapped: their source reads like the other targets"),
        (corpus(dev_swapped=0.97), "97% of the dev pairs look swapped, going by the training pairs"),
        (corpus(length_correlation=0.01), "long sources hardly ever have long targets (correlation 0.01)"),
    ],
)
def test_what_is_suspicious_is_told(statistics: Statistics, expected: str) -> None:
    [found] = findings(statistics)
    assert found.startswith(expected)


def test_lengths_of_a_few_pairs_tell_nothing() -> None:
    assert len(findings(corpus(50, length_correlation=0.01))) == 1  # too few
    assert findings(corpus(length_correlation=None)) == []
