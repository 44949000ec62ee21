"""Measures speed and memory: training, translation, the machine's limit, growth, and another system beside ours.

python scripts/benchmark.py train

Every figure is a median of repeats with the lowest and the highest, warm-up is told apart, and each measurement runs in
a process of its own. Nothing is measured here: this module knows the options, and who is asked.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from benchmarks import decoding, growth, limit, machine, process, report, rival, training, workload
from nmt import config as configuration
from nmt import console, files, startup
from nmt.config import Config
from nmt.errors import InputError, NMTError, did_you_mean
from nmt.training import flops

app = typer.Typer(
    name="benchmark",
    help="Measure speed and memory, each figure beside its share of the machine's limit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

MODEL_PAIRS = 8000
"""Pairs that a model is trained on whose translation is measured: too few, and it would never end a sentence."""

ConfigPath = Annotated[Path, typer.Option("--config", metavar="CONFIG", help="What to measure.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of it; as often as needed.")
]
TrainSource = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Training text instead of the configuration's: source lines.")
]
TrainTarget = Annotated[Path | None, typer.Option(metavar="FILE", help="A translation of each.")]
Source = Annotated[
    Path | None, typer.Option("--source", metavar="FILE", help="Lines to translate, not the test corpora.")
]
Reference = Annotated[Path | None, typer.Option("--reference", metavar="FILE", help="A translation of each.")]
NumPairs = Annotated[int, typer.Option(metavar="N", min=1, help="Training pairs: the first of the corpora.")]
Repeats = Annotated[int, typer.Option(metavar="N", min=1, help="Measurements of each figure, after the warm-up.")]
Model = Annotated[
    Path | None, typer.Option("--model", metavar="MODEL", help="A model or a run directory; by default one is trained.")
]
BeamSizes = Annotated[list[int] | None, typer.Option("--beam-size", metavar="K", min=1, help="May repeat.")]
BatchSize = Annotated[int | None, typer.Option(metavar="N", min=1, help="Lines translated at a time.")]
JSON = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="The report as JSON; -: to standard output instead of the text."),
]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and ends the process with its status."""
    startup.choose_log_level(show_all=False)
    with console.log_to_screen(logging.INFO):
        try:
            app(arguments, prog_name="benchmark.py")
        except NMTError as error:
            console.show(str(error), "error")
            sys.exit(error.exit_status)
    sys.exit(0)


@app.command()
def train(
    config: ConfigPath = workload.DEFAULT_CONFIG,
    overrides: Overrides = None,
    train_source: TrainSource = None,
    train_target: TrainTarget = None,
    num_pairs: NumPairs = 4000,
    repeats: Repeats = 3,
    json: JSON = None,
) -> None:
    """Training: tokens a second, time outside the model, memory."""
    before = machine.describe()
    settings = _config(config, overrides, train_source, train_target)
    found = process.run(training.measure_text, settings, num_pairs, repeats)
    _finish("train", before, settings, found, json)


@app.command()
def decode(
    config: ConfigPath = workload.DEFAULT_CONFIG,
    overrides: Overrides = None,
    model: Model = None,
    source: Source = None,
    reference: Reference = None,
    beam_size: BeamSizes = None,
    batch_size: BatchSize = None,
    num_pairs: NumPairs = MODEL_PAIRS,
    repeats: Repeats = 3,
    num_single_lines: Annotated[
        int, typer.Option(metavar="N", min=0, help="Lines that are translated one at a time, for the latency.")
    ] = 100,
    json: JSON = None,
) -> None:
    """Translation: sentences and tokens a second, latency, start, memory.

    Beams of 1, 5 and 10 if none is given.
    """
    before = machine.describe()
    settings = _config(config, overrides)
    sources, references = _test_text(settings, source, reference)
    with tempfile.TemporaryDirectory() as folder:
        path = _model(model, settings, num_pairs, Path(folder))
        beams = []
        for size in beam_size or (1, 5, 10):
            console.show(f"translating with beam {size} ...")
            options: dict[str, Any] = {"num_repeats": repeats, "num_single_lines": num_single_lines}
            options |= {"beam_size": size, "batch_size": batch_size}
            beams.append(process.run(decoding.measure, path, sources, references, **options))
        first = decoding.first_translation(path, sources[0], repeats)
    _finish("decode", before, settings, {"beams": beams, "first_translation_seconds": first}, json)


