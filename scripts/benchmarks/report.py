"""What was measured, as JSON for programs and as tables for people. This module measures nothing."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.spread import Spread
from nmt.training.flops import Work

WIDTH = 118


def to_json(report: dict[str, Any]) -> str:
    """Returns a report as JSON; a spread becomes an object of its median, lowest and highest."""
    return json.dumps(report, ensure_ascii=False, allow_nan=False, indent=2, default=_plain)


def to_text(report: dict[str, Any]) -> str:
    """Returns a report as a heading and tables."""
    machine = report["machine"]
    load = f"load before {machine['load_average_before']:.1f}"
    memory = f"{machine['memory_gb'] or '?'} GB"
    heading = [
        f"{report['benchmark']}, commit {machine['commit'] or 'unknown'}, {machine['time']}",
        f"{machine['processor'] or 'unknown processor'}, cores: {machine['num_cores']}, {memory}, {load}",
    ]
    tables = {
        "limit": _limit_tables,
        "train": _train_tables,
        "decode": _decode_tables,
        "growth": _growth_tables,
        "against": _against_tables,
    }[report["benchmark"]](report["results"])
    with io.StringIO() as text:
        console = Console(file=text, width=WIDTH, color_system=None, highlight=False, markup=False)
        console.print("\n".join(heading))
        for title, table in tables:
            console.print()
            console.print(title)
            console.print(table)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _plain(value: object) -> Any:
    if isinstance(value, Spread | Work):
        return dataclasses.asdict(value)
    raise TypeError(f"a report holds plain values and spreads. Received: {value!r}")


_Titled = tuple[str, Table]


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> _Titled:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return title, table


def _number(value: float) -> str:
    """Returns a figure with three digits or more: 4,750 or 46.3 or 0.0218."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _cells(spread: Spread, scale: float = 1.0) -> tuple[str, str]:
    """Returns the median, and the lowest to the highest."""
    low, high = _number(spread.low * scale), _number(spread.high * scale)
    return _number(spread.median * scale), f"{low} to {high}" if spread.num_repeats > 1 else "one run"


def _gb(memory: float | None) -> str:
    return "?" if memory is None else f"{memory:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _limit_tables(results: dict[str, Any]) -> list[_Titled]:
    rows = [
        (each["dtype"], *_cells(each["operations_per_second"], 1e-9), _number(each["training_tokens_per_second"]))
        for each in results["limits"]
    ]
    work = results["operations_per_target_token"]
    title = (
        f"Matrix products, 10^9 operations/s. A target token of a pair of {results['length']} and "
        f"{results['length']} tokens takes {work.matrix_products / 1e6:.1f} million in training, and "
        f"{work.attention_tanh / 1e3:.1f} thousand tanh: no machine of this speed trains more tokens/s than the last "
        "column says"
    )
    return [_table(title, ("arithmetic", "median", "lowest to highest", "tokens/s at most"), rows)]


def _train_tables(results: dict[str, Any]) -> list[_Titled]:
    title = (
        f"Training: {results['num_pairs']:,} pairs, {results['num_target_tokens']:,} target tokens in "
        f"{results['num_updates']:,} updates; {results['num_parameters']:,} parameters, vocabulary "
        f"{results['vocabulary_size']:,}, {results['precision']}, {results['backend']}"
    )
    share = _percent(results["share_of_limit"].median)
    rows: list[tuple[str, ...]] = [
        ("target tokens/s", *_cells(results["target_tokens_per_second"]), share),
        ("padded target tokens/s", *_cells(results["padded_target_tokens_per_second"]), ""),
        ("matrix products, 10^9 operations/s", *_cells(results["operations_per_second"], 1e-9), share),
        ("limit, 10^9 operations/s", *_cells(results["limit_operations_per_second"], 1e-9), "100 %"),
    ]
    if "share_outside_model" in results:
        bare = _percent(results["bare_share_of_limit"].median)
        rows += [
            ("bare updates, target tokens/s", *_cells(results["bare_target_tokens_per_second"]), bare),
            ("time outside the model, %", *_cells(results["share_outside_model"], 100), ""),
            ("  of it making batches, %", *_cells(results["share_making_batches"], 100), ""),
        ]
    rows += [
        ("peak memory, GB", _gb(results["peak_memory_gb"]), "", ""),
        ("  before the model was there, GB", _gb(results["memory_before_gb"]), "", ""),
        ("warm-up: first epoch, s", _number(results["warm_up_seconds"]), "not counted above", ""),
    ]
    return [_table(title, ("", "median", "lowest to highest", "share of the limit"), rows)]


