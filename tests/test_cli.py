"""The commands: what each hands on, what it refuses and with which status, and how quickly it can say so.

Models are stood in for by `FakeTranslator`, so nothing here imports Keras; with real models the commands are tried in
`tests/integration`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt import averaging, cli, startup, training_run
from nmt.config import Config
from nmt.config_decoding import DecodingConfig
from nmt.config_keys import with_values
from nmt.errors import CorpusError, InputError, ModelFileError, TrainingError
from nmt.model_file import find_model
from tests.fake_translator import FakeTranslator

ROOT = Path(__file__).parents[1]

Run = Callable[..., "Finished"]


class Finished:
    """How a command ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def __repr__(self) -> str:
        return f"status {self.status}\n{self.out}\n{self.err}"


@pytest.fixture
def translator() -> FakeTranslator:
    return FakeTranslator()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], translator: FakeTranslator) -> Run:
    """Runs a command in this process, with a model that is a fake for each path but `missing`."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv(startup.LOG_LEVEL, "3")

    def load(*paths: Path, device: str = "cpu") -> FakeTranslator:
        translator.paths = [str(path) for path in paths]
        missing = [path for path in paths if path.name == "missing"]
        return find_model(missing[0]) if missing else translator  # type: ignore[return-value]

    monkeypatch.setattr(cli, "_load", load)

    def run_command(*words: str | Path, stdin: bytes = b"") -> Finished:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(word) for word in words])
        shown = capfd.readouterr()
        return Finished(int(stopped.value.code or 0), shown.out, shown.err)

    return run_command


NO_MEMORY = (
    "error: the memory does not suffice. "
    "Free some of it, or lower what needs it: --batch-size, --beam-size, --workers.\n"
)


@pytest.mark.parametrize("command", ["translate", "evaluate", "score"])
def test_memory_that_does_not_suffice_is_one_message(
    command: str, run: Run, test_set: list[str | Path], translator: FakeTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError("Unable to allocate 64.0 GiB")

    monkeypatch.setattr(translator, "score" if command == "score" else "translate_n_best", fail)
    words = {"translate": [], "score": ["--source", test_set[1], "--target", test_set[3]]}
    finished = run(command, "model", *words.get(command, test_set), stdin=b"a\n")
    assert (finished.status, finished.out, finished.err) == (2, "", NO_MEMORY)
    assert "Traceback" in run(command, "model", *words.get(command, test_set), "--debug", stdin=b"a\n").err


# ---- translate ----


def test_a_line_without_end_is_named_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"one\n" * 2500 + b"x" * (2**24 + 1) + b"\ntwo\n")
    target.write_text("before")
    finished = run("translate", "model", "-i", source, "-o", target)
    problem = f"error: {source}, line 2501: a line has at most 16,777,216 bytes. Is this a file of one sentence a line?"
    remedy = f"Split the line, or give another file. Nothing was written to {target}."
    assert (finished.status, finished.err.splitlines()[-1]) == (2, f"{problem} {remedy}")
    assert target.read_text() == "before"


def test_translate_is_a_filter(run: Run) -> None:
    finished = run("translate", "model", stdin="été\r\n\n \nlast".encode())
    assert (finished.status, finished.out, finished.err) == (0, "ÉTÉ\n\n\nLAST\n", "")


def test_translate_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\ncaf\xe9\n")
    finished = run("translate", "model", "-i", tmp_path / "in", "-o", tmp_path / "out")
    assert (finished.status, finished.out) == (0, "")
    assert (tmp_path / "out").read_text() == "ONE\nCAF\ufffd\n"
    assert finished.err.startswith(f"warning: {tmp_path / 'in'}: 1 line was not UTF-8, the first of them line 2;")


def test_translate_hands_every_option_to_the_search(run: Run, translator: FakeTranslator) -> None:
    options = {
        "beam_size": 7,
        "length_penalty": 0.5,
        "coverage_penalty": 0.25,
        "max_length_ratio": 1.5,
        "no_repeat_ngram_size": 3,
        "batch_size": 9,
    }
    assert options.keys() <= DecodingConfig.model_fields.keys()
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert run("translate", "model", *words, "--n-best", "2", "--format", "moses", stdin=b"x").status == 0
    assert translator.calls[0][1].items() >= {**options, "n_best": 2}.items()


@pytest.mark.parametrize("command", ["translate", "repl"])
def test_several_models_decode_together(command: str, run: Run, translator: FakeTranslator) -> None:
    finished = run(command, "one", "two", "three", stdin=b"hello\n")
    assert (finished.status, finished.out) == (0, "HELLO\n")
    assert translator.paths == ["one", "two", "three"]


def test_what_is_not_given_is_left_to_the_model(run: Run, translator: FakeTranslator) -> None:
    run("translate", "model", stdin=b"x")
    assert translator.calls[0][1].keys() == {"n_best", "with_attention", "batch_size"}
    assert translator.calls[0][1]["batch_size"] == translator.options.batch_size


def test_several_translations(run: Run) -> None:
    moses = run("translate", "model", "--n-best", "2", "--format", "moses", stdin=b"a\n")
    assert moses.out == "0 ||| A ||| 0.000000\n0 ||| A! ||| -1.000000\n"
    jsonl = run("translate", "model", "--n-best", "2", "--format", "jsonl", stdin=b"a\n")
    assert [one["text"] for one in json.loads(jsonl.out)["translations"]] == ["A", "A!"]
    text = run("translate", "model", "--n-best", "2", stdin=b"a\n")
    assert (text.status, text.out) == (2, "")
    assert "--format moses" in text.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--beam-size", "0"], "beam_size: must be >= 1 and <= 1,000. Received: 0"),
        (["--length-penalty", "-1"], "length_penalty: must be"),
        (["--n-best", "6", "--format", "moses"], "n_best must be from 1 to beam_size"),
        (["-i", "nowhere"], "nowhere: can't read: No such file or directory"),
        (["-o", "nowhere/out"], "nowhere/out: can't write: No such file or directory"),
    ],
)
def test_mistakes_are_one_message_and_status_2(run: Run, words: list[str], message: str, tmp_path: Path) -> None:
    words = [word.replace("nowhere", f"{tmp_path}/nowhere") for word in words]
    finished = run("translate", "model", *words, stdin=b"x\n")
    assert (finished.status, finished.out) == (2, "")
    assert finished.err.startswith("error: ")
    assert message in finished.err
    assert finished.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_leaves_the_old_output_as_it_was(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    assert run("translate", tmp_path / "missing", "-o", tmp_path / "out", stdin=b"x").status == 2
    assert (tmp_path / "out").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("words", [["--beem-size", "3"], ["--format", "xml"], ["--n-best", "0"], ["-x"]])
def test_misspelt_options_have_status_2(run: Run, words: list[str]) -> None:
    finished = run("translate", "model", *words)
    assert (finished.status, finished.out) == (2, "")
    assert "nmt translate" in finished.err


def test_an_unknown_command_names_the_nearest(run: Run) -> None:
    finished = run("transalte", "model")
    assert finished.status == 2
    assert "Did you mean 'translate'?" in finished.err


@pytest.mark.parametrize("words", [["--debug", "translate", "missing"], ["translate", "missing", "--debug"]])
def test_debug_shows_the_traceback(run: Run, words: list[str]) -> None:
    finished = run(*words)
    assert finished.status == 2
    assert "Traceback" in finished.err
    assert finished.err.splitlines()[-1].startswith("error: missing: no such folder.")
    assert "Traceback" not in run("translate", "missing").err


def test_messages_are_inert(run: Run) -> None:
    finished = run("translate", "model", "-i", "\x1b[2J")
    assert "\\x1b[2J: can't read" in finished.err
    assert "\x1b" not in finished.err


def test_the_status_of_an_error_is_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise TrainingError("the loss is no number")

    monkeypatch.setattr(cli, "_load", fail)
    finished = run("translate", "model")
    assert (finished.status, finished.err) == (3, "error: the loss is no number\n")


def test_an_interruption_has_status_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_load", interrupt)
    finished = run("translate", "model")
    assert (finished.status, finished.out, finished.err) == (130, "", "")


# ---- the other commands ----


def test_repl_in_a_pipe_translates(run: Run) -> None:
    finished = run("repl", "model", stdin=b"/help\none\n")
    assert (finished.status, finished.out, finished.err) == (0, "/HELP\nONE\n", "")


def test_score_writes_a_line_for_each_pair(run: Run, tmp_path: Path, translator: FakeTranslator) -> None:
    (tmp_path / "source").write_text("a\nb\n")
    (tmp_path / "target").write_text("xx\nyyyy z\n")
    finished = run("score", "model", "--source", tmp_path / "source", "--target", tmp_path / "target")
    assert finished.out == "-2.000000\t-1.000000\n-6.000000\t-2.000000\n"
    assert finished.err == "2 lines, 5 pieces: log-probability -8.00, -1.6000 a piece, perplexity 4.95\n"
    words = ["--batch-size", "7", "--workers", "3"]
    run("score", "model", "--source", tmp_path / "source", "--target", tmp_path / "target", *words)
    assert translator.calls[-1][1] == {"batch_size": 7, "workers": 3}
    (tmp_path / "target").write_text("xx\n")
    finished = run("score", "missing", "--source", tmp_path / "source", "--target", tmp_path / "target")
    assert finished.status == 2
    assert "2 and 1 lines" in finished.err


@pytest.fixture
def test_set(tmp_path: Path) -> list[str | Path]:
    (tmp_path / "source").write_text("a small dog\ntwo cats sleep here\n")
    (tmp_path / "reference").write_text("A SMALL DOG\nTWO CATS SIT HERE\n")
    return ["--source", tmp_path / "source", "--reference", tmp_path / "reference"]


def test_evaluate_prints_a_report(run: Run, test_set: list[str | Path], tmp_path: Path) -> None:
    finished = run("evaluate", "model", *test_set, "--metrics", "bleu", "ter", "-o", tmp_path / "out")
    assert finished.status == 0
    assert re.search(r"BLEU +\d+\.\d\d +\d+\.\d\d to", finished.out)
    assert "TER" in finished.out
    assert "chrF" not in finished.out
    assert "nrefs:1" in finished.out
    assert f"sacrebleu {tmp_path / 'reference'} -i {tmp_path / 'out'} -m bleu ter" in finished.out
    assert (tmp_path / "out").read_text() == "A SMALL DOG\nTWO CATS SLEEP HERE\n"


@pytest.mark.parametrize("words", [["--metrics", "bleu", "ter"], ["--metrics", "bleu", "--metrics", "ter"]])
def test_metrics_may_follow_one_option_or_several(run: Run, test_set: list[str | Path], words: list[str]) -> None:
    finished = run("evaluate", "model", *test_set, *words, "--no-confidence", "--json", "-")
    report = json.loads(finished.out)
    assert [score["metric"] for score in report["scores"]] == ["bleu", "ter"]
    assert report["num_resamples"] == 0


def test_evaluate_compares_with_a_baseline(run: Run, test_set: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("A CAT\nSOME CATS\n")
    finished = run("evaluate", "model", *test_set, "--baseline-file", tmp_path / "theirs", "--json", tmp_path / "json")
    assert "paired bootstrap resampling" in finished.out
    assert json.loads((tmp_path / "json").read_text())["comparisons"][0]["difference"] > 0
    assert "BASELINE" in run("evaluate", "model", *test_set, "--baseline", "other").out


def test_evaluate_and_score_take_several_models(
    run: Run, test_set: list[str | Path], translator: FakeTranslator
) -> None:
    finished = run("evaluate", "one", "two", *test_set, "--metrics", "bleu", "chrf", "--no-confidence")
    assert translator.paths == ["one", "two"]
    assert "HYPOTHESES stands for the translations by one two" in finished.out
    run("score", "one", "two", "three", "--source", test_set[1], "--target", test_set[3])
    assert translator.paths == ["one", "two", "three"]


def test_evaluate_hands_on_its_options(run: Run, test_set: list[str | Path], translator: FakeTranslator) -> None:
    search = {
        "beam_size": 2,
        "length_penalty": 0.5,
        "coverage_penalty": 0.25,
        "min_length_ratio": 0.5,
        "max_length_ratio": 1.5,
        "no_repeat_ngram_size": 3,
        "batch_size": 3,
    }
    words = [word for name, value in search.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    finished = run("evaluate", "model", *test_set, "--tokenize", "none", "--lowercase", *words, "--workers", "4")
    assert "tok:none" in finished.out
    assert "case:lc" in finished.out
    assert translator.calls[0][1].items() >= search.items()
    assert translator.workers == 4


def test_evaluate_refuses_a_misspelt_metric_first(run: Run, test_set: list[str | Path]) -> None:
    finished = run("evaluate", "missing", *test_set, "--metrics", "bleo")
    assert (finished.status, finished.err) == (2, "error: unknown metric. Did you mean `bleu`? Received: 'bleo'.\n")


def test_tokenizer_train(run: Run, tmp_path: Path) -> None:
    from nmt.text.tokenizer import Tokenizer

    (tmp_path / "en").write_text("we see the sea\nthe sea sees me\n" * 20)
    (tmp_path / "fr").write_text("nous voyons la mer\nla mer me voit\n" * 20)
    words = ["--input", tmp_path / "en", tmp_path / "fr", "--output", tmp_path / "joint.spm"]
    finished = run("tokenizer", "train", *words, "--vocabulary-size", "290", "--model-type", "bpe")
    assert (finished.status, finished.out) == (0, "")
    assert f"{tmp_path / 'joint.spm'}: 290 pieces" in finished.err
    tokenizer = Tokenizer.from_file(tmp_path / "joint.spm")
    assert tokenizer.decode(tokenizer.encode(["la mer sees 😀"])) == ["la mer sees 😀"]
    assert run("tokenizer", "train", *words, "--vocabulary-size", "60", "--no-byte-fallback").status == 0
    without = Tokenizer.from_file(tmp_path / "joint.spm")
    assert "😀" not in without.decode(without.encode(["😀"]))[0]


def test_average(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(averaging, "average", lambda *arguments: made.append(arguments))
    finished = run("average", "runs/one", "runs/two", "--output", tmp_path / "new" / "mean")
    assert finished.err == f"{tmp_path}/new/mean: the mean of the weights of 2 models\n"
    assert made == [([Path("runs/one"), Path("runs/two")], tmp_path / "new" / "mean")]


def test_tokenizer_train_leaves_nothing_after_a_mistake(run: Run, tmp_path: Path) -> None:
    (tmp_path / "en").write_text("\n")
    for path, message in ((tmp_path / "nowhere", "no such file"), (tmp_path / "en", "trained on text")):
        finished = run("tokenizer", "train", "--input", path, "--output", tmp_path / "out")
        assert finished.status == 2
        assert message in finished.err
    assert [path.name for path in tmp_path.iterdir()] == ["en"]


def test_plot_learning_curves(run: Run, tmp_path: Path) -> None:
    from nmt.run_dir import RunDirectory

    made = RunDirectory.create(tmp_path / "run", config_yaml="", versions={})
    made.metrics.replace([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}])
    assert run("plot", "learning-curves", tmp_path / "run", "-o", tmp_path / "curves.png").status == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    finished = run("plot", "learning-curves", tmp_path / "nowhere", "-o", tmp_path / "curves.png")
    assert "no such run directory" in finished.err


def test_plot_attention(run: Run, tmp_path: Path, translator: FakeTranslator) -> None:
    picture = tmp_path / "attention.png"
    finished = run("plot", "attention", "model", "--text", "one two", "-o", picture, "--beam-size", "3")
    assert (finished.status, finished.out) == (0, "ONE TWO\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert translator.calls[0][1].items() >= {"with_attention": True, "beam_size": 3}.items()
    for text in (" ", "x" * 2000):
        finished = run("plot", "attention", "model", "--text", text, "-o", tmp_path / "none.png")
        assert finished.status == 2
        assert "short enough" in finished.err
    assert not (tmp_path / "none.png").exists()


# ---- train ----

CONFIG = """
source_language: en
target_language: fr
data:
  train: {type: phrasebook, num_pairs: 5}
  dev: {type: phrasebook, split: dev, num_pairs: 3}
