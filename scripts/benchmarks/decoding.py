"""The speed and memory of translation: many sentences in batches, one at a time, and from the start of a process."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import limit, memory
from benchmarks.spread import Spread, percentile
from nmt import startup
from nmt.config import Config
from nmt.config_model import ModelConfig
from nmt.errors import NMTError
from nmt.training import flops

NUM_WARM_UP_LINES = 10
"""Lines translated one at a time before the latencies that count: functions meet new shapes in the first few."""


def held_out_text(config: Config) -> tuple[list[str], list[str]]:
    """Returns the sources and references of a configuration's test corpora.

    Raises:
        NMTError: There are none, or they can't be read.
    """
    from nmt.corpora import read_corpora

    if config.data.test is None:
        raise NMTError("the configuration has no `data.test`. Name one, or give --source and --reference.")
    pairs = read_corpora(config.data.test, config.source_language, config.target_language)
    return [pair.source for pair in pairs], [pair.target for pair in pairs]


def train_model(config: Config, num_pairs: int, folder: Path) -> None:
    """Trains the model to translate with, as `nmt train` does, on the first pairs of the training corpora.

    Args:
        config: What to train.
        num_pairs: Most pairs.
        folder: The run directory to make.

    Raises:
        NMTError: A corpus can't be read, or training fails.
    """
    startup.import_keras()
    from nmt import config as configuration
    from nmt.corpora import PairStream
    from nmt.run_dir import RunDirectory, library_versions
    from nmt.training.preparation import read_pairs
    from nmt.training.trainer import train

    pairs = read_pairs(config)
    training = PairStream([list(itertools.islice(pairs.training, num_pairs))], max_held=num_pairs)
    pairs = pairs._replace(training=training, test=[])
    run = RunDirectory.create(folder, config_yaml=configuration.dump(config), versions=library_versions())
    with run.lock():
        train(config, run, pairs=pairs)


def measure(
    model: Path,
    sources: Sequence[str],
    references: Sequence[str],
    *,
    beam_size: int,
    batch_size: int | None,
    num_repeats: int,
    num_single_lines: int,
) -> dict[str, Any]:
    """Measures translation with one beam size.

    Args:
        model: A model or a run directory.
        sources: Lines to translate.
        references: A reference each: the score tells that what was fast was also a translation.
        beam_size: Hypotheses kept a step.
        batch_size: Lines translated at a time; by default as the model was saved.
        num_repeats: Passes over all lines, after one that is not counted.
        num_single_lines: Lines that are translated one at a time; 0 for none.

    Returns:
        The figures by name.

    Raises:
        NMTError: The model can't be loaded or an option is out of range.
    """
    import nmt
    from nmt.evaluation.metrics import score_corpus

    # No Keras here before the memory is read: whether translation needs it is the program's own affair.
    start = time.perf_counter()
    translator = nmt.load(model)
    load_seconds = time.perf_counter() - start

    def timed_pass() -> tuple[list[Any], float]:
        start = time.perf_counter()
        found = translator.translate(sources, beam_size=beam_size, batch_size=batch_size)
        return found, time.perf_counter() - start

    memory_before = memory.peak_gb()
    hypotheses, warm_up_seconds = timed_pass()
    seconds = [timed_pass()[1] for _ in range(num_repeats)]
    peak_memory = memory.peak_gb()
    latencies, single = _one_at_a_time(translator, sources[:num_single_lines], beam_size)
    [bleu] = score_corpus([each.text for each in hypotheses], references, metrics=("bleu",), num_resamples=0)
    limits = limit.numpy_product_peak()
    sizes = _sizes(model)

    def work_of(lines: Sequence[str], hypotheses: Sequence[Any]) -> flops.Work:
        source_lengths = [len(ids) + 1 for ids in translator.source_tokenizer.encode(lines)]
        target_lengths = [len(hypothesis.token_ids) + 1 for hypothesis in hypotheses]
        lengths = zip(source_lengths, target_lengths, strict=True)
        return flops.decoding_work(sizes.model, sizes.target_vocabulary_size, lengths, beam_size)

    num_tokens = sum(len(each.token_ids) + 1 for each in hypotheses)
    work = work_of(sources, hypotheses)
    result: dict[str, Any] = {
        "beam_size": beam_size,
        "batch_size": batch_size or translator.options.batch_size,
        "num_parameters": sizes.num_parameters,
        "vocabulary_size": sizes.target_vocabulary_size,
        "num_sentences": len(sources),
        "num_output_tokens": num_tokens,
        "bleu": bleu.score,
        "bleu_signature": bleu.signature,
        "load_seconds": load_seconds,
        "warm_up_seconds": warm_up_seconds,
        "sentences_per_second": Spread.of(len(sources) / each for each in seconds),
        "output_tokens_per_second": Spread.of(num_tokens / each for each in seconds),
        "memory_before_gb": memory_before,
        "peak_memory_gb": peak_memory,
        "matrix_product_operations": work.matrix_products,
        "attention_tanh_evaluations": work.attention_tanh,
        "limit_operations_per_second": limits,
        "share_of_limit": Spread.of(work.matrix_products / each / limits.median for each in seconds),
    }
    if latencies:
        single_work = work_of(sources[:num_single_lines], single)
        result |= {
            "num_single_lines": len(latencies),
            "latency_seconds": {f"p{percent}": percentile(latencies, percent) for percent in (50, 95, 99)},
            "latency_share_of_limit": single_work.matrix_products / sum(latencies) / limits.median,
        }
    return result


class _Sizes(NamedTuple):
    model: ModelConfig
    target_vocabulary_size: int
    num_parameters: int


def _sizes(path: Path) -> _Sizes:
    """Returns the sizes that a saved model was built with."""
    from nmt.model_file import find_model
    from nmt.weight_shapes import weight_shapes

    saved = json.loads((find_model(path) / "config.json").read_text(encoding="utf-8"))
    model = ModelConfig(**saved["model"])
    vocabularies = {name: saved[name] for name in ("source_vocabulary_size", "target_vocabulary_size")}
    architecture = model.architecture()
    shapes = weight_shapes(**vocabularies, **architecture)
    return _Sizes(model, saved["target_vocabulary_size"], sum(map(math.prod, shapes.values())))


def _one_at_a_time(translator: Any, lines: Sequence[str], beam_size: int) -> tuple[list[float], list[Any]]:
    latencies, found = [], []
    for line in lines[:NUM_WARM_UP_LINES]:
        translator.translate([line], beam_size=beam_size)
    for line in lines:
        start = time.perf_counter()
        found += translator.translate([line], beam_size=beam_size)
        latencies.append(time.perf_counter() - start)
    return latencies, found


def first_translation(model: Path, line: str, num_repeats: int) -> Spread:
    """Measures the seconds from the start of `nmt translate` until its first translation is there.

    Args:
        model: A model or a run directory.
        line: What is translated.
        num_repeats: Starts that count, after one that brings the files into the system's memory.

    Raises:
        NMTError: The command fails.
    """
    return Spread.of([_start(model, line) for _ in range(num_repeats + 1)][1:])


def _start(model: Path, line: str) -> float:
    command = [sys.executable, "-m", "nmt", "translate", str(model)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as messages:
        start = time.perf_counter()
        with subprocess.Popen(  # noqa: S603 (our own command)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=messages, text=True, encoding="utf-8"
        ) as process:
            if process.stdin is None or process.stdout is None:
                raise NMTError("`nmt translate` was started without pipes.")
            with contextlib.suppress(BrokenPipeError):  # it has ended already: its messages tell why
                process.stdin.write(f"{line}\n")
                process.stdin.close()
            first = process.stdout.readline()
            seconds = time.perf_counter() - start
        if process.returncode or not first:
            messages.seek(0)
            raise NMTError(f"`nmt translate {model}` has failed: {messages.read().strip()}")
    return seconds
