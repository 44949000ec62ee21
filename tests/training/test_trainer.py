"""Training from a configuration to a model: what lies in the folder, exact resuming, the variants of the model."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nmt
from nmt.run_dir import RunDirectory
from tests.training import tiny_run
from tests.training.tiny_run import assert_same_run, progress, run, tiny_tree, with_changes


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    tiny_run.write_corpora(folder)
    return folder


@pytest.fixture
def tree(corpora):
    return tiny_tree(corpora)


@pytest.fixture(scope="module")
def finished(corpora, tmp_path_factory):
    """A run of four epochs, with test corpora."""
    test = {"type": "files", "source": str(corpora / "test.en"), "target": str(corpora / "test.fr")}
    tree = with_changes(tiny_tree(corpora), {"data.test": test})
    return run(tree, tmp_path_factory.mktemp("runs") / "finished")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


class TestFolder:
    def test_what_lies_in_it(self, finished):
        assert names_in(finished.path) == [
            "best", "checkpoints", "config.yaml", "lock", "metrics.jsonl", "tensorboard", "test", "tokenizer",
            "versions.json",
        ]  # fmt: skip
        assert names_in(finished.tokenizer) == ["joint.spm"]
        assert names_in(finished.checkpoints) == ["update-00000012", "update-00000016"]
        assert names_in(finished.best) == [
            "README.md", "config.json", "joint.spm", "manifest.json", "model.safetensors",
        ]  # fmt: skip

    def test_metrics(self, finished):
        entries = finished.metrics.read()
        assert [(entry["epoch"], entry["updates"]) for entry in entries] == [(1, 4), (2, 8), (3, 12), (4, 16)]
        for entry in entries:
            assert entry["perplexity"] > 1
            assert entry["validation_perplexity"] == pytest.approx(np.exp(entry["validation_loss"]))
            assert 0 <= entry["bleu"] <= 100
            assert 0 <= entry["chrf"] <= 100
            assert entry["gradient_norm"] > 0
            assert entry["tokens_per_second"] > 0
            assert entry["peak_memory_gb"] > 0
            assert entry["learning_rate"] == pytest.approx(0.02)  # three updates of warm-up, then the peak
        seconds = [entry["seconds"] for entry in entries]
        assert seconds == sorted(seconds)
        assert entries[-1]["loss"] < entries[0]["loss"]

    def test_best_model_translates(self, finished):
        translator = nmt.load(finished.path)
        hypotheses = translator.translate(["two red cats sleep", ""])
        assert len(hypotheses) == 2
        assert hypotheses[1].text == ""
        assert (translator.source_language, translator.target_language) == ("en", "fr")
        assert translator.options.beam_size == 2

    def test_best_model_is_that_of_the_best_epoch(self, finished, corpora):
        """Loaded from its folder it has the dev loss that the metrics name for its epoch."""
        best = progress(finished)["best_epoch"]
        entry = next(entry for entry in finished.metrics.read() if entry["epoch"] == best)
        assert entry["bleu"] == max(entry["bleu"] for entry in finished.metrics.read())
        sources, targets = ((corpora / f"dev.{language}").read_text().splitlines() for language in ("en", "fr"))
        scores = nmt.load(finished.best).score(sources, targets)
        loss = -sum(score.log_prob for score in scores) / sum(score.num_pieces for score in scores)
        assert loss == pytest.approx(entry["validation_loss"], rel=1e-5)

    def test_card(self, finished):
        card = (finished.best / "README.md").read_text()
        assert "en" in card
        assert "`fr`" in card
        assert "on dev (`nrefs:1|case:mixed" in card

    def test_test_corpora_are_translated_once_with_the_best_model(self, finished, corpora):
        assert names_in(finished.path / "test") == ["hypotheses.txt", "references.txt", "report.json"]
        sources = (corpora / "test.en").read_text().splitlines()
        translations = [one.text for one in nmt.load(finished.best).translate(sources)]
        assert (finished.path / "test" / "hypotheses.txt").read_text().splitlines() == translations
        assert (finished.path / "test" / "references.txt").read_text() == (corpora / "test.fr").read_text()
        report = json.loads((finished.path / "test" / "report.json").read_text())
        assert {score["name"] for score in report["scores"]} == {"BLEU", "chrF2"}


def test_a_resumed_run_is_the_run_that_was_never_interrupted(finished, corpora, tmp_path):
    """Bit for bit: weights, optimizer, seeds of dropout, best model and metrics, in the same process."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        tiny_run.interrupt_after(monkeypatch, epoch=2)
        with pytest.raises(KeyboardInterrupt):
            run(tiny_tree(corpora), tmp_path / "run")
    resumed = run(tiny_tree(corpora), tmp_path / "run", resume=True)
    assert_same_run(resumed, finished)
    assert any("seed_generator" in name for name in tiny_run.weights(tiny_run.last_checkpoint(resumed)))