"""


def _resolve(settings: Config, pairs: Any) -> Config:
    """Chooses one value for each of what may be left open."""
    assert pairs == "the pairs"
    chosen: dict[str, Any] = {}
    if settings.training.precision == "auto":
        chosen["training.precision"] = "mixed_bfloat16"
    if settings.recipe == "auto":
        chosen |= {"recipe": "defaults", "model.decoder_size": 77}
    return with_values(settings, chosen)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What the trainer was called with; stand-ins take the place of what needs Keras."""
    calls: list[dict[str, Any]] = []

    def train(settings: Any, run: Any, *, pairs: Any, resume: bool, allow_changed: Any) -> None:
        assert pairs == "the pairs"
        calls.append({"settings": settings, "path": run.path, "resume": resume, "allow_changed": list(allow_changed)})
        (run.checkpoints / "update-00000001").mkdir(exist_ok=True)

    trainer = type(sys)("nmt.training.trainer")
    trainer.train = train  # type: ignore[attr-defined]
    preparation = type(sys)("nmt.training.preparation")
    preparation.read_pairs = lambda settings: "the pairs"  # type: ignore[attr-defined]
    backend = type(sys)("nmt.backend")
    backend.library_name = lambda: "tensorflow"  # type: ignore[attr-defined]
    resolution = type(sys)("nmt.training.resolution")
    resolution.resolve = _resolve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nmt.training.resolution", resolution)
    monkeypatch.setitem(sys.modules, "nmt.training.trainer", trainer)
    monkeypatch.setitem(sys.modules, "nmt.training.preparation", preparation)
    monkeypatch.setitem(sys.modules, "nmt.backend", backend)
    monkeypatch.setattr(startup, "import_keras", lambda: None)
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(CONFIG)
    return calls


