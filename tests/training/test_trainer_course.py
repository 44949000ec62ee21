"""The course of a training run: the best model, the cuts of the rate, the end, resuming, going back.

Nothing is computed: an update adds 1 to a bias, so that a model tells of which update it is, and a validation finds the
values that a test writes down. Each update takes 1 s.
"""

from __future__ import annotations

import json
import logging
import math
from types import SimpleNamespace

import numpy as np
import pytest

from nmt.errors import TokenizerError
from nmt.evaluation.metrics import MetricScore
from nmt.text.tokenizer import Tokenizer
from nmt.training import best_models, limits, preparation, records, state
from nmt.training import run as run_module
from nmt.training.update import Outcome, Updater
from nmt.training.validation import Validation
from tests.training import tiny_run
from tests.training.tiny_run import progress, run, tiny_tree, with_changes

NUM_BATCHES = 4
RISING = [float(value) for value in range(1, 100)]
KEYS = {"training.max_epochs": 30, "training.schedule": {"type": "constant", "warmup_updates": 0}}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    tiny_run.write_corpora(folder)
    return folder


@pytest.fixture
def tree(corpora):
    return with_changes(tiny_tree(corpora), KEYS)


class Script:
    """What updates and validations will find, an entry an epoch; an epoch that has none is an error."""

    def __init__(self):
        self.bleu = RISING
        self.chrf = RISING
        self.loss = RISING[::-1]
        self.broken = set()  # updates, counted from 1 as they are tried, that are not finite
        self.on_update = lambda number: None
        self.num_calls = 0
        self.seconds = 0.0
        self.seconds_per_validation = 0.0
        self.of_mean = {}  # BLEU of a mean of models, by the mean of the numbers of their updates
        self.validated = []  # with translations or without, an entry a validation
        self.batches_of_epochs = []

    def update(self, updater, batches):
        self.num_calls += 1
        self.batches_of_epochs.append(len(batches))
        self.seconds += 1.0
        self.on_update(self.num_calls)
        num_tokens = sum(int((batch.labels != 0).sum()) for batch in batches)
        if self.num_calls in self.broken:
            self.broken_pairs = np.concatenate([batch.numbers for batch in batches]).tolist()
            return Outcome(math.nan, math.nan, num_tokens, math.inf, is_applied=False)
        [bias] = [variable for variable in updater.variables if variable.path == "readout/output_bias"]
        bias.assign_add(np.ones(bias.shape, "float32"))
        updater.optimizer.iterations.assign_add(1)
        return Outcome(3.0 * num_tokens, 2.0 * num_tokens, num_tokens, 0.5, is_applied=True)

    def validate(self, translator, pairs, *, with_translations):
        self.validated.append(with_translations)
        self.seconds += self.seconds_per_validation
        update = round(float(translator.model.weights["readout/output_bias"][0]))
        number = update // NUM_BATCHES - 1
        if not with_translations:
            return Validation(self.loss[number], {}, [])
        scores = {
            name: MetricScore(name, name, values[number], "signature")
            for name, values in (("bleu", self.bleu), ("chrf", self.chrf))
        }
        if update in self.of_mean:
            scores["bleu"] = MetricScore("bleu", "bleu", self.of_mean[update], "signature")
        return Validation(self.loss[number], scores, [f"<{pair.source}>" for pair in pairs])


@pytest.fixture
def script(monkeypatch):
    script = Script()
    monkeypatch.setattr(Updater, "__call__", lambda updater, batches: script.update(updater, batches))
    monkeypatch.setattr(run_module, "validate", script.validate)
    clock = SimpleNamespace(monotonic=lambda: script.seconds)
    for module in (run_module, limits):
        monkeypatch.setattr(module, "time", clock)
    return script


def best_update(run_dir):
    """Returns how many updates the model in `best` has seen."""
    return tiny_run.weights(run_dir.best)["readout/output_bias"][0]


def epochs_of(run_dir):
    return [entry["epoch"] for entry in run_dir.metrics.read()]


