"""What a training will take, told before it starts: time and memory, from sizes and a short measurement.

Both are estimates. The time counts the floating-point operations of the model's products and takes a share of the speed
at which this machine makes one large product; docs/performance.md has the shares that were measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from nmt.config import Config
from nmt.loading import model_shapes
from nmt.training.flops import training_work
from nmt.training.memory import UpdateMemory, training_bytes
from nmt.training.precision import Precision

SHARES: Mapping[Precision, tuple[float, float]] = {"float32": (0.55, 0.2), "mixed_bfloat16": (0.65, 0.2)}
"""Most and least of the speed of one large product: by wide models and large batches, and by narrow and small ones.

float32: the growth tables of docs/performance.md, 19 % with width 64, 21 % with batches of 10, 58 % with batches of 80.
bfloat16: six runs of the recipe on one core took 30 to 60 %, the most with the largest corpus; on two cores, 35 %.
"""

PROCESS_BYTES = 900_000_000
"""Of a process before it trains anything, with its backend loaded and text being read."""


class Estimate(NamedTuple):
    """What a training takes.

    Attributes:
        num_parameters: Weights of the model.
        seconds_per_epoch: Least and most seconds that the updates of an epoch take; None where it can't be told.
        num_bytes: Memory at the peak.
    """

    num_parameters: int
    seconds_per_epoch: tuple[float, float] | None
    num_bytes: int

    def to_text(self, num_updates: float, updates_per_epoch: float, max_minutes: float | None = None) -> str:
        r"""Returns the estimate as a sentence.

        Args:
            num_updates: Most updates of the training.
            updates_per_epoch: Updates that go through the corpus once.
            max_minutes: Where it ends all the same.

        Example:
            >>> print(Estimate(4_825_072, (40.0, 110.0), 1_200_000_000).to_text(13_590, 453.1, 45).replace("; ", "\n"))
            4.8 million parameters, up to some 1.2 GB of memory
            at most some 13,590 updates, 453 an epoch: 20 minutes to 55 minutes here, of which 45 minutes are allowed
            validation comes on top
        """
        sizes = (
            f"{self.num_parameters / 1e6:.1f} million parameters, up to some {self.num_bytes / 1e9:.1f} GB of memory; "
            f"at most some {num_updates:,.0f} updates, {updates_per_epoch:,.0f} an epoch"
        )
        if self.seconds_per_epoch is None:
            return f"{sizes}; how long they take is known for CPUs alone: the display tells after the first updates"
        least, most = (seconds * num_updates / updates_per_epoch for seconds in self.seconds_per_epoch)
        limit = (max_minutes or math.inf) * 60
        allowed = f", of which {_time(limit)} are allowed" if limit < most else ""
        return f"{sizes}: {_time(least)} to {_time(most)} here{allowed}; validation comes on top"


def estimate(
    config: Config, *, num_pairs: int, num_pieces: tuple[float, float], operations_per_second: float | None
) -> Estimate:
    """Returns what a training will take.

    Args:
        config: What is trained, nothing in it left to be chosen.
        num_pairs: Pairs of an epoch.
        num_pieces: Pieces of a sentence of each side, on average.
        operations_per_second: Floating-point operations of this machine in one large product of the configuration's
            precision; None where the shares say nothing of it.
    """
    vocabulary_size = config.tokenizer.vocabulary_size
    shapes = model_shapes(config.model, vocabulary_size, vocabulary_size)
    num_parameters = sum(math.prod(shape) for shape in shapes.values())
    source_length, target_length = (math.ceil(pieces) + 1 for pieces in num_pieces)
    work = training_work(config.model, vocabulary_size, [(source_length, target_length)]).matrix_products
    num_passes = config.training.num_passes()
    seconds = None
    if operations_per_second is not None and config.training.precision != "auto":
        at_full_speed = num_passes * num_pairs * work / operations_per_second
        most_share, least_share = SHARES[config.training.precision]
        seconds = at_full_speed / most_share, at_full_speed / least_share
    size = config.batching.size
    pairs_per_batch = size if config.batching.unit == "sentences" else max(1, size // max(source_length, target_length))
    update = UpdateMemory(config.model, num_parameters, num_passes)
    return Estimate(
        num_parameters,
        seconds,
        PROCESS_BYTES
        + training_bytes(num_parameters, with_averages=config.training.ema_decay is not None)
        # Batches are of one length each; the long ones are about twice as long as the mean.
        + update.estimate_shape(min(pairs_per_batch, num_pairs), 2 * source_length, 2 * target_length),
    )


def _time(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