def test_the_precision_that_is_chosen_is_kept(run: Run, trained: list[dict[str, Any]]) -> None:
    assert run("train", "my.yaml", "--set", "training.precision=auto").status == 0
    assert trained[0]["settings"].training.precision == "mixed_bfloat16"
    assert "precision: mixed_bfloat16" in Path("runs/my/config.yaml").read_text()
    assert run("train", "my.yaml", "--set", "training.precision=auto", "--resume").status == 0
    assert trained[1]["settings"] == trained[0]["settings"]
    finished = run("train", "my.yaml", "--set", "training.precision=float32", "--resume")
    assert "training.precision: the run has 'mixed_bfloat16'. Received: 'float32'" in finished.err


def test_the_recipe_that_is_chosen_is_kept(run: Run, trained: list[dict[str, Any]]) -> None:
    assert run("train", "my.yaml", "--set", "model=auto").status == 0
    assert (trained[0]["settings"].recipe, trained[0]["settings"].model.decoder_size) == ("defaults", 77)
    kept = Path("runs/my/config.yaml").read_text()
    assert "recipe: defaults" in kept
    assert "decoder_size: 77" in kept
    assert run("train", "my.yaml", "--set", "model=auto", "--resume").status == 0
    assert trained[1]["settings"] == trained[0]["settings"]
    assert Path("runs/my/config.yaml").read_text() == kept
    finished = run("train", "my.yaml", "--set", "recipe=auto", "--set", "model.decoder_size=78", "--resume")
    assert "1 key differs\n  model.decoder_size: the run has 77. Received: 78" in finished.err