class TestBest:
    @pytest.mark.parametrize(
        ("metric", "epoch"),
        [("bleu", 2), ("chrf", 4), ("loss", 3)],
    )
    def test_the_chosen_metric_chooses(self, metric, epoch, script, tree, tmp_path):
        script.bleu, script.chrf, script.loss = [10.0, 30.0, 20.0, 30.0], [40.0, 41.0, 42.0, 50.0], [4.0, 2.5, 2.0, 3.0]
        run_dir = run(with_changes(tree, {"training.metric": metric, "training.max_epochs": 4}), tmp_path / "run")
        assert progress(run_dir)["best_epoch"] == epoch
        assert best_update(run_dir) == epoch * NUM_BATCHES

    @pytest.mark.parametrize(("losses", "epoch"), [([3.0, 2.5, 2.0, 2.2], 3), ([2.0, 2.0, 2.0, 2.0], 1)])
    def test_of_equal_scores_the_lower_loss_decides(self, losses, epoch, script, tree, tmp_path):
        """The first epochs of a small corpus all have BLEU 0. The bug: the least trained of them was kept."""
        script.bleu, script.loss = [0.0] * 4, losses
        run_dir = run(with_changes(tree, {"training.max_epochs": 4}), tmp_path / "run")
        assert best_update(run_dir) == epoch * NUM_BATCHES
        assert progress(run_dir)["num_bad_validations"] == 4 - epoch

    def test_a_loss_above_that_of_guessing_is_told(self, script, tree, tmp_path, caplog):
        """A run may diverge in numbers that are all finite."""
        script.loss = [5.6, 1e4]  # of 296 pieces each by chance: 5.69
        with caplog.at_level(logging.INFO, "nmt"):
            run(with_changes(tree, {"training.max_epochs": 2}), tmp_path / "run")
        assert caplog.text.count("is worse than that of guessing (5.69)") == 1
        assert "dev perplexity inf" in caplog.text

    def test_is_named_at_the_end(self, script, tree, tmp_path, caplog):
        script.loss = [4.0, 2.25, 3.0]
        with caplog.at_level(logging.INFO, "nmt"):
            run_dir = run(with_changes(tree, {"training.metric": "loss", "training.max_epochs": 3}), tmp_path / "run")
        assert f"best model: epoch 2, dev loss 2.25, in {run_dir.best}" in caplog.text
        assert [" (best)" in line for line in caplog.text.splitlines() if "dev perplexity" in line] == [
            True, True, False,
        ]  # fmt: skip

    def test_card_names_what_was_trained_on(self, script, tree, corpora, tmp_path):
        """The pairs that are left after the filters, not those that were read. The bug: it named the latter."""
        twice = [tree["data"]["train"]] * 2
        run_dir = run(with_changes(tree, {"data.train": twice, "training.max_epochs": 1}), tmp_path / "run")
        sides = ((corpora / f"train.{language}").read_text().splitlines() for language in ("en", "fr"))
        num_different = len(set(zip(*sides, strict=True)))
        assert f"{num_different} en-fr pairs" in (run_dir.best / "README.md").read_text()


