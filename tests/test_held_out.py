"""Evaluation on held-out text: what is refused before a model is loaded, and what is written."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nmt import held_out
from nmt.errors import CorpusError, FileError, InputError
from nmt.evaluation.report import Report
from nmt.text import phrasebook
from tests.fake_translator import FakeTranslator

SOURCES = "a small dog runs\ntwo cats sleep\n\nthe end\n"
REFERENCES = "A SMALL DOG RUNS\nTWO CATS SIT\n\nTHE END\n"


@pytest.fixture
def text(tmp_path: Path) -> held_out.Text:
    (tmp_path / "source").write_text(SOURCES)
    (tmp_path / "reference").write_text(REFERENCES)
    return held_out.Text(tmp_path / "source", tmp_path / "reference")


def evaluate(
    text: held_out.Text,
    systems: held_out.Systems | None = None,
    outputs: held_out.Outputs | None = None,
    translator: FakeTranslator | None = None,
    **scoring: Any,
) -> Report:
    return held_out.evaluate(
        text,
        systems or held_out.Systems(Path("model")),
        outputs or held_out.Outputs(),
        load=lambda _: translator or FakeTranslator(),  # type: ignore[arg-type, return-value]
        scoring=scoring,
        options={"beam_size": 3},
    )


def no_model(_: Path) -> Any:
    pytest.fail("a model was loaded before everything was checked")


def refused(text: held_out.Text, systems: held_out.Systems | None = None, **scoring: Any) -> None:
    held_out.evaluate(
        text,
        systems or held_out.Systems(Path("model")),
        held_out.Outputs(),
        load=no_model,
        scoring=scoring,
        options={},
    )


def test_the_figures_are_those_of_sacrebleu_on_the_saved_files(text: held_out.Text, tmp_path: Path) -> None:
    outputs = held_out.Outputs(tmp_path / "out", tmp_path / "ref", tmp_path / "report.json")
    report = evaluate(text, outputs=outputs, metrics=["bleu"], num_resamples=0)
    assert (tmp_path / "out").read_text() == SOURCES.upper()
    assert (tmp_path / "ref").read_text() == REFERENCES
    words = [word for word in shlex.split(report.command) if "=" not in word]
    assert words[0] == "sacrebleu"
    command = [sys.executable, "-m", *words, "-b", "--force"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert f"{report.scores[0].score:.2f}" == shown.strip()
    assert json.loads((tmp_path / "report.json").read_text())["scores"][0]["score"] == report.scores[0].score
    assert not [note for note in report.notes if "stands for" in note]


def test_names_that_are_no_files_are_explained(text: held_out.Text) -> None:
    report = evaluate(text, held_out.Systems(Path("ours"), baseline=Path("theirs")), num_resamples=40)
    assert f"sacrebleu {text.reference} -i BASELINE HYPOTHESES" in report.command
    assert "HYPOTHESES stands for the translations by ours: save them with --output FILE." in report.notes
    assert "BASELINE stands for the translations by theirs: nmt translate makes them." in report.notes


def test_a_baseline_is_compared(text: held_out.Text, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("A DOG\nTWO CATS SIT\n\nEND\n")
    systems = held_out.Systems(Path("ours"), baseline_file=tmp_path / "theirs")
    report = evaluate(text, systems, metrics=["chrf"], num_resamples=40)
    assert report.comparisons is not None
    assert report.comparisons[0].difference > 0
    assert report.baseline == str(tmp_path / "theirs")


def test_the_search_gets_its_options(text: held_out.Text) -> None:
    translator = FakeTranslator()
    evaluate(text, translator=translator, num_resamples=0)
    assert translator.calls[0][1]["beam_size"] == 3
    assert translator.calls[0][0] == SOURCES.splitlines()


@pytest.mark.parametrize("scoring", [{"metrics": ["bleo"]}, {"tokenize": "14a"}, {"metrics": ["bleu", "bleu"]}])
def test_a_wrong_option_of_scoring_is_refused_at_once(text: held_out.Text, scoring: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        refused(text, **scoring)


def test_a_baseline_needs_resamples_and_is_one(text: held_out.Text) -> None:
    with pytest.raises(InputError, match="paired test needs resamples"):
        refused(text, held_out.Systems(Path("ours"), baseline=Path("theirs")), num_resamples=0)
    with pytest.raises(InputError, match="one baseline at a time"):
        refused(text, held_out.Systems(Path("ours"), Path("theirs"), Path("file")))


def test_the_text_is_named_once(text: held_out.Text, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Received: none of them"):
        refused(held_out.Text())
    with pytest.raises(InputError, match="Received: --source\\."):
        refused(held_out.Text(source=text.source))
    with pytest.raises(InputError, match="Received: --source and --reference and --config"):
        refused(held_out.Text(text.source, text.reference, tmp_path / "config.yaml"))


def test_lines_must_belong_together(text: held_out.Text, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("one\n")
    with pytest.raises(CorpusError, match="4 and 1 lines"):
        refused(held_out.Text(text.source, short))
    with pytest.raises(InputError, match=r"short: must hold one translation.*1 translations of 4 lines"):
        refused(text, held_out.Systems(Path("ours"), baseline_file=short))
    short.write_text("")
    with pytest.raises(CorpusError, match="both are empty"):
        refused(held_out.Text(short, short))


def test_a_mistake_leaves_no_file(text: held_out.Text, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    outputs = held_out.Outputs(tmp_path / "out", tmp_path / "ref", tmp_path / "nowhere" / "report.json")
    with pytest.raises(FileError, match="nowhere"):
        evaluate(text, outputs=outputs)
    assert sorted(tmp_path.iterdir()) == before


CONFIG = """
source_language: en
target_language: fr
data:
  train: {type: phrasebook, num_pairs: 5}
  dev: {type: phrasebook, split: dev, num_pairs: 3}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_a_split_of_a_configuration(config: Path, tmp_path: Path) -> None:
    outputs = held_out.Outputs(references=tmp_path / "ref")
    translator = FakeTranslator()
    report = evaluate(
        held_out.Text(config=config, split="dev"), outputs=outputs, translator=translator, num_resamples=0
    )
    pairs = phrasebook.generate("dev", 3)
    assert translator.calls[0][0] == [pair.source for pair in pairs]
    assert (tmp_path / "ref").read_text().splitlines() == [pair.target for pair in pairs]
    assert report.reference == str(tmp_path / "ref")
    unsaved = evaluate(held_out.Text(config=config, split="dev"), num_resamples=0)
    assert "REFERENCE stands for the references: save them with --reference-output FILE." in unsaved.notes


