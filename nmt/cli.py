"""The commands: which part of the package does what each is asked for. No logic of its own.

Everything but Typer is imported inside the commands, each only what it needs: Keras alone takes seconds, and `--help`
or a misspelt option should be answered at once. Errors that a person can mend end here as one message and a status.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from nmt import cli_options, console, startup, termination
from nmt.errors import InputError, NMTError
from nmt.terminal import printable

if TYPE_CHECKING:
    from nmt.decoding.translator import Translator


def _examples(*lines: str) -> str:
    return "\n".join(["[bold]Examples[/bold]", *lines])


app = typer.Typer(
    name="nmt",
    help="Train, use and measure small neural machine translation models of your own.",
    epilog=_examples(
        "nmt train configs/quickstart.yaml          a first model, in minutes",
        "nmt repl runs/quickstart                   type sentences, read translations",
        "nmt translate runs/quickstart < in > out   one line out for each line in",
        "nmt translate --help                       what a command takes, with examples",
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_tokenizer = typer.Typer(no_args_is_help=True)
_plot = typer.Typer(no_args_is_help=True)


_NO_MEMORY = (
    "the memory does not suffice. Free some of it, or lower what needs it: --batch-size, --beam-size, --workers."
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and ends the process with its status.

    Args:
        arguments: The words after `nmt`; by default those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    startup.choose_log_level(show_all=debug)
    termination.clean_up_when_told_to_end()
    with console.log_to_screen(logging.DEBUG if debug else logging.INFO):
        try:
            app([word for word in words if word != "--debug"], prog_name="nmt")
        except (NMTError, MemoryError) as error:
            if debug:
                traceback.print_exc()
            console.show(str(error) if isinstance(error, NMTError) else _NO_MEMORY, "error")
            sys.exit(error.exit_status if isinstance(error, NMTError) else NMTError.exit_status)
        except KeyboardInterrupt:  # Typer turns those within a command into the same status
            sys.exit(130)
    sys.exit(0)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from nmt import __version__

        console.write_result(f"nmt {__version__}\n")
        raise typer.Exit


@app.callback()
def _common_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[  # `main` has taken it, wherever it stood
        bool, typer.Option("--debug", help="Show tracebacks and TensorFlow's own messages; may stand anywhere.")
    ] = False,
) -> None:
    del version, debug


@app.command(
    epilog=_examples(
        "nmt train configs/quickstart.yaml",
        "nmt train configs/auto.yaml --run-dir runs/mine",
        "nmt train configs/auto.yaml --run-dir runs/second --set seed=2",
        "nmt train configs/auto.yaml --run-dir runs/mine --resume",
    )
)
def train(
    config: cli_options.Config,
    overrides: cli_options.Overrides = None,
    run_dir: cli_options.RunDir = None,
    resume: cli_options.Resume = False,
    allow_changed: cli_options.AllowChanged = None,
    replace: cli_options.Replace = False,
) -> None:
    """Train a model.

    The run directory keeps the log, the metrics, the checkpoints, and in best/
    the best model so far. Every other command takes the run directory for that
    model. `model: auto` in CONFIG: the corpus decides what is not given.
    """
    from nmt import training_run
    from nmt.config import load

    settings = load(config, overrides or ())
    path = run_dir or Path("runs", config.stem)
    allowed = allow_changed or ()
    settings = training_run.check(path, settings, resume=resume, replace=replace, allow_changed=allowed)
    startup.import_keras()
    from nmt.backend import library_name
    from nmt.training.preparation import read_pairs
    from nmt.training.resolution import resolve
    from nmt.training.stopping import Stopped
    from nmt.training.trainer import train as fit

    with console.log_kept() as told:
        pairs = read_pairs(settings)  # first: a mistyped path must not cost the run that --replace deletes
        settings = resolve(settings, pairs)
    flags: dict[str, Any] = {"resume": resume, "replace": replace, "allow_changed": allowed}
    try:
        with training_run.opened(path, settings, library_name(), **flags, told=told) as run:
            fit(settings, run, pairs=pairs, resume=resume, allow_changed=allowed)
    except Stopped as stopped:
        raise typer.Exit(stopped.exit_status) from None


@app.command(
    epilog=_examples(
        "nmt translate runs/quickstart < input.txt > output.txt",
        "nmt translate runs/quickstart --input input.txt.gz --output output.txt",
        "nmt translate runs/one runs/two runs/three < input.txt > output.txt",
        "echo 'Where is it?' | nmt translate runs/quickstart --n-best 3 --format jsonl",
    )
)
def translate(
    models: cli_options.Models,
    input_path: cli_options.Input = None,
    output_path: cli_options.Output = None,
    n_best: cli_options.NBest = 1,
    output_format: cli_options.Format = "text",
    workers: cli_options.Workers = None,
    device: cli_options.Device = "cpu",
    beam_size: cli_options.BeamSize = None,
    length_penalty: cli_options.LengthPenalty = None,
    coverage_penalty: cli_options.CoveragePenalty = None,
    min_length_ratio: cli_options.MinLengthRatio = None,
    max_length_ratio: cli_options.MaxLengthRatio = None,
    no_repeat_ngram_size: cli_options.NoRepeatNgramSize = None,
    batch_size: cli_options.BatchSize = None,
) -> None:
    """Translate text: one line out for each line in.

    Lines end at line feeds alone, and a blank line stays blank.
    """
    from nmt import stream

    stream.check_format(output_format, n_best)
    options = _search_options(
        beam_size=beam_size,
        length_penalty=length_penalty,
        coverage_penalty=coverage_penalty,
        min_length_ratio=min_length_ratio,
        max_length_ratio=max_length_ratio,
        no_repeat_ngram_size=no_repeat_ngram_size,
        batch_size=batch_size,
    )
    with stream.open_input(input_path) as source, stream.open_output(output_path) as target:
        translator = _load(*models, device=device)
        if input_path is None and console.is_terminal(sys.stdin):
            console.show("Type one sentence a line; Ctrl-D ends.")
        stream.translate(
            translator, source, target, n_best=n_best, output_format=output_format, workers=workers, **options
        )


@app.command(epilog=_examples("nmt repl runs/quickstart"))
def repl(models: cli_options.Models) -> None:
    """Type sentences and read their translations.

    /help there lists what else it knows: beam size, several translations, the
    attention as a table, other models. In a pipe it is `nmt translate`.
    """
    if not (console.is_terminal(sys.stdin) and console.is_terminal(sys.stdout)):
        translate(models)
        return
    name = " ".join(map(str, models))
    console.show(f"loading {name} ...")
    translator = _load(*models)
    from nmt.repl import Conversation, converse

    converse(Conversation(translator, name, _load))


@app.command(epilog=_examples("nmt score runs/quickstart --source test.en --target test.fr > scores.tsv"))
def score(
    models: cli_options.Models,
    source: cli_options.ScoredSource,
    target: cli_options.ScoredTarget,
    workers: cli_options.Workers = None,
    batch_size: cli_options.BatchSize = None,
) -> None:
    """Tell how probable a model finds given translations.

    Writes a line for each: its natural log-probability, a tab, and the average
    per piece, sentence end included. The totals go to standard error.
    """
    from nmt.stream import score_pairs
    from nmt.text.corpus import read_files

    options = _search_options(batch_size=batch_size)
    pairs = list(read_files(source, target))
    score_pairs(_load(*models), pairs, console.write_result, workers=workers, **options)


@app.command(
    cls=cli_options.ManyWords,
    epilog=_examples(
        "nmt evaluate runs/quickstart --config configs/quickstart.yaml",
        "nmt evaluate runs/new --source test.en --reference test.de --metrics bleu chrf",
        "nmt evaluate runs/new --source test.en --reference test.de --baseline runs/old",
    ),
)
def evaluate(
    models: cli_options.Models,
    source: cli_options.Source = None,
    reference: cli_options.Reference = None,
    config: cli_options.TestConfig = None,
    split: cli_options.Split = "test",
    metrics: cli_options.Metrics = None,
    tokenize: cli_options.Tokenize = "13a",
    lowercase: cli_options.Lowercase = False,
    confidence: cli_options.Confidence = True,
    baseline: cli_options.Baseline = None,
    baseline_file: cli_options.BaselineFile = None,
    output: cli_options.Translations = None,
    reference_output: cli_options.References = None,
    json: cli_options.JSON = None,
    workers: cli_options.Workers = None,
    device: cli_options.Device = "cpu",
    beam_size: cli_options.BeamSize = None,
    length_penalty: cli_options.LengthPenalty = None,
    coverage_penalty: cli_options.CoveragePenalty = None,
    min_length_ratio: cli_options.MinLengthRatio = None,
    max_length_ratio: cli_options.MaxLengthRatio = None,
    no_repeat_ngram_size: cli_options.NoRepeatNgramSize = None,
    batch_size: cli_options.BatchSize = None,
) -> None:
    """Translate a test set and score the translations.

    With confidence intervals, signatures, and a paired test against a baseline.
    """
    from nmt import held_out

    options = _search_options(
        beam_size=beam_size,
        length_penalty=length_penalty,
        coverage_penalty=coverage_penalty,
        min_length_ratio=min_length_ratio,
        max_length_ratio=max_length_ratio,
        no_repeat_ngram_size=no_repeat_ngram_size,
        batch_size=batch_size,
    )
    scoring: dict[str, Any] = {"tokenize": tokenize, "lowercase": lowercase}
    scoring |= ({"metrics": metrics} if metrics else {}) | ({} if confidence else {"num_resamples": 0})
    is_json = json == Path("-")
    report = held_out.evaluate(
        held_out.Text(source, reference, config, split),
        held_out.Systems(models[0], baseline, baseline_file, tuple(models[1:])),
        held_out.Outputs(output, reference_output, None if is_json else json),
        load=partial(_load, device=device),
        scoring=scoring,
        options={"workers": workers, **options},
    )
    console.write_result((report.to_json() if is_json else report.to_text()) + "\n")


@app.command(epilog=_examples("nmt average runs/mine/best-models/* --output models/mean"))
def average(models: cli_options.Averaged, output: cli_options.NewModel) -> None:
    """Make one model of several of the same run: the mean of their weights.

    With training.average_best a run does so itself, with the best of its models,
    and keeps the mean if it is better.
    """
    from nmt.averaging import average as make

    make(models, output)
    console.show(f"{output}: the mean of the weights of {len(models)} models")


@_tokenizer.command(
    "train",
    cls=cli_options.ManyWords,
    epilog=_examples("nmt tokenizer train -i train.en train.de -o joint.spm --vocabulary-size 8000"),
)
def train_tokenizer(
    input_paths: cli_options.TrainingText,
    output_path: cli_options.TokenizerOutput,
    vocabulary_size: cli_options.VocabularySize = None,
    model_type: cli_options.ModelType = None,
    character_coverage: cli_options.CharacterCoverage = None,
    normalization: cli_options.Normalization = None,
    no_byte_fallback: cli_options.NoByteFallback = False,
    seed: cli_options.Seed = 1,
) -> None:
    """Train a SentencePiece tokenizer.

    What is not given has the default that docs/configuration.md lists.
    """
    from nmt import files
    from nmt.config import TokenizerConfig
    from nmt.text.lines import read_lines
    from nmt.text.tokenizer import train_tokenizer as fit

    given = {
        "vocabulary_size": vocabulary_size,
        "model_type": model_type,
        "character_coverage": character_coverage,
        "normalization": normalization,
        "byte_fallback": False if no_byte_fallback else None,
    }
    settings = TokenizerConfig().training_options() | _given(given)
    with files.new_file(output_path) as file:
        trained = fit((line for path in input_paths for line in read_lines(path)), seed=seed, **settings)
        file.write(trained.model_bytes)
    console.show(f"{output_path}: {trained.vocabulary_size:,} pieces")


@_plot.command("learning-curves", epilog=_examples("nmt plot learning-curves runs/quickstart --output curves.png"))
def plot_learning_curves(run: cli_options.Run, output: cli_options.Picture) -> None:
    """Draw loss, scores and learning rate over the epochs of a run."""
    from nmt.plotting import plot_learning_curves as draw
    from nmt.run_dir import RunDirectory

    draw(output, RunDirectory.open(run).metrics.read())


@_plot.command("attention", epilog=_examples("nmt plot attention runs/quickstart --text 'Hello!' --output map.png"))
def plot_attention(
    model: cli_options.Model,
    text: cli_options.Line,
    output: cli_options.Picture,
    beam_size: cli_options.BeamSize = None,
) -> None:
    """Draw which pieces of a line each piece of its translation attends to."""
    from nmt.plotting import plot_attention as draw

    options = _search_options(beam_size=beam_size)
    translator = _load(model)
    [best] = translator.translate([text], with_attention=True, **options)
    if best.attention is None:
        raise InputError("attention is drawn for a line with text, short enough to be translated whole. Give another.")
    draw(output, best.attention, translator.target_pieces(best), translator.source_pieces(text))
    console.write_result(printable(best.text) + "\n")


app.add_typer(_tokenizer, name="tokenizer", help="Train a tokenizer by itself; `nmt train` makes its own.")
app.add_typer(_plot, name="plot", help="Draw learning curves, or the attention of a translation.")


def _load(*paths: Path, device: Literal["cpu", "gpu"] = "cpu") -> Translator:
    if device == "gpu":
        from nmt.model_file import find_model

        for path in paths:
            find_model(path)  # a wrong path is told at once
        startup.import_keras()
    from nmt.loading import load

    return load(*paths, device=device)


def _search_options(**options: Any) -> dict[str, Any]:
    """Returns the options that were given, once it is sure that they are within their bounds."""
    from nmt.config_decoding import DecodingConfig

    given = _given(options)
    DecodingConfig().with_changes(given)
    return given


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