class TestEnd:
    def test_after_the_last_epoch(self, script, tree, tmp_path, caplog):
        settings = with_changes(tree, {"training.max_epochs": 3})
        run_dir = run(settings, tmp_path / "run")
        assert epochs_of(run_dir) == [1, 2, 3]
        with caplog.at_level(logging.INFO, "nmt"):
            run(settings, tmp_path / "run", resume=True)
        assert "training was finished already, after epoch 3" in caplog.text
        assert epochs_of(run_dir) == [1, 2, 3]

    def test_out_of_patience(self, script, tree, tmp_path, caplog):
        script.bleu = [10.0, 30.0, 29.0, 29.5, 31.0]
        settings = with_changes(tree, {"training.early_stopping_patience": 2})
        with caplog.at_level(logging.INFO, "nmt"):
            run_dir = run(settings, tmp_path / "run")
        assert epochs_of(run_dir) == [1, 2, 3, 4]
        assert "no better bleu in 2 validations: stopping" in caplog.text
        run(settings, tmp_path / "run", resume=True)
        assert epochs_of(run_dir) == [1, 2, 3, 4]

    def test_patience_starts_anew_after_something_better(self, script, tree, tmp_path):
        script.bleu = [10.0, 9.0, 11.0, 10.0, 9.0]
        run_dir = run(with_changes(tree, {"training.early_stopping_patience": 2}), tmp_path / "run")
        assert epochs_of(run_dir) == [1, 2, 3, 4, 5]

    def test_patience_without_end(self, script, tree, tmp_path):
        script.bleu = RISING[::-1]
        settings = with_changes(tree, {"training.early_stopping_patience": None, "training.max_epochs": 12})
        assert epochs_of(run(settings, tmp_path / "run")) == list(range(1, 13))

    def test_patience_counts_validations_with_translations(self, script, tree, tmp_path):
        script.bleu = RISING[::-1]
        settings = with_changes(tree, {"training.early_stopping_patience": 2, "training.validate_every_epochs": 3})
        assert epochs_of(run(settings, tmp_path / "run")) == list(range(1, 10))  # translated after 3, 6 and 9

    def test_patience_waits_for_the_direction_that_is_asked_for(self, script, tree, tmp_path):
        script.bleu = RISING[::-1]
        settings = with_changes(tree, {"training.early_stopping_patience": 2, "training.bidirectional_epochs": 4})
        assert epochs_of(run(settings, tmp_path / "run")) == list(range(1, 7))

    @pytest.mark.parametrize(("max_updates", "is_told"), [(8, True), (9, False)])
    def test_an_end_among_the_bidirectional_epochs_is_told(self, max_updates, is_told, script, tree, tmp_path, caplog):
        settings = with_changes(tree, {"training.max_updates": max_updates, "training.bidirectional_epochs": 2})
        with caplog.at_level(logging.INFO, "nmt"):
            run(settings, tmp_path / "run")
        assert ("set training.bidirectional_epochs lower" in caplog.text) == is_told

    def test_at_the_limit_of_updates(self, script, tree, tmp_path):
        """Inside an epoch; what has been learnt till then is validated, translated and kept."""
        settings = with_changes(tree, {"training.max_updates": 8, "training.validate_every_epochs": 10})
        run_dir = run(settings, tmp_path / "run")
        assert [entry["updates"] for entry in run_dir.metrics.read()] == [4, 8]
        assert script.validated == [False, True]
        assert best_update(run_dir) == 8
        run(settings, tmp_path / "run", resume=True)
        assert [entry["updates"] for entry in run_dir.metrics.read()] == [4, 8]

    def test_at_the_limit_of_updates_inside_an_epoch(self, script, tree, tmp_path):
        run_dir = run(with_changes(tree, {"training.max_updates": 6}), tmp_path / "run")
        assert [entry["updates"] for entry in run_dir.metrics.read()] == [4, 6]
        assert (progress(run_dir)["epoch"], progress(run_dir)["updates"]) == (2, 6)

    def test_at_the_limit_of_time(self, script, tree, tmp_path):
        """Validation counts: 4 s for each epoch of training and 56 s for each validation make 2 minutes after two."""
        script.seconds_per_validation = 56.0
        run_dir = run(with_changes(tree, {"training.max_minutes": 2.0}), tmp_path / "run")
        assert [entry["seconds"] for entry in run_dir.metrics.read()] == [60.0, 120.0]

    def test_the_last_epoch_takes_its_time_too(self, script, tree, tmp_path):
        """The bug: where the epochs ended a run, its last validation took no time."""
        script.seconds_per_validation = 6.0
        run_dir = run(with_changes(tree, {"training.max_epochs": 2}), tmp_path / "run")
        assert [entry["seconds"] for entry in run_dir.metrics.read()] == [10.0, 20.0]

    def test_a_limit_of_time_in_a_validation_without_translations(self, script, tree, tmp_path):
        """A run leaves a model however short it is: what is last is translated and judged."""
        script.seconds_per_validation = 100.0
        changes = {"training.max_minutes": 1.0, "training.validate_every_epochs": 5}
        run_dir = run(with_changes(tree, changes), tmp_path / "run")
        assert script.validated == [False, True]
        assert ["bleu" in entry for entry in run_dir.metrics.read()] == [True]
        assert best_update(run_dir) == NUM_BATCHES