PROGRAM = """
import os, signal, sys
from pathlib import Path
from tests.training import tiny_run

corpora, folder, what = sys.argv[1:]
save_checkpoint = trainer.save_checkpoint

def save_and_die(*args):
    save_checkpoint(*args)
    os.kill(os.getpid(), signal.SIGKILL)

if what == "die":
    trainer.save_checkpoint = save_and_die
tree = tiny_run.with_changes(tiny_run.tiny_tree(Path(corpora)), {"training.max_epochs": 2})
tiny_run.run(tree, Path(folder), resume=what == "resume")
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_killed_run_goes_on_in_a_new_process(backend, corpora, tmp_path):
    """Bit for bit as the run that was not killed, whatever the backend and wherever it keeps its generators."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")

    def start(folder, what):
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, str(corpora), str(folder), what],
            env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
            cwd=Path(__file__).parents[2],
            check=False,
        ).returncode

    assert start(tmp_path / "run", "die") == -signal.SIGKILL
    assert start(tmp_path / "run", "resume") == 0
    assert start(tmp_path / "straight", "straight") == 0
    assert_same_run(RunDirectory.open(tmp_path / "run"), RunDirectory.open(tmp_path / "straight"))


VARIANTS = {
    "separate vocabularies, two ways tied, input feeding, bfloat16, tokens a batch": {
        "tokenizer.joint": False,
        "model.decoder": "input_feeding",
        "model.tied_embeddings": "target",
        "training.precision": "mixed_bfloat16",
        "batching": {"unit": "tokens", "size": 90},
        "training.metric": "loss",
        "training.ema_decay": 0.5,
    },
    "nothing tied, two layers, the other GRU, normalised, deep transitions, lexical model": {
        "model.tied_embeddings": "none",
        "model.encoder_layers": 2,
        "model.reset_after": False,
        "model.variational_dropout": True,
        "model.recurrent_dropout_rate": 0.1,
        "model.source_word_dropout": 0.1,
        "model.target_word_dropout": 0.1,
        "model.lexical_model": True,
        "model.layer_norm": True,
        "model.decoder_transitions": 2,
        "training.optimizer": "adamw",
        "training.metric": "chrf",
        "decoding.beam_size": 1,
    },
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, marks=pytest.mark.slow if number else ())
        for number, changes in enumerate(VARIANTS.values())
    ],
    ids=VARIANTS,
)
def test_variants_train_and_translate(changes, tree, tmp_path):
    run_dir = run(with_changes(tree, {**changes, "training.max_epochs": 2}), tmp_path / "run")
    losses = [entry["loss"] for entry in run_dir.metrics.read()]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    is_joint = changes.get("tokenizer.joint", True)
    names = ["joint.spm"] if is_joint else ["source.spm", "target.spm"]
    assert names_in(run_dir.tokenizer) == names
    assert set(names) <= set(names_in(run_dir.best))
    translator = nmt.load(run_dir.path)
    assert len(translator.translate(["two red cats sleep", "dogs run"])) == 2
    assert {array.dtype for array in tiny_run.weights(run_dir.best).values()} == {np.dtype("float32")}
