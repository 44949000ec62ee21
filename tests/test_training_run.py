"""The folder of a run: made, resumed with the same configuration alone, and gone if nothing came of it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from nmt import training_run
from nmt.config import Config, validate
from nmt.errors import ConfigError, CorpusError, InputError, RunDirectoryError, TrainingError
from nmt.run_dir import RunDirectory, is_run_directory


def settings(**training: object) -> Config:
    phrasebook = {"type": "phrasebook", "num_pairs": 5}
    tree = {"source_language": "en", "target_language": "fr", "data": {"train": phrasebook, "dev": phrasebook}}
    return validate({**tree, "training": training}, "test")


def start(path: Path, *, replace: bool = False) -> None:
    with training_run.opened(path, settings(), "tensorflow", resume=False, replace=replace) as run:
        (run.checkpoints / "epoch-00001").mkdir()
        logging.getLogger("nmt.test").warning("first\nsecond \x1b[31m")


def test_a_new_run_is_logged_and_keeps_its_versions(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one"
    start(path)
    assert is_run_directory(path)
    assert json.loads((path / "versions.json").read_text())["backend"] == "tensorflow"
    lines = (path / "train.log").read_text().splitlines()
    assert [line[20:] for line in lines] == ["WARNING first", "WARNING second \\x1b[31m"]
    logging.getLogger("nmt.test").warning("after the run")
    assert len((path / "train.log").read_text().splitlines()) == 2


def test_a_run_is_held_while_it_is_written(tmp_path: Path) -> None:
    opened = training_run.opened(tmp_path / "run", settings(), "jax", resume=False, replace=False)
    with opened as run, pytest.raises(RunDirectoryError, match="in use by process"), run.lock():
        pass


def test_an_existing_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    start(tmp_path / "run")
    with pytest.raises(RunDirectoryError, match=r"--resume.*--replace"):
        start(tmp_path / "run")
    (tmp_path / "run" / "old").touch()
    start(tmp_path / "run", replace=True)
    assert not (tmp_path / "run" / "old").exists()


@pytest.mark.parametrize("error", [CorpusError("no such file"), InputError("a batch is too small")])
def test_a_run_that_never_began_leaves_nothing(
    tmp_path: Path, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="nmt")
    with (
        pytest.raises(type(error)),
        training_run.opened(tmp_path / "run", settings(), "jax", resume=False, replace=False),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []
    assert caplog.messages[-1].endswith("run: removed, as it had no checkpoint yet")


@pytest.mark.parametrize("kept", ["checkpoints/epoch-00001", "best"])
def test_a_run_with_something_in_it_stays(tmp_path: Path, kept: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="nmt")

    def interrupted() -> None:
        with training_run.opened(tmp_path / "run", settings(), "jax", resume=False, replace=False) as run:
            (run.path / kept).mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "run" / kept).exists()
    assert ("interrupted; the same command with --resume" in caplog.text) == kept.startswith("checkpoints")


def test_a_run_whose_training_failed_keeps_its_log(tmp_path: Path) -> None:
    with (
        pytest.raises(TrainingError),
        training_run.opened(tmp_path / "run", settings(), "jax", resume=False, replace=False),
    ):
        raise TrainingError("the loss is no number")
    assert is_run_directory(tmp_path / "run")


def test_resume_goes_on_with_the_same_configuration(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    start(tmp_path / "run")
    training_run.check(tmp_path / "run", settings(), resume=True, replace=False)
    with training_run.opened(tmp_path / "run", settings(), "jax", resume=True, replace=False) as run:
        assert run.path == tmp_path / "run"
    message = "the run goes on with other versions than it began with: backend tensorflow -> jax"
    assert caplog.messages[-1] == message
    assert message in (tmp_path / "run" / "train.log").read_text()


def test_resume_names_every_key_that_differs(tmp_path: Path) -> None:
    start(tmp_path / "run")
    changed = settings(max_epochs=7, schedule={"type": "cosine"})
    with pytest.raises(ConfigError) as caught:
        training_run.check(tmp_path / "run", changed, resume=True, replace=False)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("2 keys differ")
    assert sorted(lines[1:-1]) == [
        "  training.max_epochs: the run has 30. Received: 7",
        "  training.schedule.type: the run has 'inverse_sqrt'. Received: 'cosine'",
    ]


def test_resume_tells_of_a_corpus_that_differs(tmp_path: Path) -> None:
    start(tmp_path / "run")
    tree = settings().model_dump()
    tree["data"]["dev"][0]["seed"] = 2
    with pytest.raises(ConfigError, match=r"data\.dev: the run has"):
        training_run.check(tmp_path / "run", validate(tree, "test"), resume=True, replace=False)


def test_a_failed_resume_removes_nothing(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "run", config_yaml="", versions={})
    with (
        pytest.raises(CorpusError),
        training_run.opened(tmp_path / "run", settings(), "jax", resume=True, replace=False),
    ):
        raise CorpusError("no such file")
    assert is_run_directory(tmp_path / "run")


def test_resume_needs_a_run_and_excludes_replace(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no such run directory"):
        training_run.check(tmp_path / "run", settings(), resume=True, replace=False)
    with pytest.raises(InputError, match="Received: both"):
        training_run.check(tmp_path / "run", settings(), resume=True, replace=True)
    training_run.check(tmp_path / "run", settings(), resume=False, replace=True)
