"""What may happen to a run: signals, kills, full disks, numbers that are none, damaged files.

As in the tests of its course, nothing is computed: an update adds 1 to a bias, and takes 1 s.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
from types import SimpleNamespace

import keras
import pytest

from nmt import files, json_lines
from nmt.errors import FileError, RunDirectoryError, TrainingError
from nmt.run_dir import RunDirectory
from nmt.training import memory, records
from nmt.training import run as run_module
from nmt.training.stopping import Stopped
from tests.training import tiny_run
from tests.training.test_trainer_course import (  # noqa: F401  (fixtures)
    NUM_BATCHES,
    best_update,
    checkpoints,
    corpora,
    epochs_of,
    script,
    tree,
)
from tests.training.tiny_run import progress, run, with_changes

FOUR_EPOCHS = {"training.max_epochs": 4}


@pytest.fixture(scope="module")
def straight(corpora, tmp_path_factory):  # noqa: F811
    """Runs that nothing happens to, by their configuration; see `uninterrupted`."""
    return {}


def uninterrupted(straight, script, settings, tmp_path):  # noqa: F811
    """Returns a run of these settings that was not interrupted."""
    key = json.dumps(settings, sort_keys=True)
    if key not in straight:
        on_update, script.on_update = script.on_update, lambda number: None
        straight[key] = run(settings, tmp_path / "straight")
        script.on_update = on_update
    return straight[key]


def send(number, at_update):
    """Returns what sends this process a signal while it makes an update."""
    return lambda update: os.kill(os.getpid(), number) if update == at_update else None


class TestSignals:
    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    @pytest.mark.parametrize("at_update", [1, 6, NUM_BATCHES])
    def test_saves_and_leaves_after_the_update(self, number, status, at_update, straight, script, tree, tmp_path):  # noqa: F811
        settings = with_changes(tree, FOUR_EPOCHS)
        script.on_update = send(number, at_update)
        with pytest.raises(Stopped) as stopped:
            run(settings, tmp_path / "run")
        assert stopped.value.exit_status == status
        run_dir = RunDirectory(tmp_path / "run")
        assert progress(run_dir)["updates"] == script.num_calls == at_update
        script.on_update = lambda number: None
        resumed = run(settings, tmp_path / "run", resume=True)
        assert script.num_calls == 4 * NUM_BATCHES  # no update was made twice
        tiny_run.assert_same_run(resumed, uninterrupted(straight, script, settings, tmp_path))

    @pytest.mark.parametrize("at_update", [2, 6, 8])
    def test_at_the_limit_of_updates(self, at_update, script, tree, tmp_path):  # noqa: F811
        """The bug: the last epoch was never validated, and a run of one epoch left no model, with status 0."""
        settings = with_changes(tree, {"training.max_updates": at_update})
        script.on_update = send(signal.SIGTERM, at_update)
        with pytest.raises(Stopped):
            run(settings, tmp_path / "run")
        script.on_update = lambda number: None
        resumed = run(settings, tmp_path / "run", resume=True)
        assert script.num_calls == at_update
        tiny_run.assert_same_run(resumed, run(settings, tmp_path / "straight"))
        assert [entry["updates"] for entry in resumed.metrics.read()][-1] == at_update

    def test_while_a_save_fails(self, script, tree, tmp_path, monkeypatch):  # noqa: F811
        """The bug: the status was 143 although the state was on no disk. It is tried again, and its failure told."""
        save = run_module.TrainingState.save
        fails = [True, True]

        def failing_save(state):
            if script.num_calls == NUM_BATCHES and fails:
                fails.pop()
                os.kill(os.getpid(), signal.SIGTERM)
                raise FileError("full")
            save(state)

        monkeypatch.setattr(run_module.TrainingState, "save", failing_save)
        with pytest.raises(FileError, match="full"):
            run(tree, tmp_path / "run")
        fails.append(True)
        script.num_calls = 0
        with pytest.raises(Stopped):
            run(tree, tmp_path / "second")
        assert progress(RunDirectory(tmp_path / "second"))["epoch"] == 1

    def test_in_a_validation_at_once(self, straight, script, tree, tmp_path, monkeypatch):  # noqa: F811
        """What the epoch has learnt is saved, and the validation is made again."""
        settings = with_changes(tree, FOUR_EPOCHS)

        def validate(*args, **options):
            if len(script.validated) == 1:
                os.kill(os.getpid(), signal.SIGTERM)
                pytest.fail("a validation went on after the signal")
            return script.validate(*args, **options)

        monkeypatch.setattr(run_module, "validate", validate)
        with pytest.raises(Stopped):
            run(settings, tmp_path / "run")
        run_dir = RunDirectory(tmp_path / "run")
        assert (progress(run_dir)["epoch"], progress(run_dir)["batch"]) == (1, NUM_BATCHES)
        monkeypatch.setattr(run_module, "validate", script.validate)
        resumed = run(settings, tmp_path / "run", resume=True)
        assert script.num_calls == 4 * NUM_BATCHES
        tiny_run.assert_same_run(resumed, uninterrupted(straight, script, settings, tmp_path))

    def test_handlers_are_given_back(self, script, tree, tmp_path):  # noqa: F811
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        run(with_changes(tree, {"training.max_epochs": 1}), tmp_path / "run")
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


class TestKills:
    @pytest.mark.parametrize("at_update", [1, 2, 7, 8, 13])
    def test_costs_at_most_what_was_not_saved(self, at_update, straight, script, tree, tmp_path):  # noqa: F811
        """An end that no one can react to: nothing after it runs but what frees memory."""
        settings = with_changes(tree, {**FOUR_EPOCHS, "training.save_every_minutes": 0.05})  # 3 updates

        class Killed(BaseException):
            pass

        def kill(update):
            if update == at_update:
                raise Killed

        script.on_update = kill
        with pytest.raises(Killed):
            run(settings, tmp_path / "run")
        script.on_update = lambda number: None
        saved = progress(RunDirectory(tmp_path / "run"))["updates"]
        assert at_update - 1 - saved < 3
        resumed = run(settings, tmp_path / "run", resume=True)
        tiny_run.assert_same_run(resumed, uninterrupted(straight, script, settings, tmp_path))

    def test_every_update_can_be_saved(self, script, tree, tmp_path):  # noqa: F811
        changes = {"training.save_every_minutes": 0, "training.keep_checkpoints": 100, "training.max_epochs": 1}
        run_dir = run(with_changes(tree, changes), tmp_path / "run")
        assert checkpoints(run_dir) == [f"update-{number:08d}" for number in range(NUM_BATCHES + 1)]


class TestDamage:
    def test_records_that_are_missing_are_told(self, script, tree, tmp_path, caplog):  # noqa: F811
        """Training needs none of them, but its curves do."""
        run_dir = run(with_changes(tree, {"training.max_epochs": 3}), tmp_path / "run")
        first, _, third = run_dir.metrics.path.read_text().splitlines()
        run_dir.metrics.path.write_text(f"{first}\n{third}\n")
        resumed = run(with_changes(tree, FOUR_EPOCHS), tmp_path / "run", resume=True)
        assert "no record of epoch 2" in caplog.text
        assert epochs_of(resumed) == [1, 3, 4]

    def test_the_one_before_is_used(self, straight, script, tree, tmp_path, caplog):  # noqa: F811
        settings = with_changes(tree, FOUR_EPOCHS)
        run_dir = run(with_changes(tree, {"training.max_epochs": 2}), tmp_path / "run")
        path = tiny_run.last_checkpoint(run_dir) / "state.safetensors"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        resumed = run(settings, tmp_path / "run", resume=True)
        assert str(path) in caplog.text
        tiny_run.assert_same_run(resumed, uninterrupted(straight, script, settings, tmp_path))

    def test_no_valid_one_is_no_new_start(self, script, tree, tmp_path):  # noqa: F811
        run_dir = run(with_changes(tree, {"training.max_epochs": 2}), tmp_path / "run")
        for checkpoint in run_dir.checkpoints.iterdir():
            (checkpoint / "progress.json").unlink()
        before = sorted(run_dir.path.rglob("*"))
        with pytest.raises(RunDirectoryError, match="none of the checkpoints is valid"):
            run(tree, tmp_path / "run", resume=True)
        assert sorted(run_dir.path.rglob("*")) == before


class TestFullDisk:
    @pytest.fixture
    def disk(self, monkeypatch):
        """A disk that is full while `disk.is_full`: nothing can be written or made."""

        class Disk:
            is_full = False

        def refusing(function):
            def call(*args, **options):
                if Disk.is_full:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return function(*args, **options)

            return call

        class FullOS:
            def __getattr__(self, name):
                function = getattr(os, name)
                return refusing(function) if name in ("write", "mkdir") else function

        monkeypatch.setattr(files, "os", FullOS())
        return Disk

    def test_training_goes_on_to_the_next_save(self, disk, straight, script, tree, tmp_path, caplog):  # noqa: F811
        """Full from the 3rd update into the 3rd epoch: two epochs' records and a best model wait in memory."""
        settings = with_changes(tree, FOUR_EPOCHS)

        def fill(update):
            disk.is_full = 3 <= update <= 10

        script.on_update = fill
        run_dir = run(settings, tmp_path / "run")
        assert caplog.text.count("nothing is saved") == 2
        assert str(run_dir.metrics.path) in caplog.text
        assert "No space left on device" in caplog.text
        tiny_run.assert_same_run(run_dir, uninterrupted(straight, script, settings, tmp_path))

    def test_old_files_stay_and_the_end_is_an_error(self, disk, script, tree, tmp_path):  # noqa: F811
        """Nothing is saved after the first epoch; the run stops with an error at its end, not before."""

        def fill(update):
            disk.is_full = update > NUM_BATCHES

        script.on_update = fill
        with pytest.raises(FileError, match="No space left on device"):
            run(with_changes(tree, {"training.max_epochs": 3}), tmp_path / "run")
        run_dir = RunDirectory(tmp_path / "run")
        assert script.num_calls == 3 * NUM_BATCHES
        assert progress(run_dir)["epoch"] == 1
        assert best_update(run_dir) == NUM_BATCHES
        assert epochs_of(run_dir) == [1]
        disk.is_full = False
        script.on_update = lambda number: None
        assert epochs_of(run(with_changes(tree, {"training.max_epochs": 3}), tmp_path / "run", resume=True)) == [
            1,
            2,
            3,
        ]

    def test_the_end_is_decided_once(self, disk, script, tree, tmp_path, caplog):  # noqa: F811
        """The bug: the clock, asked again after a save that had failed, ended the run with status 0 and nothing saved.

        Epoch 1 ends at 64 s of at most 66, and its save takes 10: one more epoch is begun, and its end is the last.
        """
        script.seconds_per_validation = 60.0
        save = run_module.Saver.save

        def slow_save(saver, **options):
            script.seconds += 10.0 if script.num_calls == NUM_BATCHES else 0.0
            save(saver, **options)

        def fill(update):
            disk.is_full = update == NUM_BATCHES

        script.on_update = fill
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_module.Saver, "save", slow_save)
            run_dir = run(with_changes(tree, {"training.max_minutes": 1.1}), tmp_path / "run")
        assert caplog.text.count("nothing is saved") == 1
        assert [(entry["epoch"], entry["updates"]) for entry in run_dir.metrics.read()] == [(1, 4), (2, 5)]
        assert progress(run_dir)["epoch"] == 2

    def test_tensorboard_ends_alone(self, script, tree, tmp_path, monkeypatch, caplog):  # noqa: F811
        class Full:
            def __init__(self, folder):
                pass

            def add_scalar(self, *_):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(records.importlib.util, "find_spec", lambda name: object())
        monkeypatch.setattr(records.importlib, "import_module", lambda name: SimpleNamespace(Writer=Full))
        run_dir = run(with_changes(tree, {"training.max_epochs": 2}), tmp_path / "run")
        assert caplog.text.count("TensorBoard's files can't be written") == 1
        assert epochs_of(run_dir) == [1, 2]


