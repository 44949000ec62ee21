"""How much memory an update takes, and how much there is.

On a CPU a process that asks for too much is killed by the system instead of being told, so it must not come to that:
batches are worked on in parts that fit. On a GPU the backend tells, and the batch is halved then (`update.py`).

Shape letters: B batch, S source length, T target length.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nmt.backend import has_gpu
from nmt.config_model import ModelConfig
from nmt.data.dataset import Batch
from nmt.errors import TrainingError
from nmt.training.update import halves

FLOAT_BYTES = 4

USABLE_SHARE = 0.8
"""Share of the available memory that an update may take: the estimate has an error, and others want memory too."""


class UpdateMemory:
    """Estimates what an update takes beside what is there before it: gradients, and what they need of the layers.

    The factors count the arrays of the hand-written gradients; those of layer normalisation and transitions were
    fitted. On TensorFlow on a CPU the estimate was 0.97 to 1.21 times what updates of fifteen sizes took
    (docs/reliability.md); those of the lexical model and of two passes are counted, not measured.

    Args:
        config: The model.
        num_parameters: Its weights.
        num_passes: How often an update goes through each pair at once.
    """

    def __init__(self, config: ModelConfig, num_parameters: int, num_passes: int = 1) -> None:
        self._num_passes = num_passes
        memory_size = 2 * config.encoder_size
        self._source = (
            4 * config.embedding_size
            + (45 if config.layer_norm else 20) * config.encoder_size * config.encoder_layers
            + 2 * memory_size
            + 2 * config.attention_size
        )
        cells = 28 if config.decoder == "conditional" else 22
        if config.layer_norm:
            cells += 19 if config.decoder == "conditional" else 13
        cells += config.decoder_transitions * (21 if config.layer_norm else 14)
        self._target = (
            8 * config.embedding_size + cells * config.decoder_size + 4 * memory_size + 4 * config.attention_size
        )
        if config.lexical_model:
            self._source += 3 * config.embedding_size
            self._target += 2 * config.embedding_size
        self._fixed = 3 * num_parameters

    def estimate(self, batch: Batch) -> int:
        """Returns the bytes of an update."""
        num_pairs, source_length = batch.source_ids.shape
        return self.estimate_shape(num_pairs, source_length, batch.labels.shape[1])

    def estimate_shape(self, num_pairs: int, source_length: int, target_length: int) -> int:
        """Returns the bytes of an update of B pairs of S and T positions."""
        positions = source_length * self._source + target_length * self._target + 4 * source_length * target_length
        return int(FLOAT_BYTES * (self._num_passes * num_pairs * positions + self._fixed))

    def parts(self, batch: Batch, budget: int) -> list[Batch]:
        """Returns a batch in parts that take at most so many bytes, or are a single pair."""
        if len(batch.labels) == 1 or self.estimate(batch) <= budget:
            return [batch]
        return [part for half in halves(batch) for part in self.parts(half, budget)]


def memory_budget(num_parameters: int, *, with_averages: bool) -> int:
    """Returns how many bytes an update may take, before a model is built.

    Raises:
        TrainingError: The model alone takes more than there is.
    """
    if has_gpu():
        return sys.maxsize  # the backend tells when its memory is used up
    needed = training_bytes(num_parameters, with_averages=with_averages)
    available = available_bytes()
    if needed > available:
        raise TrainingError(
            f"the model has {num_parameters:,} parameters, and to train it takes {needed / 1e9:.1f} GB. Received: "
            f"{available / 1e9:.1f} GB of free memory. Choose a smaller model or vocabulary, or free memory."
        )
    return int((available - needed) * USABLE_SHARE)


def training_bytes(num_parameters: int, *, with_averages: bool) -> int:
    """Returns what weights, gradients, the optimizer's moments and the averages take."""
    return FLOAT_BYTES * num_parameters * (5 if with_averages else 4)


def available_bytes() -> int:
    """Returns how much memory a process may still take: of the machine, and of the container that it runs in."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        [available] = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError):  # not Linux
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit_bytes, used = (
                int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")) for name in (limit, usage)
            )
        except (OSError, ValueError):  # no such version of control groups, or no limit
            continue
        available = min(available, max(0, limit_bytes - used))
    return available
