"""The mean of the weights of several models, and what has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmt.averaging import average
from nmt.config_model import ModelConfig
from nmt.errors import InputError, ModelFileError
from nmt.loading import load, save
from nmt.text.tokenizer import Tokenizer, train_tokenizer
from tests.test_loading import CONFIG, DECODING, ENGLISH, FRENCH, make_translator


@pytest.fixture(scope="module")
def tokenizers() -> tuple[Tokenizer, Tokenizer]:
    return train_tokenizer(ENGLISH, vocabulary_size=285), train_tokenizer(FRENCH, vocabulary_size=290)


@pytest.fixture
def folders(tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path) -> list[Path]:
    """Three models of one origin; dropout, which no weight knows of, differs."""
    for seed in range(3):
        config = CONFIG.model_copy(update={"dropout_rate": seed / 10})
        translator = make_translator(*tokenizers)
        for weight in translator.model.weights.values():
            weight += np.random.default_rng(seed).normal(size=weight.shape, scale=0.5)
        save(translator, tmp_path / f"model-{seed}", model=config, card="")
    return [tmp_path / f"model-{seed}" for seed in range(3)]


def test_the_mean_is_a_model(folders, tmp_path):
    average(folders, tmp_path / "mean")
    mean, members = load(tmp_path / "mean"), [load(folder) for folder in folders]
    assert mean.model.weights.keys() == members[0].model.weights.keys()
    for name, weight in mean.model.weights.items():
        expected = np.mean([member.model.weights[name].astype("float64") for member in members], axis=0)
        np.testing.assert_allclose(weight, expected, rtol=1e-6, atol=1e-7, err_msg=name)
    assert mean.options == DECODING
    assert (mean.source_language, mean.target_language) == ("en", "fr")
    assert mean.target_tokenizer.model_bytes == members[0].target_tokenizer.model_bytes
    assert len(mean.translate(["the dog sees the cat"])) == 1
    card = (tmp_path / "mean" / "README.md").read_text().replace("\\", "")
    assert f"- weights: the mean of those of {folders[0]}, {folders[1]}, {folders[2]}\n" in card
    assert "## Scores\n\nNot measured." in card


def test_the_mean_of_a_model_and_itself_is_that_model(folders, tmp_path):
    average([folders[1]] * 3, tmp_path / "mean")
    for name, weight in load(tmp_path / "mean").model.weights.items():
        np.testing.assert_array_equal(weight, load(folders[1]).model.weights[name], err_msg=name)


@pytest.mark.parametrize(
    ("changes", "received"),
    [
        ({"decoder_size": 9}, "decoder_size 7 and 9"),
        ({"reset_after": False}, "reset_after True and False"),
        (
            {"decoder": "conditional", "encoder_layers": 2},
            "encoder_layers 1 and 2, decoder input_feeding and conditional",
        ),
    ],
)
def test_another_architecture_is_refused(changes, received, folders, tokenizers, tmp_path):
    config = ModelConfig(**{**CONFIG.model_dump(), **changes})
    save(make_translator(*tokenizers, config), tmp_path / "other", model=config, card="")
    with pytest.raises(InputError) as refused:
        average([*folders, tmp_path / "other"], tmp_path / "mean")
    together = f"Let these two decode together instead: nmt translate {folders[0]} {tmp_path}/other."
    assert str(refused.value).startswith(
        f"{folders[0]} and {tmp_path}/other: weights are averaged where they mean the "
    )
    assert str(refused.value).endswith(f"Received: {received}. {together}")
    assert not (tmp_path / "mean").exists()


def test_other_pieces_are_refused(folders, tokenizers, tmp_path):
    others = train_tokenizer(FRENCH, vocabulary_size=285), tokenizers[1]
    save(make_translator(*others), tmp_path / "other", model=CONFIG, card="")
    with pytest.raises(InputError, match=r"model-0/source\.spm and .*other/source\.spm: .*the same tokenizer"):
        average([folders[0], tmp_path / "other"], tmp_path / "mean")


def test_models_of_two_seeds_are_refused(folders, tokenizers, tmp_path):
    """Their mean is no model, whatever else they share."""
    save(make_translator(*tokenizers, seed=4), tmp_path / "other", model=CONFIG, card="")
    with pytest.raises(InputError) as refused:
        average([*folders, tmp_path / "other"], tmp_path / "mean")
    assert str(refused.value).startswith(
        f"{folders[0]} and {tmp_path}/other: weights are averaged of models of one run."
    )
    assert str(refused.value).endswith(f"decode together instead: nmt translate {folders[0]} {tmp_path}/other.")


def test_the_folder_above_is_made(folders, tmp_path):
    average(folders, tmp_path / "new" / "mean")
    assert load(tmp_path / "new" / "mean")


def test_what_makes_no_average_is_refused(folders, tmp_path):
    with pytest.raises(InputError, match=r"an average takes 2 models or more\. Received: 1\."):
        average(folders[:1], tmp_path / "mean")
    with pytest.raises(ModelFileError, match="no such folder"):
        average([folders[0], tmp_path / "nothing"], tmp_path / "mean")
    before = (folders[1] / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match=r"model-1: exists, and what is there is not replaced\."):
        average(folders, folders[1])
    assert (folders[1] / "model.safetensors").read_bytes() == before
