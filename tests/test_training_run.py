"""The folder of a run: made, resumed with what it began with or an allowed change, and gone if nothing came of it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import ClassVar

import pytest

from nmt import console, training_run
from nmt.config import Config, dump, load, validate
from nmt.errors import ConfigError, CorpusError, InputError, RunDirectoryError, TrainingError
from nmt.run_dir import RunDirectory, is_run_directory


def settings(**training: object) -> Config:
    phrasebook = {"type": "phrasebook", "num_pairs": 5}
    tree = {"source_language": "en", "target_language": "fr", "data": {"train": phrasebook, "dev": phrasebook}}
    return validate({**tree, "training": training}, "test")


def start(path: Path, *, replace: bool = False) -> None:
    with training_run.opened(path, settings(), "tensorflow", resume=False, replace=replace) as run:
        (run.checkpoints / "update-00000001").mkdir()
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


def test_the_log_of_a_run_begins_with_what_was_told_before(tmp_path: Path) -> None:
    logger = logging.getLogger("nmt.test")
    with console.log_kept() as told:
        logger.warning("earlier")
    logger.warning("in between")
    with training_run.opened(tmp_path / "run", settings(), "jax", resume=False, replace=False, told=told):
        logger.warning("later")
    lines = (tmp_path / "run" / "train.log").read_text().splitlines()
    assert [line[20:] for line in lines] == ["WARNING earlier", "WARNING later"]


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


@pytest.mark.parametrize("kept", ["checkpoints/update-00000001", "best"])
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
    assert training_run.check(tmp_path / "run", settings(), resume=True, replace=False) == settings()
    caplog.clear()
    with training_run.opened(tmp_path / "run", settings(), "tensorflow", resume=True, replace=False) as run:
        assert run.path == tmp_path / "run"
    assert caplog.messages == []


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


def test_resume_takes_from_the_run_what_is_left_open(tmp_path: Path) -> None:
    start(tmp_path / "run")
    tree = settings().model_dump(exclude_unset=True)
    auto = validate({**tree, "model": "auto", "training": {"precision": "auto"}}, "test")
    assert training_run.check(tmp_path / "run", auto, resume=True, replace=False) == settings()
    # What is given is compared, and so is what a recipe does not choose.
    given = validate({**tree, "recipe": "auto", "seed": 3, "model": {"dropout_rate": 0.7}}, "test")
    with pytest.raises(ConfigError, match="2 keys differ") as caught:
        training_run.check(tmp_path / "run", given, resume=True, replace=False)
    assert "  model.dropout_rate: the run has 0.3. Received: 0.7" in str(caught.value)
    assert "  seed: the run has 1. Received: 3" in str(caught.value)
    assert training_run.check(tmp_path / "new", auto, resume=False, replace=False) == auto


def test_a_resumed_run_may_have_a_schedule_without_what_was_chosen(tmp_path: Path) -> None:
    """The bug: `decay_updates`, which the recipe had chosen, was carried over to a plateau and refused there."""
    begun = settings(schedule={"decay_updates": 3100})
    with training_run.opened(tmp_path / "run", begun, "tensorflow", resume=False, replace=False):
        pass
    tree = {**settings().model_dump(exclude_unset=True), "recipe": "auto"}
    plateau = validate({**tree, "training": {"schedule": {"type": "plateau"}}}, "test")
    allowed = ["training.schedule"]
    going_on = training_run.check(tmp_path / "run", plateau, resume=True, replace=False, allow_changed=allowed)
    assert going_on.training.schedule == plateau.training.schedule


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


def go_on(path: Path, changed: Config | None = None, *allow_changed: str, backend: str = "tensorflow") -> RunDirectory:
    """Resumes as the command does, with the changes that are allowed, and as the trainer accepts them."""
    new = changed or settings()
    new = training_run.check(path, new, resume=True, replace=False, allow_changed=allow_changed)
    opened = training_run.opened(path, new, backend, resume=True, replace=False, allow_changed=allow_changed)
    with opened as run:
        now = {**training_run.library_versions(), "backend": backend}
        run.update_settings(config_yaml=dump(new), versions=now)
        return run


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The versions that are installed, which a test may change."""
    installed = {"nmt": "1.0", "python": "3.11.7", "platform": "Linux", "cores": "2", "keras": "3.15.1"}
    installed |= {"sacrebleu": "2.6.0", "datasets": "4.8.2"}
    monkeypatch.setattr(training_run, "library_versions", lambda: dict(installed))
    return installed