def _decode_tables(results: dict[str, Any]) -> list[_Titled]:
    beams = results["beams"]
    first = beams[0]
    title = (
        f"Translation: {first['num_sentences']:,} sentences, {first['batch_size']} at a time; "
        f"{first['num_parameters']:,} parameters, vocabulary {first['vocabulary_size']:,}"
    )
    columns = ("beam", "sentences/s", "lowest to highest", "tokens/s", "of the limit", "GB", "warm-up, s", "BLEU")
    rows = [
        (
            str(each["beam_size"]),
            *_cells(each["sentences_per_second"]),
            _number(each["output_tokens_per_second"].median),
            _percent(each["share_of_limit"].median),
            _gb(each["peak_memory_gb"]),
            _number(each["warm_up_seconds"]),
            f"{each['bleu']:.1f}",
        )
        for each in beams
    ]
    tables = [_table(title, columns, rows)]
    single = [each for each in beams if "latency_seconds" in each]
    if single:
        latencies = [
            (
                str(each["beam_size"]),
                *(_number(1000 * each["latency_seconds"][name]) for name in ("p50", "p95", "p99")),
                _percent(each["latency_share_of_limit"]),
            )
            for each in single
        ]
        title = f"One sentence at a time, {single[0]['num_single_lines']} sentences, milliseconds"
        tables.append(_table(title, ("beam", "p50", "p95", "p99", "of the limit"), latencies))
    start = results["first_translation_seconds"]
    tables.append(
        _table("From nothing", ("", "median", "lowest to highest"), [("first translation, s", *_cells(start))])
    )
    return tables


def _growth_tables(results: dict[str, Any]) -> list[_Titled]:
    tables = []
    for axis, points in results["axes"].items():
        if axis == "corpus":
            tables.append(_corpus_table(points))
        elif axis == "beam":
            columns = ("beam", "sentences/s", "µs a token", "million operations a token", "of the limit", "GB")
            tables.append(_table("Translation with the beam", columns, map(_beam_row, points)))
        else:
            columns = (axis, "tokens/s", "µs a token", "million operations a token", "of the limit", "GB")
            tables.append(_table(f"Training with the {axis}", columns, (_training_row(axis, each) for each in points)))
    return tables


def _training_row(axis: str, point: dict[str, Any]) -> tuple[str, ...]:
    rate = point["target_tokens_per_second"].median
    return (
        f"{point[axis]:,}",
        _number(rate),
        _number(1e6 / rate),
        _number(point["matrix_product_operations"] / point["num_target_tokens"] / 1e6),
        _percent(point["share_of_limit"].median),
        _gb(point["peak_memory_gb"]),
    )


def _beam_row(point: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(point["beam"]),
        _number(point["sentences_per_second"].median),
        _number(1e6 / point["output_tokens_per_second"].median),
        _number(point["matrix_product_operations"] / point["num_output_tokens"] / 1e6),
        _percent(point["share_of_limit"].median),
        _gb(point["peak_memory_gb"]),
    )


def _corpus_table(points: list[dict[str, Any]]) -> _Titled:
    memory = ("B/pair", "block, GB", "built, GB", "peak, GB", "later, +GB")
    columns = ("pairs", "blocks", *memory, "build, s", "plan, µs", "batch, µs", "training, µs")
    rows = [
        (
            f"{point['corpus']:,}",
            str(point["num_blocks"]),
            _number(point["bytes_per_pair"]),
            _number(point["block_gb"]),
            _gb(point["peak_of_building_gb"]),
            _gb(point["peak_memory_gb"]),
            _gb(point["growth_in_training_gb"]),
            _number(point["building_seconds"]),
            _number(point["planning_microseconds_per_token"]),
            _number(point["batch_microseconds_per_token"]),
            _number(point["tiny_model_microseconds_per_token"]),
        )
        for point in points
    ]
    title = (
        "The path of the data with the corpus: bytes that the ids need; memory of a block of them, of the process at "
        "its peak while the blocks are made and at its peak in all, and what an epoch's blocks and 100 updates added; "
        "time of making the blocks; time a target token of reading and planning those of an epoch, of making a batch, "
        "and of the whole loop around a tiny model"
    )
    return _table(title, columns, rows)


def _against_tables(results: dict[str, Any]) -> list[_Titled]:
    rows = [
        ("ours", *_cells(results["ours"])),
        ("the other", *_cells(results["rival"])),
        ("ratio of neighbours", *_cells(results["ratio"])),
    ]
    title = f"{results['figure']}, in turn, against: {' '.join(results['command'])}"
    return [_table(title, ("", "median", "lowest to highest"), rows)]