def rates(run_dir):
    return [round(entry["learning_rate"] / 0.02, 4) for entry in run_dir.metrics.read()]


PLATEAU = {"type": "plateau", "warmup_updates": 0, "factor": 0.5, "patience": 2}


class TestPlateau:
    def test_cuts_after_so_many_validations_without_improvement(self, script, tree, tmp_path):
        """`learning_rate` is that of the epoch itself; a cut shows in the next one."""
        script.bleu = [5.0, 4.0, 4.0, 4.0, 4.0, 6.0, 5.0, 5.0, 5.0]
        run_dir = run(with_changes(tree, {"training.schedule": PLATEAU, "training.max_epochs": 9}), tmp_path / "run")
        #                          bad: 1    2    1    2          1     2
        assert rates(run_dir) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]

    def test_never_below_the_floor(self, script, tree, tmp_path, caplog):
        script.bleu = RISING[::-1]
        schedule = {**PLATEAU, "patience": 1, "floor": 0.2}
        settings = with_changes(tree, {"training.schedule": schedule, "training.max_epochs": 6})
        with caplog.at_level(logging.INFO, "nmt"):
            run_dir = run(settings, tmp_path / "run")
        assert rates(run_dir) == [1.0, 1.0, 0.5, 0.25, 0.2, 0.2]
        # Said when it happens, and not when nothing is left to cut.
        assert [line.split()[-1] for line in caplog.text.splitlines() if "learning rate cut to" in line] == [
            "1.00e-02", "5.00e-03", "4.00e-03",
        ]  # fmt: skip

    def test_waits_for_the_direction_that_is_asked_for(self, script, tree, tmp_path):
        script.bleu = RISING[::-1]
        changes = {"schedule": PLATEAU, "bidirectional_epochs": 3, "max_epochs": 6}
        settings = with_changes(tree, {f"training.{name}": value for name, value in changes.items()})
        assert rates(run(settings, tmp_path / "run")) == [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]

    def test_is_no_part_of_the_other_schedules(self, script, tree, tmp_path):
        script.bleu = RISING[::-1]
        assert rates(run(with_changes(tree, {"training.max_epochs": 8}), tmp_path / "run")) == [1.0] * 8

    def test_waits_beside_early_stopping(self, script, tree, tmp_path):
        """A cut does not reset the patience of the stop."""
        script.bleu = RISING[::-1]
        settings = with_changes(tree, {"training.schedule": PLATEAU, "training.early_stopping_patience": 3})
        run_dir = run(settings, tmp_path / "run")
        assert rates(run_dir) == [1.0, 1.0, 1.0, 0.5]


