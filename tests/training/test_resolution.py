"""What is settled before a run begins: chosen from the corpus, told, and kept as plain values."""

from __future__ import annotations

import logging
import re

import pytest

from nmt import recipe, strict_yaml
from nmt.config import Config, dump, load, validate
from nmt.config_keys import leaves
from nmt.corpora import PairStream
from nmt.errors import ConfigError
from nmt.run_dir import RunDirectory
from nmt.training import resolution
from nmt.training.preparation import Pairs, read_pairs
from nmt.training.resolution import resolve
from tests.training import tiny_run
from tests.training.tiny_run import run, tiny_tree, with_changes


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets nothing depend on how fast the machine is: on a busy one, two equal runs chose different precisions."""
    monkeypatch.setattr(resolution, "choose_precision", lambda precision: {"auto": "float32"}.get(precision, precision))
    monkeypatch.setattr(resolution, "operations_per_second", lambda precision: 1e9)
    monkeypatch.setattr(resolution, "has_gpu", lambda: False)


def phrasebook(num_pairs: int = 3000, **sections: object) -> Config:
    train, dev = ({"type": "phrasebook", "split": split, "num_pairs": num_pairs} for split in ("train", "dev"))
    tree = {"source_language": "en", "target_language": "fr", "data": {"train": train, "dev": {**dev, "num_pairs": 20}}}
    return validate({**tree, "model": "auto", **sections}, "test")


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return read_pairs(phrasebook())


def test_choices_reasons_and_estimate_are_told(pairs: Pairs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nmt")
    settings = resolve(phrasebook(batching={"size": 30}, training={"precision": "float32"}), pairs)
    told, warned, estimated = caplog.messages
    head, *lines = told.splitlines()
    assert re.fullmatch(
        r"recipe: auto, from 3,000 pairs, of [\d.]+ and [\d.]+ words a sentence, [\d,]+ and [\d,]+ different words in "
        r"all",
        head,
    )
    assert lines[-1] == "  as given: batching.size, training.precision"
    values = leaves(settings.model_dump())
    chosen = [key for key in recipe.KEYS if key not in ("batching.size", "training.precision")]
    for line, key in zip(lines[:-1], chosen, strict=True):
        plain = str(values[key]).lower() if isinstance(values[key], bool) else str(values[key])
        assert re.fullmatch(rf"  {key}: {re.escape(plain)}  \(.+\)", line)
    assert warned.startswith("recipe: auto: 23,000 words a side, in 3,000 pairs, are too few ")
    assert re.fullmatch(
        r"estimate: [\d.]+ million parameters, up to some [\d.]+ GB of memory; at most some [\d,]+ updates, 100 an "
        r"epoch: .* to .* here; validation comes on top",
        estimated,
    )


def test_nothing_is_left_open(pairs: Pairs) -> None:
    settings = resolve(phrasebook(batching={"size": 30}, training={"max_epochs": 3, "precision": "float32"}), pairs)
    assert (settings.recipe, settings.training.precision) == ("defaults", "float32")
    assert (settings.batching.size, settings.training.max_epochs) == (30, 3)
    assert settings.tokenizer.vocabulary_size != phrasebook().tokenizer.vocabulary_size
    assert resolve(settings, pairs) == settings


def test_without_the_recipe_nothing_changes(pairs: Pairs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nmt")
    settings = phrasebook(model={"decoder_size": 7})
    assert settings.recipe == "defaults"
    assert resolve(settings, pairs) == settings
    assert caplog.messages == []


def test_the_precision_is_chosen_by_the_machine(pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "choose_precision", lambda precision: {"auto": "mixed_bfloat16"}[precision])
    settings = resolve(phrasebook(training={"precision": "auto"}, model={}), pairs)
    assert settings.training.precision == "mixed_bfloat16"


def test_for_a_gpu_all_but_the_time_is_told(
    pairs: Pairs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resolution, "has_gpu", lambda: True)
    caplog.set_level(logging.INFO, "nmt")
    resolve(phrasebook(batching={"size": 30}, training={"precision": "float32"}), pairs)
    assert re.fullmatch(
        r"estimate: [\d.]+ million parameters, up to some [\d.]+ GB of memory; at most some [\d,]+ updates, 100 an "
        r"epoch; how long they take is known for CPUs alone: the display tells after the first updates",
        caplog.messages[-1],
    )


def test_swapped_dev_pairs_are_told(pairs: Pairs, caplog: pytest.LogCaptureFixture) -> None:
    swapped = pairs._replace(dev=[type(pair)(pair.target, pair.source) for pair in pairs.dev])
    resolve(phrasebook(), swapped)
    assert any("dev pairs look swapped" in message for message in caplog.messages)


def test_suspicious_training_pairs_are_told(pairs: Pairs, caplog: pytest.LogCaptureFixture) -> None:
    clean = list(pairs.training)
    swapped = [pair._replace(source=pair.target, target=pair.source) for pair in clean[:300]]
    copied = [pair._replace(target=pair.source) for pair in clean[300:600]]
    training = PairStream([swapped + copied + clean[600:]], max_held=3000)
    resolve(phrasebook(), pairs._replace(training=training))
    assert any("10% of the training pairs look swapped" in message for message in caplog.messages)
    assert any("10% of the pairs look untranslated" in message for message in caplog.messages)


def test_two_vocabularies_are_reason_enough_to_tie_less(pairs: Pairs) -> None:
    settings = phrasebook(tokenizer={"joint": False})
    assert resolve(settings, pairs).model.tied_embeddings == "target"
    assert load_again(settings) == settings


def load_again(settings: Config) -> Config:
    return validate(strict_yaml.parse(dump(settings)), "again")


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs one joint vocabulary"):
        phrasebook(tokenizer={"joint": False}, recipe="auto", model={"tied_embeddings": "all"})


def test_a_run_has_plain_values_and_goes_on_with_them(tmp_path) -> None:
    tiny_run.write_corpora(tmp_path)
    tree = with_changes(tiny_tree(tmp_path), {"recipe": "auto", "training.max_epochs": 2})
    whole = run(tree, tmp_path / "whole")
    settings = load(whole.config_path)
    assert settings.recipe == "defaults"
    assert (settings.model.embedding_size, settings.model.dropout_rate) == (8, 0.2)  # as given
    assert settings.training.ema_decay is not None
    with pytest.MonkeyPatch.context() as monkeypatch:
        tiny_run.interrupt_after(monkeypatch, 1)
        with pytest.raises(KeyboardInterrupt):
            run(tree, tmp_path / "parts")
    assert RunDirectory.open(tmp_path / "parts").config_path.read_text() == dump(settings)
    with pytest.raises(
        ConfigError, match=r"with what was chosen when it began.* Give that of the run, .*config\.yaml\."
    ):
        run(tree, tmp_path / "parts", resume=True)
    tiny_run.assert_same_run(run(settings.model_dump(), tmp_path / "parts", resume=True), whole)