class TestBrokenNumbers:
    def test_one_is_left_out_counted_and_named(self, script, tree, corpora, tmp_path, caplog):  # noqa: F811
        script.broken = {2}
        run_dir = run(with_changes(tree, {"training.max_epochs": 1}), tmp_path / "run")
        assert best_update(run_dir) == NUM_BATCHES - 1
        assert progress(run_dir)["num_skipped"] == 1
        [entry] = run_dir.metrics.read()
        assert (entry["updates"], entry["skipped_updates"]) == (NUM_BATCHES - 1, 1)
        assert (entry["loss"], entry["perplexity"]) == (3.0, pytest.approx(7.389, abs=1e-3))
        [record] = run_dir.skipped.read()
        assert (record["epoch"], record["after_update"], record["loss"], record["gradient_norm"]) == (
            1,
            1,
            "nan",
            "inf",
        )
        assert record["pairs"] == script.broken_pairs
        num_lines = len((corpora / "train.en").read_text().splitlines())
        assert all(1 <= number <= num_lines for number in record["pairs"])
        assert str(run_dir.skipped.path) in caplog.text

    def test_several_in_a_row_go_back_once(self, script, tree, tmp_path, caplog):  # noqa: F811
        script.broken = {6, 7, 8, 9, 10}  # from the 2nd update of the 2nd epoch on, into the 3rd
        with caplog.at_level(logging.INFO, "nmt"):
            run_dir = run(with_changes(tree, FOUR_EPOCHS), tmp_path / "run")
        assert "going back to update" in caplog.text
        assert epochs_of(run_dir) == [1, 2, 3, 4]
        rates = [entry["learning_rate"] / 0.02 for entry in run_dir.metrics.read()]
        assert rates[0] == pytest.approx(1.0)
        assert rates[-1] == pytest.approx(run_module.ROLLBACK_FACTOR)
        assert progress(run_dir)["num_rollbacks"] == 1
        assert progress(run_dir)["num_skipped"] == 5

    def test_a_plateau_after_it_raises_no_rate(self, script, tree, tmp_path):  # noqa: F811
        """The bug: the rate was below the floor by going back, and a cut took it up to the floor."""
        script.broken, script.bleu = {6, 7, 8, 9, 10}, [9.0, 8.0, 7.0, 6.0]
        schedule = {"type": "plateau", "warmup_updates": 0, "patience": 1, "floor": 0.8}
        run_dir = run(with_changes(tree, {**FOUR_EPOCHS, "training.schedule": schedule}), tmp_path / "run")
        rates = [entry["learning_rate"] / 0.02 for entry in run_dir.metrics.read()]
        assert rates == pytest.approx([1.0, 0.5, 0.5, 0.5])

    def test_the_second_time_is_the_end(self, script, tree, tmp_path):  # noqa: F811
        """The state of before is the newest: what is saved is what the weights were before it went wrong."""
        script.broken = set(range(6, 100))
        with pytest.raises(TrainingError, match=r"5 updates in a row.*lower training\.learning_rate") as error:
            run(tree, tmp_path / "run")
        assert error.value.exit_status == 3
        assert script.num_calls == 5 + 2 * run_module.MAX_SKIPPED_IN_ROW
        run_dir = RunDirectory(tmp_path / "run")
        assert progress(run_dir)["updates"] == NUM_BATCHES  # a checkpoint of the bad stretch has gone
        [bias] = [
            array
            for name, array in tiny_run.weights(tiny_run.last_checkpoint(run_dir)).items()
            if name.endswith("readout/output_bias")
        ]
        assert bias[0] == NUM_BATCHES

    @pytest.mark.parametrize("keep", [1, 2])
    def test_goes_back_to_what_was_before_the_bad_stretch(self, keep, script, tree, tmp_path):  # noqa: F811
        """Here a whole epoch is bad, and ends: it is neither saved under the number of the sound one nor in its place.

        The bug: it was, and counted as done after going back.
        """
        script.broken = {5, 6, 7, 8, 9}
        changes = {"training.keep_checkpoints": keep, "training.max_epochs": 3}
        run_dir = run(with_changes(tree, changes), tmp_path / "run")
        assert [(entry["epoch"], entry["updates"]) for entry in run_dir.metrics.read()] == [(1, 4), (2, 8), (3, 12)]

    def test_a_better_model_stays_the_best(self, script, tree, tmp_path, monkeypatch):  # noqa: F811
        """The bug: after going back a worse one took its place. The 2nd epoch ends within the bad stretch."""
        validated = iter([10.0, 30.0, 20.0, 21.0])
        validate = script.validate

        def scripted(*args, **options):
            script.bleu = [next(validated)] * 10
            return validate(*args, **options)

        monkeypatch.setattr(run_module, "validate", scripted)
        script.broken = {6, 7, 8, 9, 10}
        run_dir = run(with_changes(tree, {"training.max_epochs": 3}), tmp_path / "run")
        assert progress(run_dir)["best_value"] == 30.0
        assert best_update(run_dir) == 5
        assert [entry["bleu"] for entry in run_dir.metrics.read()] == [10.0, 20.0, 21.0]

    def test_goes_back_on_a_full_disk(self, script, tree, tmp_path, monkeypatch, caplog):  # noqa: F811
        """The bug: records that had waited stood twice, or the run ended there. Epochs 2 and 3 can't be saved."""
        append, replace = json_lines.JSONLines.append, json_lines.JSONLines.replace

        def refusing(function):
            def call(lines, *args):
                if NUM_BATCHES < script.num_calls <= 4 * NUM_BATCHES and lines.path.name == "metrics.jsonl":
                    raise FileError("full")
                return function(lines, *args)

            return call

        monkeypatch.setattr(json_lines.JSONLines, "append", refusing(append))
        monkeypatch.setattr(json_lines.JSONLines, "replace", refusing(replace))
        script.broken = set(range(3 * NUM_BATCHES, 3 * NUM_BATCHES + 5))
        run_dir = run(with_changes(tree, FOUR_EPOCHS), tmp_path / "run")
        assert "nothing is saved: full" in caplog.text
        assert epochs_of(run_dir) == [1, 2, 3, 4]

    def test_what_is_tried_again_is_named_once(self, script, tree, tmp_path):  # noqa: F811
        """After a kill an update that was left out is left out again; it is one, and has one record."""
        settings = with_changes(tree, {"training.max_epochs": 2})
        script.broken = {2}

        class Killed(BaseException):
            pass

        def kill(update):
            if update == 4:
                raise Killed

        script.on_update = kill
        with pytest.raises(Killed):
            run(settings, tmp_path / "run")
        script.on_update, script.num_calls = (lambda number: None), 0
        resumed = run(settings, tmp_path / "run", resume=True)
        assert len(resumed.skipped.read()) == progress(resumed)["num_skipped"] == 1

    def test_no_checkpoint_is_made_of_a_bad_stretch(self, script, tree, tmp_path):  # noqa: F811
        """Else the run would go back to the place where it had gone wrong."""
        script.broken = {3, 4, 5}
        changes = {"training.save_every_minutes": 0, "training.keep_checkpoints": 100, "training.max_epochs": 1}
        run_dir = run(with_changes(tree, changes), tmp_path / "run")
        assert checkpoints(run_dir) == ["update-00000000", "update-00000001", "update-00000002"]