def test_train_makes_a_run_directory_with_the_name_of_the_configuration(
    run: Run, trained: list[dict[str, Any]]
) -> None:
    finished = run("train", "my.yaml", "--set", "seed=7", "--set", "training.max_epochs=3")
    assert finished.status == 0
    [call] = trained
    assert (call["path"], call["resume"]) == (Path("runs/my"), False)
    assert (call["settings"].seed, call["settings"].training.max_epochs) == (7, 3)
    assert json.loads(Path("runs/my/versions.json").read_text())["backend"] == "tensorflow"


def test_train_resumes_and_replaces(run: Run, trained: list[dict[str, Any]]) -> None:
    assert run("train", "my.yaml", "--run-dir", "here").status == 0
    refused = run("train", "my.yaml", "--run-dir", "here")
    assert refused.status == 2
    assert "--resume" in refused.err
    assert "--replace" in refused.err
    assert run("train", "my.yaml", "--run-dir", "here", "--resume").status == 0
    assert run("train", "my.yaml", "--run-dir", "here", "--replace").status == 0
    assert [call["resume"] for call in trained] == [False, True, False]
    differing = run("train", "my.yaml", "--run-dir", "here", "--resume", "--set", "seed=2")
    assert differing.status == 2
    assert "  seed: the run has 1. Received: 2" in differing.err.splitlines()
    assert "--allow-changed seed" in differing.err
    allowed = ("--allow-changed", "seed", "--allow-changed", "corpus")
    assert run("train", "my.yaml", "--run-dir", "here", "--resume", "--set", "seed=2", *allowed).status == 0
    assert (trained[-1]["settings"].seed, trained[-1]["allow_changed"]) == (2, ["seed", "corpus"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.yaml"], "nowhere.yaml: can't read the configuration"),
        (["my.yaml", "--set", "training.max_epoch=3"], "training.max_epoch: unknown key. Did you mean `max_epochs`?"),
        (["my.yaml", "--set", "seed"], "--set takes key=value"),
        (["my.yaml", "--resume"], "runs/my: no such run directory"),
        (["my.yaml", "--resume", "--replace"], "Received: both"),
        (["my.yaml", "--allow-changed", "seed"], "--allow-changed is for a run that goes on. Received: no --resume."),
    ],
)
def test_train_refuses_before_anything_is_made(
    run: Run, trained: list[dict[str, Any]], words: list[str], message: str
) -> None:
    finished = run("train", *words)
    assert finished.status == 2
    assert message in finished.err
    assert not Path("runs").exists()
    assert not trained


