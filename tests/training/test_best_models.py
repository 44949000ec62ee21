"""The best models of a run and their mean: what is kept, what becomes of it, and stops and losses on the way.

As in `test_trainer_course.py` nothing is computed, and a model's bias tells how many updates it has seen: the mean of
the models after epochs 2 and 3 has seen 10.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal

import numpy as np
import pytest

from nmt.averaging import average
from nmt.errors import FileError
from nmt.loading import load, save
from nmt.run_dir import RunDirectory
from nmt.training import best_models
from nmt.training import run as run_module
from nmt.training.state import TrainingState
from nmt.training.stopping import Stopped
from tests.training import tiny_run
from tests.training.test_trainer_course import best_update, corpora, script, tree  # noqa: F401  (fixtures)
from tests.training.tiny_run import progress, run, with_changes

BLEU = [5.0, 20.0, 30.0, 10.0, 25.0]
"""The best two of four epochs are the third and the second: their mean has seen 10 updates."""
TWO = {"training.average_best": 2, "training.max_epochs": 4}


@pytest.fixture
def settings(script, tree):  # noqa: F811
    script.bleu = BLEU
    script.of_mean = {10: 31.0}
    return with_changes(tree, TWO)


def kept(run_dir):
    """Returns how many updates each kept model has seen, by its name."""
    return {
        folder.name: load(folder).model.weights["readout/output_bias"][0]
        for folder in sorted(run_dir.best_models.iterdir())
    }


def assert_same(run_dir, straight):
    tiny_run.assert_same_run(run_dir, straight)
    assert kept(run_dir) == kept(straight)
    assert (run_dir.best / "README.md").read_text().replace("run", "straight") == (
        straight.best / "README.md"
    ).read_text().replace("run", "straight")


@pytest.fixture
def straight(settings, tmp_path):
    return run(settings, tmp_path / "straight")


def test_a_better_mean_becomes_the_best_model(settings, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "nmt"):
        run_dir = run(settings, tmp_path / "run")
    assert kept(run_dir) == {"epoch-00002": 8, "epoch-00003": 12}
    assert best_update(run_dir) == 10
    assert "mean of the models of epochs 2, 3  dev perplexity" in caplog.text
    assert f"best model: the mean of epochs 2, 3, dev bleu 31.00, in {run_dir.best}" in caplog.text
    card = (run_dir.best / "README.md").read_text()
    assert "- weights: the mean of those after epochs 2, 3\n" in card
    assert "31.0 on dev" in card
    # What the command makes of the same two is the same.
    average([run_dir.best_models / name for name in ("epoch-00003", "epoch-00002")], tmp_path / "mean")
    for name, weight in tiny_run.weights(tmp_path / "mean").items():
        np.testing.assert_array_equal(weight, tiny_run.weights(run_dir.best)[name])


def test_a_worse_mean_does_not(settings, script, tmp_path, caplog):  # noqa: F811
    script.of_mean = {10: 29.0}
    with caplog.at_level(logging.INFO, "nmt"):
        run_dir = run(settings, tmp_path / "run")
    assert best_update(run_dir) == 12
    assert "(not better than the best of them)" in caplog.text
    assert f"best model: epoch 3, dev bleu 30.00, in {run_dir.best}" in caplog.text


def test_of_equal_scores_the_lower_loss_decides(settings, script, tmp_path):  # noqa: F811
    script.bleu, script.of_mean = [0.0] * 4, {14: 0.0}
    script.loss = [9.0, 8.0, 7.0, 6.0]  # the mean of the last two is taken for the third
    run_dir = run(settings, tmp_path / "run")
    assert list(kept(run_dir)) == ["epoch-00003", "epoch-00004"]
    assert best_update(run_dir) == 16


@pytest.mark.parametrize("changes", [{"training.average_best": 1}, {"training.max_epochs": 1}])
def test_nothing_is_averaged_where_there_is_nothing_to_average(changes, settings, script, tmp_path, caplog):  # noqa: F811
    with caplog.at_level(logging.INFO, "nmt"):
        run_dir = run(with_changes(settings, changes), tmp_path / "run")
    assert "mean of" not in caplog.text
    assert run_dir.best_models.exists() == ("training.average_best" not in changes)
    assert len(script.validated) == progress(run_dir)["epoch"]


def test_epochs_that_are_not_judged_are_not_kept(settings, tmp_path):
    run_dir = run(with_changes(settings, {"training.validate_every_epochs": 2}), tmp_path / "run")
    assert list(kept(run_dir)) == ["epoch-00002", "epoch-00004"]


def test_a_finished_run_is_not_averaged_again(settings, script, straight, caplog):  # noqa: F811
    num_validations = len(script.validated)
    with caplog.at_level(logging.INFO, "nmt"):
        run(settings, straight.path, resume=True)
    assert len(script.validated) == num_validations
    assert "training was finished already, after epoch 4" in caplog.text
    assert "best model: the mean of epochs 2, 3, dev bleu 31.00" in caplog.text


@pytest.mark.parametrize(
    ("bleu_of_last", "of_mean", "best"),
    [(30.5, {10: 31.0, 18: 30.0}, 10), (32.0, {10: 31.0, 18: 31.5}, 24), (30.5, {10: 31.0, 18: 33.0}, 18)],
)
def test_a_run_that_goes_on_has_to_beat_the_mean(bleu_of_last, of_mean, best, settings, script, tmp_path):  # noqa: F811
    script.of_mean = of_mean
    run_dir = run(settings, tmp_path / "run")
    script.bleu = [*BLEU, bleu_of_last]
    longer = with_changes(settings, {"training.max_epochs": 6})
    run(longer, tmp_path / "run", resume=True, allow_changed=["training.max_epochs"])
    assert list(kept(run_dir)) == ["epoch-00003", "epoch-00006"]
    assert best_update(run_dir) == best


@pytest.mark.parametrize("call", range(1, 9))
def test_stopped_in_any_write_of_a_model(call, settings, straight, tmp_path, monkeypatch):
    """Seven are written: epochs 1 to 3 as the best, epochs 1 to 3 to be kept, and the mean."""
    save, num_calls = best_models.save, 0

    def interrupted(*args, **options):
        nonlocal num_calls
        num_calls += 1
        if num_calls == call:
            raise KeyboardInterrupt
        save(*args, **options)

    monkeypatch.setattr(best_models, "save", interrupted)
    if call == 8:
        run(settings, tmp_path / "run")
    else:
        with pytest.raises(KeyboardInterrupt):
            run(settings, tmp_path / "run")
        monkeypatch.setattr(best_models, "save", save)
        run(settings, tmp_path / "run", resume=True)
    assert_same(RunDirectory(tmp_path / "run"), straight)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 7))
def test_stopped_beside_any_checkpoint(call, when, settings, straight, tmp_path, monkeypatch):
    """Six are written: at the start, after four epochs, and after the mean."""
    save, num_calls = TrainingState.save, 0

    def interrupted(state):
        nonlocal num_calls
        num_calls += 1
        if num_calls == call and when == "before":
            raise KeyboardInterrupt
        save(state)
        if num_calls == call:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingState, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "run")
    monkeypatch.setattr(TrainingState, "save", save)
    run(settings, tmp_path / "run", resume=True)
    assert_same(RunDirectory(tmp_path / "run"), straight)


def test_a_signal_while_the_mean_is_validated(settings, script, straight, tmp_path, monkeypatch):  # noqa: F811
    num_calls = 0

    def validate(*args, **options):
        nonlocal num_calls
        num_calls += 1
        if num_calls == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return script.validate(*args, **options)

    monkeypatch.setattr(run_module, "validate", validate)
    with pytest.raises(Stopped):
        run(settings, tmp_path / "run")
    assert best_update(RunDirectory(tmp_path / "run")) == 12
    assert_same(run(settings, tmp_path / "run", resume=True), straight)


def test_what_a_disk_refuses_is_written_later(settings, straight, tmp_path, monkeypatch, caplog):
    """In the second epoch, whose model nobody would ever write again."""
    save, num_calls = best_models.save, 0

    def refusing(*args, **options):
        nonlocal num_calls
        num_calls += 1
        if num_calls in (3, 4):
            raise FileError("full")
        save(*args, **options)

    monkeypatch.setattr(best_models, "save", refusing)
    run_dir = run(settings, tmp_path / "run")
    assert "nothing is saved: full" in caplog.text
    assert_same(run_dir, straight)


def test_what_can_not_be_removed_is_told_and_removed_later(settings, straight, tmp_path, monkeypatch, caplog):
    remove, fails = best_models.files.remove_folder, [True]

    def refusing(path):
        if "epoch-" in path.name and fails:
            fails.pop()
            raise FileError(f"{path}: busy.")
        remove(path)

    monkeypatch.setattr(best_models.files, "remove_folder", refusing)
    assert_same(run(settings, tmp_path / "run"), straight)
    assert "busy. What is not among the best any more is removed after the next save." in caplog.text


def test_a_kept_model_that_is_gone_is_left_out(settings, script, tmp_path, monkeypatch, caplog):  # noqa: F811
    """Whoever removed or damaged it: the others are averaged, and it is told."""
    three = with_changes(settings, {"training.average_best": 3})
    original = run_module.Run.average

    def damaged(self):
        shutil.rmtree(self.run_dir.best_models / damaged_folder)
        original(self)

    monkeypatch.setattr(run_module.Run, "average", damaged)
    damaged_folder = "epoch-00004"
    run_dir = run(three, tmp_path / "run")
    assert "It is left out of the average." in caplog.text
    assert best_update(run_dir) == 10
    damaged_folder = "epoch-00003"
    run_dir = run(settings, tmp_path / "two")
    assert "fewer than two of the best models are left: there is no average" in caplog.text
    assert best_update(run_dir) == 12


def test_going_back_forgets_the_models_after_the_checkpoint(settings, script, tmp_path):  # noqa: F811
    """Those of epochs that are made again are those that are made again."""
    script.broken = {9, 10, 11, 12, 13}  # all of the third epoch, which is judged all the same, and then one more
    run_dir = run(settings, tmp_path / "run")
    assert progress(run_dir)["num_rollbacks"] == 1
    assert kept(run_dir) == {"epoch-00002": 8, "epoch-00003": 12}
    assert best_update(run_dir) == 10


def test_the_test_corpora_are_translated_by_the_mean(settings, corpora, tmp_path, monkeypatch):  # noqa: F811
    """Also where the run was stopped before it was made."""
    test = {"type": "files", "source": str(corpora / "test.en"), "target": str(corpora / "test.fr")}
    settings = with_changes(settings, {"data.test": test})
    average_of, translated = run_module.Run.average, []

    def interrupted(self):
        raise KeyboardInterrupt

    from nmt.training import trainer

    def loading(folder):
        translated.append(float(load(folder).model.weights["readout/output_bias"][0]))
        return load(folder)

    monkeypatch.setattr(trainer, "load", loading)
    monkeypatch.setattr(run_module.Run, "average", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "run")
    monkeypatch.setattr(run_module.Run, "average", average_of)
    run_dir = run(settings, tmp_path / "run", resume=True)
    assert translated == [10]
    assert run_dir.test_report.exists()


def test_old_checkpoints_go_on(settings, tmp_path):
    """Those of an earlier version, whose progress knows of no averages."""
    stopped = run(with_changes(settings, {"training.max_epochs": 2, "training.average_best": 1}), tmp_path / "run")
    checkpoint = tiny_run.last_checkpoint(stopped)
    values = json.loads((checkpoint / "progress.json").read_text())
    for name in ("best_average", "kept_models", "averaged_epochs"):
        del values[name]
    content = json.dumps(values).encode()
    (checkpoint / "progress.json").write_bytes(content)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["files"]["progress.json"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    changed = ["training.max_epochs", "training.average_best"]
    run_dir = run(settings, tmp_path / "run", resume=True, allow_changed=changed)
    assert kept(run_dir) == {"epoch-00003": 12, "epoch-00004": 16}
    assert progress(run_dir)["averaged_epochs"] == [3, 4]


def test_a_kept_model_of_other_languages_is_left_out(settings, script, tmp_path, monkeypatch, caplog):  # noqa: F811
    """As after a resumed run that was allowed another one."""
    script.of_mean = {14: 31.0}
    caplog.set_level(logging.INFO, "nmt")
    original = run_module.Run.average

    def changed(self):
        folder = self.run_dir.best_models / "epoch-00002"
        translator = load(folder)
        translator.target_language = "xx"
        save(translator, folder, model=self.config.model, card="")
        original(self)

    monkeypatch.setattr(run_module.Run, "average", changed)
    run_dir = run(with_changes(settings, {"training.average_best": 3}), tmp_path / "run")
    assert "models that work together must have the same target_language" in caplog.text
    assert "It is left out of the average." in caplog.text
    assert "mean of the models of epochs 3, 4  dev perplexity" in caplog.text
    assert best_update(run_dir) == 14
