"""The speed and memory of training, through the batches, updates, counts and display of `nmt train`.

A repeat is an epoch as `nmt train` goes through it, then the bare updates on the same batches, already made, then the
machine's limit: what is compared is measured within seconds of each other. The first epoch, in which functions are
compiled and memory is taken, is reported apart.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import limit, memory, workload
from benchmarks.spread import Spread
from benchmarks.workload import Material
from nmt import startup
from nmt.config import Config
from nmt.training import flops


@dataclass(frozen=True)
class _Epoch:
    """One epoch as it was measured."""

    updates: float
    """Seconds of its updates, with all that `nmt train` does for them."""
    peak: float
    """The machine's limit just after it."""
    making_batches: float = math.nan
    """Seconds that its batches take to make."""
    bare_updates: float = math.nan
    """Seconds of the same updates without anything else."""


def measure_text(config: Config, num_pairs: int, num_repeats: int, *, with_bare_updates: bool = True) -> dict[str, Any]:
    """Measures training on the first pairs of a configuration's training corpora.

    Args:
        config: Corpus, model, batches and optimizer.
        num_pairs: Pairs that are trained on.
        num_repeats: Epochs measured, after one that is not.
        with_bare_updates: Whether the share of time outside the model is measured too.

    Returns:
        The figures by name.

    Raises:
        NMTError: A corpus can't be read or is too small.
    """
    startup.import_keras()
    material = workload.read(config, num_pairs)
    return measure(config, material, num_repeats, with_bare_updates=with_bare_updates)


def measure_generated(config: Config, num_pairs: int, lengths: tuple[int, int], num_repeats: int) -> dict[str, Any]:
    """Measures training on generated pairs with sides of `lengths`, shortest and longest; else as `measure_text`."""
    startup.import_keras()
    material = workload.generate(num_pairs, lengths, config.tokenizer.vocabulary_size, config.seed)
    return measure(config, material, num_repeats, with_bare_updates=False)


