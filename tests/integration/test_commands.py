"""The commands end to end, with real models, on generated text: train, resume, translate, evaluate, score.

One run is trained by a process of its own, as a person does it; the other commands run in this process, which has Keras
already.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import nmt
from nmt import cli, config
from nmt.run_dir import RunDirectory
from nmt.startup import LOG_LEVEL
from tests.training import tiny_run

ROOT = Path(__file__).parents[2]
NMT = [sys.executable, "-m", "nmt"]
SEPARATORS = "\u2028\u2029\u0085\x0b\x0c"


def environment():
    """What a command sees of the environment: the package, and none of the settings of this test run."""
    names = {name: value for name, value in os.environ.items() if name not in (LOG_LEVEL, "KERAS_BACKEND")}
    return {**names, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


def start(*words, **options):
    return subprocess.Popen(
        [*NMT, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        **options,
    )


def finish(process):
    out, err = process.communicate()
    return process.returncode, out, err


class Trained:
    """A configuration and the run that was trained with it."""

    def __init__(self, folder):
        tiny_run.write_corpora(folder)
        test = {"type": "files", "source": str(folder / "test.en"), "target": str(folder / "test.fr")}
        tree = tiny_run.with_changes(tiny_run.tiny_tree(folder), {"data.test": test, "training.max_epochs": 2})
        self.folder = folder
        self.config = folder / "tiny.yaml"
        self.config.write_text(config.dump(config.validate(tree, "tiny")))
        self.path = folder / "runs" / "first"
        self.status, self.out, self.err = finish(
            start("train", self.config, "--run-dir", self.path, "--set", "training.num_sample_sentences=2", cwd=folder)
        )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return Trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def translator(trained):
    return nmt.load(trained.path)


@pytest.fixture
def command(monkeypatch, capfd):
    """Runs a command in this process and returns its status, output and messages."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(word) for word in words])
        shown = capfd.readouterr()
        return int(stopped.value.code or 0), shown.out, shown.err

    return run


class TestTrain:
    def test_leaves_a_run(self, trained):
        assert trained.status == 0, trained.err
        assert trained.out == ""
        run = RunDirectory.open(trained.path)
        assert [entry["epoch"] for entry in run.metrics.read()] == [1, 2]
        assert (trained.path / "test" / "report.json").is_file()

    def test_says_what_it_does(self, trained):
        lines = trained.err.splitlines()
        assert f"read 48 pairs from {trained.folder / 'train.en'} and {trained.folder / 'train.fr'}" in lines
        assert "training corpora: kept 39 of 48 pairs; left out 9: 9 duplicates" in lines
        assert sum(line.startswith("epoch ") for line in lines) == 2
        assert sum(line.startswith("  translation ") for line in lines) == 2 * 2 + 5  # dev after each epoch, then test
        assert "BLEU" in trained.err
        assert "nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a" in trained.err
        assert "Traceback" not in trained.err

    def test_keeps_the_log_and_the_configuration(self, trained):
        run = RunDirectory.open(trained.path)
        log = run.log_path.read_text()
        for line in trained.err.splitlines():
            if line.startswith("epoch "):
                assert line in log
        settings = config.load(run.config_path)
        assert settings.training.num_sample_sentences == 2
        assert config.load(trained.config, ["training.num_sample_sentences=2"]) == settings
        assert run.versions()["backend"] == "tensorflow"
        assert run.versions()["keras"]

    def test_never_overwrites_a_run(self, trained, command):
        before = (trained.path / "metrics.jsonl").read_bytes()
        status, out, err = command("train", trained.config, "--run-dir", trained.path)
        assert (status, out) == (2, "")
        assert "--resume" in err
        assert "--replace" in err
        assert (trained.path / "metrics.jsonl").read_bytes() == before

    def test_resume_of_a_finished_run(self, trained, command):
        words = ["train", trained.config, "--run-dir", trained.path, "--set", "training.num_sample_sentences=2"]
        status, _, err = command(*words, "--resume")
        assert status == 0
        assert "training was finished already, after epoch 2" in err

    def test_resume_with_another_configuration(self, trained, command):
        status, _, err = command("train", trained.config, "--run-dir", trained.path, "--resume", "--set", "seed=2")
        assert status == 2
        assert "seed: the run has 1. Received: 2" in err


