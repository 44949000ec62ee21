"""The estimate of time and memory, against arithmetic and against what was measured."""

from __future__ import annotations

import pytest

from nmt.config import Config, validate
from nmt.training.estimate import SHARES, Estimate, estimate

PHRASEBOOK = {"type": "phrasebook"}
TREE = {"source_language": "en", "target_language": "de", "data": {"train": PHRASEBOOK, "dev": PHRASEBOOK}}


def benchmark(width: int = 256, size: int = 80, unit: str = "sentences", precision: str = "float32") -> Config:
    """The architecture of docs/performance.md."""
    model = {
        "embedding_size": width, "encoder_size": width, "decoder_size": 2 * width, "attention_size": 2 * width,
        "decoder": "input_feeding", "tied_embeddings": "none",
    }  # fmt: skip
    training = {"training": {"precision": precision}}
    return validate({**TREE, "model": model, "batching": {"size": size, "unit": unit}, **training}, "test")


def of(
    config: Config,
    num_pairs: int = 29_000,
    num_pieces: tuple[float, float] = (12.0, 12.0),
    operations_per_second: float | None = 432e9,
) -> Estimate:
    return estimate(config, num_pairs=num_pairs, num_pieces=num_pieces, operations_per_second=operations_per_second)


def seconds(estimated: Estimate) -> tuple[float, float]:
    assert estimated.seconds_per_epoch is not None
    return estimated.seconds_per_epoch


def test_time_grows_with_the_pairs_and_lies_between_two_shares_of_the_speed() -> None:
    one, ten = seconds(of(benchmark())), seconds(of(benchmark(), 290_000))
    assert ten == pytest.approx([10 * bound for bound in one])
    most, least = SHARES["float32"]
    assert one[1] / one[0] == pytest.approx(most / least)


@pytest.mark.parametrize(
    ("precision", "operations_per_second", "tokens_per_second"),
    [("float32", 432e9, 6_666), ("mixed_bfloat16", 839e9, 8_524)],
)
def test_the_time_that_was_measured_lies_within(
    precision: str, operations_per_second: float, tokens_per_second: int
) -> None:
    """14 pieces and the end of the sentence in each of 29,000 pairs; docs/performance.md."""
    least, most = seconds(of(benchmark(precision=precision), 29_000, (14.0, 14.0), operations_per_second))
    assert least < 29_000 * 15 / tokens_per_second < most


def test_where_the_speed_says_nothing_there_is_no_time() -> None:
    one = of(benchmark(), operations_per_second=None)
    assert one == of(benchmark())._replace(seconds_per_epoch=None)
    assert one.to_text(1000, 100).startswith("10.0 million parameters, up to some ")
    assert " minutes" not in one.to_text(1000, 100, max_minutes=1)


@pytest.mark.parametrize(
    ("config", "gigabytes"),
    [
        (benchmark(64), 0.97),
        (benchmark(128), 1.03),
        (benchmark(256), 1.16),
        (benchmark(512), 1.53),
        (benchmark(256, 10), 1.12),
        (benchmark(256, 160), 1.38),
    ],
)
def test_the_memory_that_was_measured_is_at_most_two_fifths_less(config: Config, gigabytes: float) -> None:
    """Generated pairs of 4 to 20 pieces; docs/performance.md."""
    assert gigabytes <= of(config).num_bytes / 1e9 <= 1.4 * gigabytes


def test_parameters_are_those_of_the_model() -> None:
    assert of(benchmark()).num_parameters == 10_024_512


def test_a_batch_of_tokens_holds_as_many_pairs_as_fit() -> None:
    # 12 pieces and the end of the sentence: 1,040 tokens are 80 pairs.
    assert of(benchmark(size=1040, unit="tokens")) == of(benchmark(size=80))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1.0, "10 seconds to 20 seconds"), (60.0, "10 minutes to 20 minutes"), (3600.0, "10 hours to 20 hours")],
)
def test_times_have_a_unit_that_fits(seconds: float, words: str) -> None:
    one = Estimate(1_000_000, (seconds, 2 * seconds), 1_000_000_000)
    assert f"1,000 updates, 100 an epoch: {words} here; validation" in one.to_text(1000, 100)


def test_a_limit_of_time_is_told_where_it_matters() -> None:
    one = Estimate(1_000_000, (60.0, 120.0), 1_000_000_000)
    assert one.to_text(1000, 100, max_minutes=15).endswith(
        "10 minutes to 20 minutes here, of which 15 minutes are allowed; validation comes on top"
    )
    assert one.to_text(1000, 100, max_minutes=25).endswith("20 minutes here; validation comes on top")