class TestAllowChanged:
    CHANGED: ClassVar[dict[str, object]] = {"max_epochs": 7, "schedule": {"type": "cosine"}}

    def test_the_remedy_in_the_message_works(self, tmp_path: Path) -> None:
        start(tmp_path / "run")
        changed = settings(**self.CHANGED)
        with pytest.raises(ConfigError) as caught:
            go_on(tmp_path / "run", changed)
        words = str(caught.value).splitlines()[-1].partition("all the same: ")[2].split()
        assert words[::2] == ["--allow-changed"] * 2
        assert sorted(words[1::2]) == ["training.max_epochs", "training.schedule.type"]
        go_on(tmp_path / "run", changed, *words[1::2])

    @pytest.mark.parametrize(
        "names", [["training"], ["training.schedule", "training.max_epochs"], ["training.schedule.type", "training"]]
    )
    def test_a_section_stands_for_its_keys(self, tmp_path: Path, names: list[str]) -> None:
        start(tmp_path / "run")
        go_on(tmp_path / "run", settings(**self.CHANGED), *names)

    @pytest.mark.parametrize("names", [["training.schedule"], ["model"], ["training.max_updates"], ["corpus"]])
    def test_what_is_not_named_is_refused(self, tmp_path: Path, names: list[str]) -> None:
        start(tmp_path / "run")
        with pytest.raises(ConfigError, match=r"training\.max_epochs: the run has 30\. Received: 7"):
            go_on(tmp_path / "run", settings(**self.CHANGED), *names)
        assert "max_epochs: 30" in (tmp_path / "run" / "config.yaml").read_text()

    def test_the_run_has_the_new_configuration(self, tmp_path: Path) -> None:
        start(tmp_path / "run")
        run = go_on(tmp_path / "run", settings(max_epochs=7), "training.max_epochs")
        assert load(run.config_path).training.max_epochs == 7
        go_on(tmp_path / "run", settings(max_epochs=7))  # from now on nothing has changed
        with pytest.raises(ConfigError, match=r"the run has 7\. Received: 30"):
            go_on(tmp_path / "run")

    @pytest.mark.parametrize(
        ("name", "hint"),
        [("training.max_epoch", "`training.max_epochs`"), ("corpora", "`corpus`"), ("kers", "`keras`")],
    )
    def test_a_name_that_stands_for_nothing(self, tmp_path: Path, name: str, hint: str) -> None:
        start(tmp_path / "run")
        with pytest.raises(InputError, match=f"--allow-changed {name}: nothing has this name") as caught:
            go_on(tmp_path / "run", None, name)
        assert f"Did you mean {hint}?" in str(caught.value)

    @pytest.mark.parametrize("name", ["corpus", "tokenizer", "backend", "keras", "data", "data.dev", "seed"])
    def test_what_may_be_named(self, tmp_path: Path, name: str) -> None:
        start(tmp_path / "run")
        go_on(tmp_path / "run", None, name)

    def test_is_for_a_run_that_goes_on(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"is for a run that goes on\. Received: no --resume\. Add it"):
            training_run.check(tmp_path / "run", settings(), resume=False, replace=False, allow_changed=["seed"])


@pytest.mark.usefixtures("versions")
class TestVersions:
    def test_others_are_refused_by_name_with_the_remedy(self, tmp_path: Path, versions: dict[str, str]) -> None:
        start(tmp_path / "run")
        versions |= {"keras": "3.16.0", "nmt": "1.1", "platform": "Darwin"}
        with pytest.raises(RunDirectoryError) as caught:
            go_on(tmp_path / "run")
        assert str(caught.value).splitlines() == [
            f"{tmp_path}/run: a run goes on with the versions that it began with",
            "  nmt: the run has 1.0. Received: 1.1",
            "  keras: the run has 3.15.1. Received: 3.16.0",
            "Install those, or go on all the same, if not bit for bit: --allow-changed nmt --allow-changed keras",
        ]
        with pytest.raises(RunDirectoryError, match=r"keras: the run has") as caught:
            go_on(tmp_path / "run", None, "nmt")
        assert "  nmt:" not in str(caught.value)
        assert json.loads((tmp_path / "run" / "versions.json").read_text())["keras"] == "3.15.1"

    def test_those_that_are_named_are_taken_and_written_down(
        self, tmp_path: Path, versions: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        start(tmp_path / "run")
        versions |= {"keras": "3.16.0"}
        run = go_on(tmp_path / "run", None, "keras")
        message = "the run goes on with other versions than it began with: keras 3.15.1 -> 3.16.0"
        assert caplog.messages[-1] == message
        assert message in (tmp_path / "run" / "train.log").read_text()
        assert run.versions() == {**versions, "backend": "tensorflow"}
        caplog.clear()
        go_on(tmp_path / "run")
        assert caplog.messages == []

    @pytest.mark.parametrize("name", ["platform", "cores", "sacrebleu", "datasets"])
    def test_some_are_told_alone(
        self, tmp_path: Path, versions: dict[str, str], name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        start(tmp_path / "run")
        before = versions[name]
        versions[name] = "9"
        run = go_on(tmp_path / "run")
        assert caplog.messages[-1].endswith(f"than it began with: {name} {before} -> 9")
        assert run.versions()[name] == "9"

    def test_another_backend_is_refused(self, tmp_path: Path) -> None:
        start(tmp_path / "run")
        with pytest.raises(RunDirectoryError, match=r"backend: the run has tensorflow\. Received: jax") as caught:
            go_on(tmp_path / "run", backend="jax")
        assert str(caught.value).endswith("--allow-changed backend")
        assert go_on(tmp_path / "run", None, "backend", backend="jax").versions()["backend"] == "jax"

    def test_of_a_package_that_the_run_does_not_know_are_no_change(
        self, tmp_path: Path, versions: dict[str, str]
    ) -> None:
        """Such as one that this version of nmt is the first to write down."""
        start(tmp_path / "run")
        versions["jax"] = "0.9"
        assert go_on(tmp_path / "run").versions()["jax"] == "0.9"