class TestTranslate:
    LINES = (
        "two red cats sleep",
        "",
        " \t ",
        "dogs run\r",
        f"one{SEPARATORS}blue",
        "\ufeffcats \x00 \U0001f600 \u0645\u0631\u062d\u0628\u0627",
        "<pad> </s> <unk> <s>",
        "z",
        "red " * 300,
    )

    def test_a_line_out_for_each_line_in(self, trained, command, translator):
        text = "\n".join(self.LINES)
        status, out, err = command("translate", trained.path, stdin=text.encode())
        assert status == 0
        assert out.count("\n") == len(self.LINES)
        assert not set(out) & set(SEPARATORS)
        expected = [one.text for one in translator.translate([line.removesuffix("\r") for line in self.LINES])]
        assert out.split("\n")[:-1] == expected
        assert expected[1:3] == ["", ""]
        assert "1 line was too long (max_source_pieces), translated in parts" in err

    def test_files(self, trained, command, translator, tmp_path):
        with gzip.open(tmp_path / "in.gz", "wb") as file:
            file.write(b"two red cats\nblue dogs run\n")
        status, out, _ = command("translate", trained.path, "-i", tmp_path / "in.gz", "-o", tmp_path / "out")
        assert (status, out) == (0, "")
        expected = translator.translate(["two red cats", "blue dogs run"])
        assert (tmp_path / "out").read_text() == "".join(f"{one.text}\n" for one in expected)

    def test_several_translations_of_each_line(self, trained, command, translator):
        words = ["--n-best", "2", "--format", "moses", "--beam-size", "3"]
        status, out, _ = command("translate", trained.path, *words, stdin=b"two cats\nred dogs\n")
        assert status == 0
        rows = [line.split(" ||| ") for line in out.splitlines()]
        assert [number for number, *_ in rows] == ["0", "0", "1", "1"]
        found = translator.translate_n_best(["two cats", "red dogs"], n_best=2, beam_size=3)
        assert [text for _, text, _ in rows] == [one.text for pool in found for one in pool]
        assert [float(score) for *_, score in rows] == pytest.approx(
            [one.score for pool in found for one in pool], abs=2e-6
        )

    def test_a_copy_of_the_model_needs_nothing_else(self, trained, command, tmp_path):
        (trained.path / "best").rename(tmp_path / "model")
        try:
            status, out, _ = command("translate", tmp_path / "model", stdin=b"two red cats\n")
        finally:
            (tmp_path / "model").rename(trained.path / "best")
        assert (status, out.count("\n")) == (0, 1)


def test_score_is_that_of_the_search(trained, command, translator, tmp_path):
    """What the search says of its own translations, forced decoding says too."""
    lines = ["two red cats sleep", "dogs run", "one"]
    found = translator.translate(lines)
    (tmp_path / "source").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "target").write_text("".join(f"{one.text}\n" for one in found))
    status, out, _ = command("score", trained.path, "--source", tmp_path / "source", "--target", tmp_path / "target")
    assert status == 0
    rows = [[float(value) for value in line.split("\t")] for line in out.splitlines()]
    expected = translator.score(lines, [one.text for one in found])
    assert [row[0] for row in rows] == pytest.approx([score.log_prob for score in expected], abs=1e-4)
    assert [row[1] for row in rows] == pytest.approx(
        [score.log_prob / score.num_pieces for score in expected], abs=1e-4
    )


class TestEvaluate:
    def test_scores_are_those_of_sacrebleus_own_command(self, trained, command, tmp_path):
        words = ["--source", trained.folder / "test.en", "--reference", trained.folder / "test.fr"]
        outputs = ["--output", tmp_path / "out.fr", "--json", tmp_path / "report.json"]
        status, out, _ = command("evaluate", trained.path, *words, *outputs)
        assert status == 0
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["command"] in out.replace("\\\n", "")

        setting, *words = shlex.split(report["command"])
        assert words[0] == "sacrebleu"
        name, _, value = setting.partition("=")
        theirs = subprocess.run(
            [sys.executable, "-m", *words],
            env={**environment(), name: value},
            capture_output=True,
            text=True,
            check=True,
        )
        lines = theirs.stdout.splitlines()
        assert len(lines) == len(report["scores"]) == 3
        for line, score in zip(lines, report["scores"], strict=True):
            named, _, figures = line.partition(" = ")
            assert named.strip() == f"{score['name']}|{score['signature']}"
            assert float(figures.split()[0]) == pytest.approx(score["score"], abs=0.0051)

    def test_a_split_of_a_configuration(self, trained, command):
        status, out, _ = command("evaluate", trained.path, "--config", trained.config, "--json", "-", "--no-confidence")
        assert status == 0
        theirs = json.loads((trained.path / "test" / "report.json").read_text())
        found = {score["name"]: score["score"] for score in json.loads(out)["scores"]}
        for score in theirs["scores"]:  # of the same model on the same corpora, at the end of training
            assert found[score["name"]] == pytest.approx(score["score"])


def lines_apart(folder):
    (folder / "bad.en").write_text("one\ntwo\nthree\n")
    (folder / "bad.fr").write_text("un\ndeux\n")