class TestValidation:
    def test_translates_at_the_interval_and_at_the_end(self, script, tree, tmp_path, caplog):
        changes = {"training.validate_every_epochs": 3, "training.max_epochs": 4, "training.num_sample_sentences": 2}
        with caplog.at_level(logging.INFO, "nmt"):
            run_dir = run(with_changes(tree, changes), tmp_path / "run")
        assert script.validated == [False, False, True, True]
        assert ["bleu" in entry for entry in run_dir.metrics.read()] == [False, False, True, True]
        assert [entry["validation_loss"] for entry in run_dir.metrics.read()] == script.loss[:4]
        assert caplog.text.count("  translation <") == 2 * 2

    def test_by_loss_every_epoch_is_judged(self, script, tree, tmp_path):
        script.loss = [3.0, 1.0, 2.0, 4.0, 5.0]
        changes = {"metric": "loss", "validate_every_epochs": 10, "early_stopping_patience": 2}
        changes = {f"training.{name}": value for name, value in changes.items()}
        run_dir = run(with_changes(tree, changes), tmp_path / "run")
        assert epochs_of(run_dir) == [1, 2, 3, 4]
        assert best_update(run_dir) == 8

    def test_blank_dev_pairs_are_left_out_and_counted(self, script, tree, tmp_path, caplog):
        dev = tmp_path / "dev.tsv"
        dev.write_text("one\tun\n \tdeux\nred\t\nblue\tbleu\n")
        changes = {"data.dev": {"type": "tsv", "path": str(dev)}, "training.max_epochs": 1}
        with caplog.at_level(logging.INFO, "nmt"):
            run(with_changes(tree, {**changes, "training.num_sample_sentences": 50}), tmp_path / "run")
        assert "dev corpora: left out 2 pairs with a blank side" in caplog.text
        assert caplog.text.count("  translation <") == 2

    def test_samples_are_harmless_on_a_terminal(self, script, tree, tmp_path, caplog):
        dev = tmp_path / "dev.tsv"
        dev.write_text("one \x1b[31m\tun\n")
        changes = {"data.dev": {"type": "tsv", "path": str(dev)}, "training.max_epochs": 1}
        with caplog.at_level(logging.INFO, "nmt"):
            run(with_changes(tree, changes), tmp_path / "run")
        assert "source      one \\x1b[31m" in caplog.text
        assert "\x1b" not in caplog.text