def test_the_log_of_training_is_on_the_screen_and_in_the_run(
    run: Run, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(_: Any, opened: Any, *, pairs: Any, resume: bool, allow_changed: Any) -> None:
        training_run.logger.info("epoch 1\n  loss 2.0")

    def resolve(settings: Config, pairs: Any) -> Config:
        training_run.logger.info("chosen")
        return settings

    monkeypatch.setattr(sys.modules["nmt.training.trainer"], "train", train)
    monkeypatch.setattr(sys.modules["nmt.training.resolution"], "resolve", resolve)
    assert run("train", "my.yaml").err == "chosen\nepoch 1\n  loss 2.0\n"
    lines = Path("runs/my/train.log").read_text().splitlines()
    assert [line[20:] for line in lines] == ["INFO chosen", "INFO epoch 1", "INFO   loss 2.0"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_was_asked_to_stop_ends_with_the_status_of_the_signal(
    run: Run, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    from nmt.training.stopping import Stopped

    def train(_: Any, opened: Any, **options: Any) -> None:
        (opened.checkpoints / "update-00000001").mkdir()
        raise Stopped(number)

    monkeypatch.setattr(sys.modules["nmt.training.trainer"], "train", train)
    finished = run("train", "my.yaml")
    assert finished.status == status
    assert finished.err == "interrupted; the same command with --resume goes on from the last checkpoint\n"


def test_a_corpus_that_is_not_there_does_not_cost_the_run_that_is_to_be_replaced(
    run: Run, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", "my.yaml").status == 0

    def read_pairs(_: Any) -> None:
        raise CorpusError("train.en: no such file")

    monkeypatch.setattr(sys.modules["nmt.training.preparation"], "read_pairs", read_pairs)
    assert run("train", "my.yaml", "--replace").status == 2
    assert Path("runs/my/checkpoints/update-00000001").exists()


# ---- help, version, loading ----


@pytest.mark.parametrize(
    "words",
    [
        [],
        *(["train"], ["translate"], ["repl"], ["score"], ["evaluate"]),
        *(["tokenizer"], ["tokenizer", "train"], ["plot"], ["plot", "attention"], ["plot", "learning-curves"]),
    ],
)
def test_every_command_has_help_that_fits(run: Run, words: list[str]) -> None:
    finished = run(*words, "--help")
    assert (finished.status, finished.err) == (0, "")
    assert max(len(line.rstrip()) for line in finished.out.splitlines()) <= 100
    if words not in (["tokenizer"], ["plot"]):
        assert f"Examples\n nmt {' '.join(words)}" in re.sub(r" +\n", "\n", finished.out)
    assert run(*words, "-h").out == finished.out


def test_the_examples_of_the_help_are_valid(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is parsed by Typer: its command exists, and takes its options."""
    import shlex

    from typer.main import get_command

    def visit(command: Any) -> list[str]:
        lines = (command.epilog or "").splitlines()[1:]
        return [*lines, *(line for inner in getattr(command, "commands", {}).values() for line in visit(inner))]

    examples = visit(get_command(cli.app))
    assert len(examples) >= 15
    for example in examples:
        words = shlex.split(re.sub(r"^.*\| | [<>] \S+|   .*$", "", example))
        assert words.pop(0) == "nmt", example
        command = get_command(cli.app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        if words != ["--help"]:
            command.make_context("nmt", words)


def test_version(run: Run) -> None:
    import nmt

    assert run("--version").out == f"nmt {nmt.__version__}\n"


def test_a_wrong_model_is_refused_before_keras_is_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(startup, "import_keras", lambda: pytest.fail("Keras was imported"))
    with pytest.raises(ModelFileError, match="no such folder"):
        cli._load(tmp_path / "nowhere")


def test_options_out_of_bounds_are_refused_before_a_model_is_loaded(run: Run) -> None:
    assert "beam_size" in run("translate", "missing", "--beam-size", "0").err
    with pytest.raises(InputError):
        cli._search_options(batch_size=0)


# ---- as a process ----

FAKE = """
import sys
from nmt import cli
from tests.fake_translator import FakeTranslator
cli._load = lambda *args, **options: FakeTranslator()
cli.main(sys.argv[1:])
"""


def start(*words: str, **streams: Any) -> subprocess.Popen[bytes]:
    """Starts a command with a fake model."""
    return subprocess.Popen([sys.executable, "-c", FAKE, *words], cwd=ROOT, **streams)


def test_a_line_is_answered_before_the_next_one_is_written() -> None:
    with start("translate", "model", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            process.stdin.write(b"a line\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"A LINE\n"
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_a_reader_that_has_enough_ends_the_command_quietly(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("line\n" * 100_000)
    with start(
        "translate", "model", "-i", str(tmp_path / "in"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"LINE\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_ctrl_c_ends_a_command_with_status_130() -> None:
    with start("translate", "model", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"a line\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"A LINE\n"  # it waits for the next one
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert process.returncode == 130


def test_repl_on_a_terminal_converses(tmp_path: Path) -> None:
    """In a pseudo-terminal: the banner, a translation, Ctrl-D."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    with start("repl", "model", stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        with contextlib.ExitStack() as stack:
            stack.callback(process.kill)
            converse_for_a_moment(ours)
            stack.pop_all()
    os.close(ours)
    assert process.returncode == 0
    assert "+hello" in (tmp_path / "nmt" / "history").read_text()


def converse_for_a_moment(ours: int) -> None:
    prompt = rb"en>.*\x1b\[\?25h"  # drawn, and the cursor shown again
    assert b"en to fr   model   beam 5" in read_until(ours, prompt)
    os.write(ours, b"hello\r")
    read_until(ours, rb"HELLO\r\n.*" + prompt)
    os.write(ours, b"\x04")
    read_until(ours, None)


def read_until(descriptor: int, pattern: bytes | None) -> bytes:
    """Reads from a pseudo-terminal until something has come, or to its end."""
    shown = b""
    deadline = time.monotonic() + 60
    while pattern is None or not re.search(pattern, shown, re.DOTALL):
        assert select.select([descriptor], [], [], deadline - time.monotonic())[0], shown
        try:
            shown += os.read(descriptor, 1000)
        except OSError:  # how Linux tells the end of a pseudo-terminal
            break
    return shown