def test_the_only_file_of_a_split_is_named(text: held_out.Text, config: Path) -> None:
    test = f"  test: {{type: files, source: {text.source}, target: {text.reference}}}\n"
    config.write_text(CONFIG + test)
    report = evaluate(held_out.Text(config=config), num_resamples=0)
    assert report.reference == str(text.reference)


def test_a_split_that_is_not_there(config: Path) -> None:
    with pytest.raises(InputError, match=r"names no data\.test"):
        refused(held_out.Text(config=config))


def test_the_languages_must_be_those_of_the_model(config: Path) -> None:
    with pytest.raises(InputError, match=r"fr to en\. Received: en to fr"):
        evaluate(held_out.Text(config=config, split="dev"), translator=FakeTranslator("fr", "en"), num_resamples=0)


def test_what_was_odd_is_in_the_report(text: held_out.Text) -> None:
    assert text.source is not None
    text.source.write_text("a loop\ntwo loops\n\nagain\n")
    report = evaluate(text, held_out.Systems(Path("ours"), Path("theirs")), metrics=["bleu"])
    told = [note for note in report.notes if note.startswith(("ours: ", "theirs: "))]
    one_each = [
        "1 output repeated itself, and the next best one that does not stands in its place.",
        "2 outputs repeat themselves, and no other hypotheses of their lines were better.",
    ]
    assert told == [f"{name}: {message}" for name in ("ours", "theirs") for message in one_each]
    assert all(note in report.to_text() for note in told)