class TestAccumulation:
    def test_batches_of_an_update(self, script, tree, tmp_path):  # noqa: F811
        """Of four batches three make an update, and the last one of the epoch makes one by itself."""
        changes = {"batching.batches_per_update": 3, "training.max_epochs": 2}
        run_dir = run(with_changes(tree, changes), tmp_path / "run")
        assert script.batches_of_epochs == [3, 1, 3, 1]
        assert [entry["updates"] for entry in run_dir.metrics.read()] == [2, 4]


class TestMemory:
    def test_a_batch_that_does_not_fit_is_worked_on_in_parts(self, script, tree, tmp_path, monkeypatch, caplog):  # noqa: F811
        """Told once, and with the same pairs in each update; a run that goes on keeps the budget."""
        monkeypatch.setattr(memory, "available_bytes", lambda: 150_000)
        script.on_update = send(signal.SIGTERM, 2)
        with pytest.raises(Stopped):
            run(with_changes(tree, FOUR_EPOCHS), tmp_path / "run")
        assert caplog.text.count("are worked on in parts") == 1
        assert script.batches_of_epochs[0] > 1
        budget = tiny_run.memory_budget(RunDirectory(tmp_path / "run"))
        assert 0 < budget < 150_000
        monkeypatch.setattr(memory, "available_bytes", lambda: 10**12)
        caplog.clear()
        script.on_update = lambda number: None
        resumed = run(with_changes(tree, FOUR_EPOCHS), tmp_path / "run", resume=True)
        assert script.batches_of_epochs[-1] > 1
        assert tiny_run.memory_budget(resumed) == budget
        assert "in parts" not in caplog.text

    def test_a_machine_with_less_memory_has_its_own_budget(self, script, tree, tmp_path, monkeypatch, caplog):  # noqa: F811
        monkeypatch.setattr(memory, "available_bytes", lambda: 150_000)
        run(with_changes(tree, {"training.max_epochs": 1}), tmp_path / "run")
        monkeypatch.setattr(memory, "available_bytes", lambda: 100_000)
        caplog.clear()
        resumed = run(with_changes(tree, {"training.max_epochs": 2}), tmp_path / "run", resume=True)
        assert tiny_run.memory_budget(resumed) < 30_000
        assert caplog.text.count("in parts") == 1

    def test_a_model_that_does_not_fit_is_refused_before_it_is_built(self, script, tree, tmp_path, monkeypatch):  # noqa: F811
        monkeypatch.setattr(memory, "available_bytes", lambda: 50_000)
        monkeypatch.setattr(run_module, "build_model", None)
        with pytest.raises(TrainingError, match=r"4,590 parameters.*0\.0 GB of free memory.*smaller model"):
            run(tree, tmp_path / "run")