def no_text(folder):
    (folder / "bad.en").write_text("")
    (folder / "bad.fr").write_text("")


def blank_text(folder):
    (folder / "bad.en").write_text("one\n \n")
    (folder / "bad.fr").write_text("\ndeux\n")


def no_utf8(folder):
    (folder / "bad.en").write_bytes(b"one\ncaf\xe9\n")
    (folder / "bad.fr").write_text("un\ndeux\n")


def no_gzip(folder):
    (folder / "bad.en").write_text("one\n")
    (folder / "bad.fr.gz").write_bytes(gzip.compress(b"un\n")[:-6])


BAD_CORPORA = {
    "missing": (lambda folder: None, "bad.fr", r"bad\.en: no such file"),
    "of unequal length": (lines_apart, "bad.fr", r"Received: 3 and 2 lines"),
    "empty": (no_text, "bad.fr", r"empty"),
    "blank": (blank_text, "bad.fr", r"each of its 2 pairs is blank"),
    "not UTF-8": (no_utf8, "bad.fr", r"bad\.en.*line 2"),
    "cut": (no_gzip, "bad.fr.gz", r"bad\.fr\.gz"),
}


@pytest.mark.parametrize(("make", "target", "message"), BAD_CORPORA.values(), ids=BAD_CORPORA)
def test_a_bad_corpus_is_one_message(make, target, message, trained, command, tmp_path):
    make(tmp_path)
    corpus = f"{{type: files, source: {tmp_path / 'bad.en'}, target: {tmp_path / target}}}"
    run = tmp_path / "runs" / "first"
    status, out, err = command("train", trained.config, "--run-dir", run, "--set", f"data.train={corpus}")
    assert (status, out) == (2, "")
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert re.search(message, errors[0])
    assert "Traceback" not in err
    assert not run.exists()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("training.max_epoch=3", "Did you mean `max_epochs`?"),
        ("model.dropout_rate=1.5", "model.dropout_rate: must be >= 0 and < 1. Received: 1.5"),
        ("batching={unit: tokens, size: 3}", "alone is longer than a batch"),
    ],
)
def test_a_bad_setting_is_one_message(word, message, trained, command, tmp_path):
    run = tmp_path / "run"
    status, out, err = command("train", trained.config, "--run-dir", run, "--set", word)
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not run.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "joint.spm", "manifest.json"])
def test_a_damaged_model_is_refused_by_name(name, trained, command):
    path = trained.path / "best" / name
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-10])
        status, out, err = command("translate", trained.path, stdin=b"one\n")
    finally:
        path.write_bytes(content)
    assert (status, out) == (2, "")
    assert name in err
    assert err.startswith("error: ")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_run_that_was_stopped_goes_on_as_if_it_never_was(number, status, trained, tmp_path):
    """Stopped at any moment, by the keyboard or by the system, it ends in the same weights."""
    changes = ["training.max_epochs=80", "training.validate_every_epochs=100", "training.metric=loss"]
    settings = [word for change in changes for word in ("--set", change)]
    words = ["train", trained.config, *settings, "--run-dir"]
    process = start(*words, tmp_path / "stopped", cwd=tmp_path)
    checkpoints = tmp_path / "stopped" / "checkpoints"
    while process.poll() is None and not (checkpoints.is_dir() and any(checkpoints.glob("epoch-*"))):
        time.sleep(0.05)
    process.send_signal(number)
    ended, _, err = finish(process)
    assert ended == status, err
    if number == signal.SIGINT:
        assert "the same command with --resume goes on from the last checkpoint" in err
    assert finish(start(*words, tmp_path / "stopped", "--resume", cwd=tmp_path))[0] == 0
    assert finish(start(*words, tmp_path / "straight", cwd=tmp_path))[0] == 0
    stopped, straight = (RunDirectory.open(tmp_path / name) for name in ("stopped", "straight"))
    assert len(stopped.metrics.read()) == 80
    tiny_run.assert_same_run(stopped, straight)


@pytest.mark.slow
def test_scripts_are_the_commands(trained, tmp_path):
    """The three scripts take the same arguments and give the same results."""

    def script(name, *words, text=None):
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts" / name), *map(str, words)],
            input=text,
            env=environment(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    script("train.py", trained.config, "--run-dir", tmp_path / "run", "--set", "training.num_sample_sentences=2")
    tiny_run.assert_same_run(RunDirectory.open(tmp_path / "run"), RunDirectory.open(trained.path))
    assert script("translate.py", trained.path, text="\ntwo cats\n").count("\n") == 2
    report = json.loads(script("evaluate.py", trained.path, "--config", trained.config, "--json", "-"))
    assert report["scores"][0]["name"] == "BLEU"