@app.command("limit")
def show_limit(
    config: ConfigPath = workload.DEFAULT_CONFIG,
    overrides: Overrides = None,
    length: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens of both sides of a pair.")] = 15,
    json: JSON = None,
) -> None:
    """The machine's peak in matrix products, and what it allows."""
    before = machine.describe()
    settings = _config(config, overrides)
    vocabulary_size = settings.tokenizer.vocabulary_size
    work = flops.training_work(settings.model, vocabulary_size, [(length, length)])
    work = work * settings.training.num_passes()
    per_token = flops.Work(work.matrix_products // length, work.attention_tanh // length)
    limits = [
        {
            "dtype": dtype,
            "operations_per_second": peak,
            "training_tokens_per_second": peak.median / per_token.matrix_products,
        }
        for dtype, peak in process.run(limit.measure).items()
    ]
    found = {"limits": limits, "length": length, "operations_per_target_token": per_token}
    _finish("limit", before, settings, found, json)


@app.command("growth")
def show_growth(
    axis: Annotated[
        list[str] | None,
        typer.Option(
            "--axis", metavar="NAME", help=f"What grows: {', '.join(growth.POINTS)}. May repeat; by default all."
        ),
    ] = None,
    max_pairs: Annotated[int, typer.Option(metavar="N", min=1, help="Largest corpus that is generated.")] = 10_000_000,
    model: Model = None,
    repeats: Repeats = 2,
    json: JSON = None,
) -> None:
    """The cost of a token as one size grows."""
    before = machine.describe()
    settings = _config(workload.DEFAULT_CONFIG, None)
    axes: dict[str, list[dict[str, Any]]] = {}
    for name in axis or ():
        if name not in growth.POINTS:
            raise InputError(f"no size of this name grows. {did_you_mean(name, growth.POINTS)} Received: --axis {name}")
    for name in axis or growth.POINTS:
        console.show(f"growth with {name} ...")
        values = [value for value in growth.POINTS[name] if name != "corpus" or value <= max_pairs]
        if name == "beam":
            axes[name] = _beam_points(settings, model, values)
        else:
            axes[name] = list(growth.training_points(name, tuple(values), repeats))
    _finish("growth", before, settings, {"axes": axes}, json)


@app.command()
def against(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="The other system; prints its figure as a JSON line.")
    ],
    measure: Annotated[
        Literal["train", "decode"],
        typer.Option(help="train: target_tokens_per_second. decode: sentences_per_second."),
    ] = "train",
    config: ConfigPath = workload.DEFAULT_CONFIG,
    overrides: Overrides = None,
    train_source: TrainSource = None,
    train_target: TrainTarget = None,
    model: Model = None,
    source: Source = None,
    reference: Reference = None,
    beam_size: Annotated[int, typer.Option(metavar="K", min=1)] = 5,
    batch_size: BatchSize = None,
    num_pairs: NumPairs = 4000,
    repeats: Repeats = 3,
    json: JSON = None,
) -> None:
    """Another system and ours, in turn: the ratio of their speeds.

    Write -- before a command that has options of its own:
    benchmark.py against --repeats 5 -- bash run.sh train
    """
    before = machine.describe()
    settings = _config(config, overrides, train_source, train_target)
    with tempfile.TemporaryDirectory() as folder:
        if measure == "train":
            figure = "target_tokens_per_second"

            def ours() -> dict[str, Any]:
                return process.run(training.measure_text, settings, num_pairs, 1, with_bare_updates=False)
        else:
            figure = "sentences_per_second"
            sources, references = _test_text(settings, source, reference)
            path = _model(model, settings, num_pairs, Path(folder))
            options: dict[str, Any] = {"beam_size": beam_size, "batch_size": batch_size}
            options |= {"num_repeats": 1, "num_single_lines": 0}

            def ours() -> dict[str, Any]:
                return process.run(decoding.measure, path, sources, references, **options)

        found = rival.compare(command, lambda: float(ours()[figure].median), figure, repeats)
    _finish("against", before, settings, found, json)


def _config(
    path: Path, overrides: Sequence[str] | None, source: Path | None = None, target: Path | None = None
) -> Config:
    if (source is None) != (target is None):
        raise InputError("--train-source and --train-target belong together. Give both or neither.")
    changes = list(overrides or ())
    if source is not None:
        source_path, target_path = (str(each).replace("'", "''") for each in (source, target))  # quoted as in YAML
        changes.append(f"data.train={{type: files, source: '{source_path}', target: '{target_path}'}}")
    settings = configuration.load(path, changes)
    if settings.recipe == "auto":
        raise InputError(
            f"{path}: what is measured must have its sizes given. Received: recipe=auto. "
            "Give the config.yaml of a run, in which they are chosen."
        )
    return settings


def _test_text(settings: Config, source: Path | None, reference: Path | None) -> tuple[list[str], list[str]]:
    if (source is None) != (reference is None):
        raise InputError("--source and --reference belong together. Give both or neither.")
    if source is None or reference is None:
        return decoding.held_out_text(settings)
    from nmt.text.corpus import read_files

    pairs = list(read_files(str(source), str(reference)))
    if not pairs:
        raise InputError(f"{source}: no lines to translate. Give a file with at least one.")
    return [pair.source for pair in pairs], [pair.target for pair in pairs]


def _model(given: Path | None, settings: Config, num_pairs: int, folder: Path) -> Path:
    """Returns the model that is given, or trains one in `folder`."""
    if given is not None:
        from nmt.model_file import find_model

        find_model(given)  # a wrong path is told before minutes have passed
        return given
    console.show("no --model: training one first ...")
    process.run(decoding.train_model, settings, num_pairs, folder / "run")
    return folder / "run"


def _beam_points(settings: Config, model: Path | None, values: Sequence[int]) -> list[dict[str, Any]]:
    sources, references = decoding.held_out_text(settings)
    with tempfile.TemporaryDirectory() as folder:
        path = _model(model, settings, MODEL_PAIRS, Path(folder))
        return [growth.beam_point(path, sources, references, value) for value in values]


def _finish(
    benchmark: str, before: dict[str, Any], settings: Config, results: dict[str, Any], json: Path | None
) -> None:
    """Writes the report."""
    found = {
        "benchmark": benchmark,
        "machine": before,
        "config": settings.model_dump(mode="json"),
        "results": results,
    }
    if json == Path("-"):
        console.write_result(report.to_json(found) + "\n")
        return
    if json is not None:
        files.write_text(json, report.to_json(found) + "\n")
    console.write_result(report.to_text(found))


if __name__ == "__main__":
    main()