def measure(config: Config, material: Material, num_repeats: int, *, with_bare_updates: bool = True) -> dict[str, Any]:
    """Measures training on a tokenized corpus; else as `measure_text`."""
    startup.import_keras()
    from nmt.backend import library_name
    from nmt.config_keys import with_values
    from nmt.training.precision import choose_precision

    config = with_values(config, {"training.precision": choose_precision(config.training.precision)})
    memory_before = memory.peak_gb()
    dataset = workload.dataset_of(config, material.corpus)
    model = workload.model_of(config, material)
    updater = workload.updater_of(config, model)
    per_update = config.batching.batches_per_update
    num_tokens, num_padded = _target_tokens(dataset)
    start = time.perf_counter()
    epoch(updater, dataset, 0, per_update)
    warm_up_seconds = time.perf_counter() - start
    dtype = limit.dtype_of(config.training.precision)
    epochs: list[_Epoch] = []
    peak_memory = 0.0
    for number in range(1, num_repeats + 1):
        seconds = num_tokens / epoch(updater, dataset, number, per_update)
        peak_memory = peak_memory or memory.peak_gb()  # before the bare updates keep all batches at once
        parts = _parts(updater, dataset, per_update) if with_bare_updates else ()
        epochs.append(_Epoch(seconds, limit.matrix_product_peak(dtype).median, *parts))
    lengths = (material.corpus.source_lengths + 1).tolist(), (material.corpus.target_lengths + 1).tolist()
    work = flops.training_work(config.model, material.target_vocabulary_size, zip(*lengths, strict=True))
    work = work * config.training.num_passes()
    result: dict[str, Any] = {
        "backend": library_name(),
        "precision": config.training.precision,
        "num_parameters": model.count_params(),
        "vocabulary_size": material.target_vocabulary_size,
        "num_pairs": len(material.corpus),
        "num_updates": -(-len(dataset) // per_update),
        "num_target_tokens": num_tokens,
        "num_padded_target_tokens": num_padded,
        "warm_up_seconds": warm_up_seconds,
        "target_tokens_per_second": Spread.of(num_tokens / each.updates for each in epochs),
        "padded_target_tokens_per_second": Spread.of(num_padded / each.updates for each in epochs),
        "memory_before_gb": memory_before,
        "peak_memory_gb": peak_memory,
        "matrix_product_operations": work.matrix_products,
        "attention_tanh_evaluations": work.attention_tanh,
        "operations_per_second": Spread.of(work.matrix_products / each.updates for each in epochs),
        "limit_operations_per_second": Spread.of(each.peak for each in epochs),
        "share_of_limit": Spread.of(work.matrix_products / each.updates / each.peak for each in epochs),
    }
    if with_bare_updates:
        result |= {
            "share_outside_model": Spread.of(1 - each.bare_updates / each.updates for each in epochs),
            "share_making_batches": Spread.of(each.making_batches / each.updates for each in epochs),
            "bare_target_tokens_per_second": Spread.of(num_tokens / each.bare_updates for each in epochs),
            "bare_share_of_limit": Spread.of(work.matrix_products / each.bare_updates / each.peak for each in epochs),
        }
    return result


def epoch(
    updater: Any, dataset: Any, number: int, batches_per_update: int = 1, max_updates: int | None = None
) -> float:
    """Trains for one epoch: `nmt.training.run.Run` without validations and checkpoints.

    Args:
        updater: Makes the updates.
        dataset: The batches.
        number: Which epoch, from 0.
        batches_per_update: Batches whose gradients make one update.
        max_updates: Most updates, or None for the whole epoch.

    Returns:
        Real target tokens a second of training time, as `nmt train` counts them.
    """
    from rich.console import Console

    from nmt.training.backend import seed_dropout
    from nmt.training.display import Display
    from nmt.training.limits import Limits
    from nmt.training.progress import Progress

    dataset.epoch = number
    progress = Progress(epoch=number)
    limits = Limits(
        max_epochs=number + 1,
        max_updates=max_updates,
        max_minutes=None,
        patience=None,
        updates_per_epoch=-(-len(dataset) // batches_per_update),
    )
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        display = Display(number + 1, len(dataset), Console(file=nowhere))
        display.begin_epoch(progress)
        while progress.batch < len(dataset) and not limits.is_reached(progress):
            start = time.monotonic()
            end = min(progress.batch + batches_per_update, len(dataset))
            batches = [dataset[index] for index in range(progress.batch, end)]
            seed_dropout(dataset.seed, number, progress.batch)
            outcome = updater(batches)
            progress.batch = end
            progress.updates += 1
            progress.loss_sum += outcome.loss
            progress.nll_sum += outcome.nll
            progress.num_tokens += outcome.num_tokens
            progress.gradient_norm = outcome.gradient_norm
            progress.epoch_seconds += time.monotonic() - start
            if display.is_due():
                display.show(progress, float(updater.optimizer.learning_rate), limits.seconds_left(progress))
        display.close()
    return progress.tokens_per_second


def _target_tokens(dataset: Any) -> tuple[int, int]:
    """Returns the target tokens of an epoch, without and with padding."""
    from nmt.text.special import PAD_ID

    sizes = [(np.count_nonzero(batch.labels != PAD_ID), batch.labels.size) for batch in dataset]
    num_tokens, num_padded = (int(sum(column)) for column in zip(*sizes, strict=True))
    return num_tokens, num_padded


def _parts(updater: Any, dataset: Any, batches_per_update: int) -> tuple[float, float]:
    """Returns the seconds of making an epoch's batches, and of the bare updates on them."""
    from nmt.backend import library_name

    start = time.perf_counter()
    batches = list(dataset)
    making_batches = time.perf_counter() - start
    updates = [
        _ready(batches[first : first + batches_per_update]) for first in range(0, len(batches), batches_per_update)
    ]
    for update in updates if library_name() == "jax" else updates[:1]:  # JAX compiles anew for every shape
        _update_barely(updater, update)
    _wait_for(updater)
    start = time.perf_counter()
    for update in updates:
        _update_barely(updater, update)
    _wait_for(updater)
    return making_batches, time.perf_counter() - start


def _ready(batches: list[Any]) -> list[tuple[Any, ...]]:
    """Returns the arguments of an update's gradients as tensors."""
    from keras import ops

    from nmt.text.special import PAD_ID

    num_tokens = sum(int(np.count_nonzero(batch.labels != PAD_ID)) for batch in batches)
    tensors = [[batch.source_ids, batch.target_ids, batch.labels, np.float32(num_tokens)] for batch in batches]
    return [tuple(map(ops.convert_to_tensor, arrays)) for arrays in tensors]


def _update_barely(updater: Any, update: list[tuple[Any, ...]]) -> None:
    """Computes the gradients and applies them, without making, counting, checking or waiting for anything."""
    total: list[Any] = []
    for arguments in update:
        gradients, sums = updater._share(*arguments)
        total = [old + new for old, new in zip(total, gradients, strict=True)] if total else gradients
    updater._apply(total, sums.loss)


def _wait_for(updater: Any) -> None:
    """Returns when the updates that have been asked for are done: some devices work behind the program's back."""
    float(updater.optimizer.iterations)
