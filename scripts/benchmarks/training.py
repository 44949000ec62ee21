"""The speed and memory of training, through the batches, loss, optimizer, callbacks and `fit` of `nmt train`.

A repeat is an epoch through `fit`, then the bare update on the same batches, already made, then the machine's limit:
what is compared is measured within seconds of each other. The first epoch, in which functions are compiled and memory
is taken, is reported apart.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import flops, limit, memory, workload
from benchmarks.spread import Spread
from benchmarks.workload import Material
from nmt import startup
from nmt.config import Config

_Update = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class _Epoch:
    """One epoch as it was measured."""

    fit: float
    """Seconds of its updates in `fit`."""
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
    from nmt.training.precision import choose_precision
    from nmt.training_run import with_precision

    config = with_precision(config, choose_precision(config.training.precision))
    memory_before = memory.peak_gb()
    dataset = workload.dataset_of(config, material.corpus)
    objective = workload.objective_of(config, material)
    num_updates = len(dataset)
    num_tokens = sum(dataset.num_target_tokens(batch) for batch in range(num_updates))
    num_padded = sum(dataset.num_padded_tokens(batch) for batch in range(num_updates))
    start = time.perf_counter()
    fit(objective, dataset, 0)
    warm_up_seconds = time.perf_counter() - start
    update = _bare_update(objective)
    dtype = limit.dtype_of(config.training.precision)
    epochs: list[_Epoch] = []
    peak_memory = 0.0
    for number in range(1, num_repeats + 1):
        fit_seconds = num_tokens / fit(objective, dataset, number)
        peak_memory = peak_memory or memory.peak_gb()  # before the bare updates keep all batches at once
        parts = _parts(update, objective, dataset) if with_bare_updates else ()
        epochs.append(_Epoch(fit_seconds, limit.matrix_product_peak(dtype).median, *parts))
    lengths = (material.corpus.source_lengths + 1).tolist(), (material.corpus.target_lengths + 1).tolist()
    work = flops.training_work(config.model, material.target_vocabulary_size, zip(*lengths, strict=True))
    result: dict[str, Any] = {
        "backend": library_name(),
        "precision": config.training.precision,
        "num_parameters": objective.model.count_params(),
        "vocabulary_size": material.target_vocabulary_size,
        "num_pairs": len(material.corpus),
        "num_updates": num_updates,
        "num_target_tokens": num_tokens,
        "num_padded_target_tokens": num_padded,
        "warm_up_seconds": warm_up_seconds,
        "target_tokens_per_second": Spread.of(num_tokens / each.fit for each in epochs),
        "padded_target_tokens_per_second": Spread.of(num_padded / each.fit for each in epochs),
        "memory_before_gb": memory_before,
        "peak_memory_gb": peak_memory,
        "matrix_product_operations": work.matrix_products,
        "attention_tanh_evaluations": work.attention_tanh,
        "operations_per_second": Spread.of(work.matrix_products / each.fit for each in epochs),
        "limit_operations_per_second": Spread.of(each.peak for each in epochs),
        "share_of_limit": Spread.of(work.matrix_products / each.fit / each.peak for each in epochs),
    }
    if with_bare_updates:
        result |= {
            "share_outside_model": Spread.of(1 - each.bare_updates / each.fit for each in epochs),
            "share_making_batches": Spread.of(each.making_batches / each.fit for each in epochs),
            "bare_target_tokens_per_second": Spread.of(num_tokens / each.bare_updates for each in epochs),
            "bare_share_of_limit": Spread.of(work.matrix_products / each.bare_updates / each.peak for each in epochs),
        }
    return result


def fit(objective: Any, dataset: Any, epoch: int, max_updates: int | None = None) -> float:
    """Trains for one epoch with the callbacks of `nmt train`.

    Args:
        objective: What is trained.
        dataset: Its batches.
        epoch: Which epoch, from 0.
        max_updates: Most updates, or None for the whole epoch.

    Returns:
        Real target tokens a second of training time, as `nmt train` counts them.
    """
    import keras
    from rich.console import Console

    from nmt.training.callbacks import Clock, Display
    from nmt.training.checkpoint import Progress

    clock = Clock(Progress(epoch=epoch), dataset, max_updates, None)
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        callbacks = [clock, Display(clock, epoch + 1, Console(file=nowhere))]
        if all(importlib.util.find_spec(name) for name in ("tensorboard", "tensorflow")):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            callbacks.append(keras.callbacks.TensorBoard(folder, write_graph=False))
        objective.fit(dataset, initial_epoch=epoch, epochs=epoch + 1, shuffle=False, verbose=0, callbacks=callbacks)
    return clock.tokens_per_second


def _parts(update: _Update, objective: Any, dataset: Any) -> tuple[float, float]:
    """Returns the seconds of making an epoch's batches, and of the bare updates on them."""
    from keras import ops, tree

    from nmt.backend import library_name

    start = time.perf_counter()
    batches = [dataset[number] for number in range(len(dataset))]
    making_batches = time.perf_counter() - start
    batches = [tree.map_structure(ops.convert_to_tensor, batch) for batch in batches]
    for batch in batches if library_name() == "jax" else batches[:1]:  # JAX compiles anew for every shape
        update(*batch)
    _wait_for(objective)
    start = time.perf_counter()
    for batch in batches:
        update(*batch)
    _wait_for(objective)
    return making_batches, time.perf_counter() - start


def _bare_update(objective: Any) -> _Update:
    """Returns an optimizer update as a function of a batch, without `fit`, callbacks or a pipeline of data."""
    from nmt.backend import library_name

    if library_name() != "tensorflow":
        return lambda inputs, labels: objective.train_on_batch(inputs, labels)
    # Of `train_on_batch` each call on TensorFlow makes a pipeline, and each new shape a new program.
    import tensorflow as tf

    ids = tf.TensorSpec((None, None), tf.int32)
    compiled = tf.function(objective.train_step, input_signature=[({"source_ids": ids, "target_ids": ids}, ids)])
    return lambda inputs, labels: compiled((inputs, labels))


def _wait_for(objective: Any) -> None:
    """Returns when the updates that have been asked for are done: some devices work behind the program's back."""
    float(objective.optimizer.iterations)