class TestResume:
    def test_more_epochs_than_were_asked_for(self, script, tree, tmp_path):
        """Two epochs, then on to four, are four. The bug: a run that had reached its end could not go on."""
        run_dir = run(with_changes(tree, {"training.max_epochs": 2}), tmp_path / "run")
        run(with_changes(tree, {"training.max_epochs": 4}), tmp_path / "run", resume=True)
        straight = run(with_changes(tree, {"training.max_epochs": 4}), tmp_path / "straight")
        tiny_run.assert_same_run(run_dir, straight)
        assert script.num_calls == 2 * 4 * NUM_BATCHES

    def test_patience_and_cuts_go_on(self, script, tree, tmp_path):
        """Interrupted at any epoch, a run with a plateau and an end by patience stays the same."""
        script.bleu = [5.0, 4.0, 4.0, 6.0, 5.0, 5.0, 5.0, 5.0]
        changes = {"training.schedule": PLATEAU, "training.early_stopping_patience": 3}
        straight = run(with_changes(tree, changes), tmp_path / "straight")
        assert epochs_of(straight) == list(range(1, 8))
        for epoch in (2, 3, 5):
            folder = tmp_path / f"until-{epoch}"
            run(with_changes(tree, {**changes, "training.max_epochs": epoch}), folder)
            tiny_run.assert_same_run(run(with_changes(tree, changes), folder, resume=True), straight)

    @pytest.mark.parametrize(("module", "function"), [(run_module, "validate"), (best_models, "save")])
    def test_a_stop_inside_an_epochs_end(self, module, function, script, tree, tmp_path, monkeypatch):
        """Whichever step is interrupted, the epoch is done once more and stands in the metrics once."""
        settings = with_changes(tree, {"training.max_epochs": 4})
        original, num_calls = getattr(module, function), 0

        def interrupted(*args, **kwargs):
            nonlocal num_calls
            num_calls += 1
            if num_calls == 3:
                raise KeyboardInterrupt
            return original(*args, **kwargs)

        monkeypatch.setattr(module, function, interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(settings, tmp_path / "run")
        monkeypatch.setattr(module, function, original)
        resumed = run(settings, tmp_path / "run", resume=True)
        tiny_run.assert_same_run(resumed, run(settings, tmp_path / "straight"))
        assert epochs_of(resumed) == [1, 2, 3, 4]

    def test_before_the_first_checkpoint(self, script, tree, tmp_path, monkeypatch, caplog):
        """It begins again, with a word about it."""
        settings = with_changes(tree, {"training.max_epochs": 2})

        def interrupt(*_, **__):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(state, "save_checkpoint", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run(settings, tmp_path / "run")
        run_dir = run(settings, tmp_path / "run", resume=True)
        assert "no checkpoint in" in caplog.text
        tiny_run.assert_same_run(run_dir, run(settings, tmp_path / "straight"))

    @pytest.mark.parametrize("is_joint", [True, False])
    def test_before_the_tokenizer_was_written(self, is_joint, script, tree, tmp_path):
        """The bug: such a run could be resumed by nothing but --replace."""
        settings = with_changes(
            tree, {"training.max_epochs": 1, "tokenizer.joint": is_joint, "model.tied_embeddings": "none"}
        )
        run_dir = run(settings, tmp_path / "run")
        straight = run(settings, tmp_path / "straight")
        (run_dir.tokenizer / ("joint.spm" if is_joint else "target.spm")).unlink()
        for checkpoint in run_dir.checkpoints.iterdir():
            for file in checkpoint.iterdir():
                file.unlink()
            checkpoint.rmdir()
        tiny_run.assert_same_run(run(settings, tmp_path / "run", resume=True), straight)

    def test_the_tokenizer_there_is_kept(self, script, tree, tmp_path):
        """Also where training it once more would give another: the model belongs to it."""
        settings = with_changes(tree, {"training.max_epochs": 1})
        run_dir = run(settings, tmp_path / "run")
        before = (run_dir.tokenizer / "joint.spm").read_bytes()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(preparation, "train_tokenizer", None)
            run(with_changes(tree, {"training.max_epochs": 2}), tmp_path / "run", resume=True)
        assert (run_dir.tokenizer / "joint.spm").read_bytes() == before
        assert epochs_of(run_dir) == [1, 2]

    def test_a_damaged_tokenizer_is_named(self, script, tree, tmp_path):
        run_dir = run(with_changes(tree, {"training.max_epochs": 1}), tmp_path / "run")
        (run_dir.tokenizer / "joint.spm").write_bytes(b"nonsense")
        with pytest.raises(TokenizerError, match=r"joint\.spm"):
            run(with_changes(tree, {"training.max_epochs": 2}), tmp_path / "run", resume=True)


def checkpoints(run_dir):
    return sorted(path.name for path in run_dir.checkpoints.iterdir())


def test_as_many_checkpoints_as_asked_for(script, tree, tmp_path):
    run_dir = run(with_changes(tree, {"training.keep_checkpoints": 3, "training.max_epochs": 5}), tmp_path / "run")
    assert checkpoints(run_dir) == ["update-00000012", "update-00000016", "update-00000020"]


def test_tensorboard_is_told_where_it_is_installed(script, tree, tmp_path, monkeypatch):
    """It gets the folder, and all that the metrics have."""
    told = []

    class Recorder:
        def __init__(self, folder):
            told.append(folder)

        def add_scalar(self, name, value, step):
            told.append((name, value, step))

        def flush(self):
            pass

    monkeypatch.setattr(records.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(records.importlib, "import_module", lambda name: SimpleNamespace(Writer=Recorder))
    run_dir = run(with_changes(tree, {"training.max_epochs": 1}), tmp_path / "run")
    assert told[0] == str(run_dir.tensorboard)
    [record] = run_dir.metrics.read()
    assert {name: value for name, value, step in told[1:] if step == 1} == record


def test_metrics_stay_json_where_a_number_is_not(script, tree, tmp_path):
    """A perplexity that no float holds is null."""
    script.loss = [1000.0]
    run_dir = run(with_changes(tree, {"training.max_epochs": 1}), tmp_path / "run")
    [line] = run_dir.metrics.path.read_text().splitlines()
    assert json.loads(line)["validation_perplexity"] is None


def test_one_vocabulary_is_one_tokenizer(script, tree, tmp_path):
    run_dir = run(with_changes(tree, {"training.max_epochs": 1}), tmp_path / "run")
    joint = Tokenizer.from_file(run_dir.tokenizer / "joint.spm")
    assert joint.decode(joint.encode(["two red cats", "deux chats rouge"])) == ["two red cats", "deux chats rouge"]
