"""The estimate of time and memory, against arithmetic and against what was measured."""

from __future__ import annotations

import pytest

from nmt.config import Config, validate
from nmt.training.estimate import LEAST_SHARE, MOST_SHARE, Estimate, estimate

PHRASEBOOK = {"type": "phrasebook"}
TREE = {"source_language": "en", "target_language": "de", "data": {"train": PHRASEBOOK, "dev": PHRASEBOOK}}


def benchmark(width: int = 256, size: int = 80, unit: str = "sentences") -> Config:
    """The architecture of docs/performance.md."""
    model = {
        "embedding_size": width, "encoder_size": width, "decoder_size": 2 * width, "attention_size": 2 * width,
        "decoder": "input_feeding", "tied_embeddings": "none",
    }  # fmt: skip
    return validate({**TREE, "model": model, "batching": {"size": size, "unit": unit}}, "test")


def of(config: Config, num_pairs: int = 29_000, num_pieces: tuple[float, float] = (12.0, 12.0)) -> Estimate:
    return estimate(config, num_pairs=num_pairs, num_pieces=num_pieces, operations_per_second=432e9)


def test_time_grows_with_the_pairs_and_lies_between_two_shares_of_the_speed() -> None:
    one, ten = of(benchmark()), of(benchmark(), 290_000)
    assert ten.seconds_per_epoch == pytest.approx([10 * seconds for seconds in one.seconds_per_epoch])
    assert one.seconds_per_epoch[1] / one.seconds_per_epoch[0] == pytest.approx(MOST_SHARE / LEAST_SHARE)


def test_the_time_that_was_measured_lies_within() -> None:
    """6,666 target tokens a second, 14 pieces and the end of the sentence in each of 29,000 pairs."""
    least, most = of(benchmark(), num_pieces=(14.0, 14.0)).seconds_per_epoch
    assert least < 29_000 * 15 / 6_666 < most


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
    assert f"1,000 updates, 100 an epoch: {words} here" in one.to_text(1000, 100)


def test_a_limit_of_time_is_told_where_it_matters() -> None:
    one = Estimate(1_000_000, (60.0, 120.0), 1_000_000_000)
    assert one.to_text(1000, 100, max_minutes=15).endswith(
        "10 minutes to 20 minutes here, of which 15 minutes are allowed"
    )
    assert one.to_text(1000, 100, max_minutes=25).endswith("10 minutes to 20 minutes here")