class TestOtherSources:
    def stopped(self, script, settings, folder):  # noqa: F811
        """Leaves a run that was stopped in its second epoch."""
        script.on_update = send(signal.SIGTERM, NUM_BATCHES + 2)
        with pytest.raises(Stopped):
            run(settings, folder)
        script.on_update = lambda number: None

    def test_another_corpus_is_refused(self, script, tree, corpora, tmp_path):  # noqa: F811
        own = tmp_path / "own"
        shutil.copytree(corpora, own)
        settings = with_changes(tiny_run.tiny_tree(own), {**FOUR_EPOCHS, "training.schedule": {"type": "constant"}})
        self.stopped(script, settings, tmp_path / "run")
        with (own / "train.en").open("a") as english, (own / "train.fr").open("a") as french:
            english.write("one dogs\n")
            french.write("un chiens\n")
        with pytest.raises(RunDirectoryError, match=r"the corpus changed.*--allow-changed corpus"):
            run(settings, tmp_path / "run", resume=True)
        resumed = run(settings, tmp_path / "run", resume=True, allow_changed=["corpus"])
        assert epochs_of(resumed) == [1, 2, 3, 4]
        # The epoch began anew: its first two batches were of the former corpus.
        assert progress(resumed)["updates"] == 2 + 4 * NUM_BATCHES

    def test_a_refused_resume_changes_nothing(self, script, tree, corpora, tmp_path):  # noqa: F811
        """The bug: the new configuration was written before the checkpoint had been seen to be of another model."""
        settings = with_changes(tree, FOUR_EPOCHS)
        self.stopped(script, settings, tmp_path / "run")
        before = (tmp_path / "run" / "config.yaml").read_bytes()
        with pytest.raises(RunDirectoryError, match="made by another model"):
            run(with_changes(settings, {"model.encoder_size": 7}), tmp_path / "run", resume=True)
        assert (tmp_path / "run" / "config.yaml").read_bytes() == before
        longer = with_changes(settings, {"training.max_epochs": 2})
        resumed = run(longer, tmp_path / "run", resume=True)
        assert "max_epochs: 2" in resumed.config_path.read_text()
        assert resumed.versions()["backend"] == keras.backend.backend()

    def test_another_tokenizer_is_refused(self, script, tree, tmp_path):  # noqa: F811
        settings = with_changes(tree, FOUR_EPOCHS)
        self.stopped(script, settings, tmp_path / "run")
        other = run(with_changes(tree, {"tokenizer.model_type": "bpe", "training.max_epochs": 1}), tmp_path / "other")
        shutil.copy(other.tokenizer / "joint.spm", tmp_path / "run" / "tokenizer" / "joint.spm")
        with pytest.raises(RunDirectoryError, match=r"the tokenizer changed.*--allow-changed tokenizer"):
            run(settings, tmp_path / "run", resume=True)
