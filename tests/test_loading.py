"""From a model to a folder and back: the same weights, the same translations; and what is no model is refused."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import nmt
from nmt import backend
from nmt.config_decoding import DecodingConfig
from nmt.config_model import ModelConfig
from nmt.decoding.translator import Translator
from nmt.errors import InputError, ModelFileError, NMTError
from nmt.loading import build_model, load, numpy_model, save
from nmt.run_dir import RunDirectory
from nmt.text.tokenizer import Tokenizer, train_tokenizer
from nmt.weight_shapes import weight_shapes

ENGLISH = ["the dog sees the cat", "where is the red house", "my cat is not here", "the dog buys a house"] * 5
FRENCH = ["le chien voit le chat", "où est la maison rouge", "mon chat n'est pas ici", "le chien achète"] * 5
SIZES = {"embedding_size": 6, "encoder_size": 5, "decoder_size": 7, "attention_size": 4}
CONFIG = ModelConfig(**SIZES, decoder="input_feeding", tied_embeddings="target", dropout_rate=0.1)
DECODING = DecodingConfig(beam_size=2, max_length_ratio=1.0)


@pytest.fixture(scope="module")
def tokenizers() -> tuple[Tokenizer, Tokenizer]:
    return train_tokenizer(ENGLISH, vocabulary_size=285), train_tokenizer(FRENCH, vocabulary_size=290)


def make_translator(
    source: Tokenizer,
    target: Tokenizer,
    config: ModelConfig = CONFIG,
    *,
    seed: int = 3,
    languages: tuple[str, str] = ("en", "fr"),
) -> Translator:
    sizes = config.architecture()
    shapes = weight_shapes(
        source_vocabulary_size=source.vocabulary_size, target_vocabulary_size=target.vocabulary_size, **sizes
    )
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    return Translator(numpy_model(config, weights), source, target, *languages, DECODING)


@pytest.fixture(scope="module")
def translator(tokenizers: tuple[Tokenizer, Tokenizer]) -> Translator:
    return make_translator(*tokenizers)


@pytest.fixture
def folder(translator: Translator, tmp_path: Path) -> Path:
    save(translator, tmp_path / "model", model=CONFIG, card="# A model\n")
    return tmp_path / "model"


def reseal(folder: Path) -> None:
    """Writes the manifest anew, so that the checks behind it are reached."""
    entries = {}
    for path in folder.iterdir():
        if path.name != "manifest.json":
            content = path.read_bytes()
            entries[path.name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"format_version": 1, "files": entries}))


def edit_config(folder: Path, section: str | None = None, **changes: object) -> None:
    fields = json.loads((folder / "config.json").read_text())
    (fields if section is None else fields[section]).update(changes)
    (folder / "config.json").write_text(json.dumps(fields))
    reseal(folder)


def refusal(folder: Path) -> str:
    with pytest.raises(NMTError) as caught:
        load(folder)
    assert isinstance(caught.value, ModelFileError)
    assert str(caught.value).startswith(str(folder))
    return str(caught.value)


def test_what_is_loaded_is_what_was_saved(translator, folder):
    loaded = load(folder)
    weights, expected = loaded.model.weights, translator.model.weights
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight, expected[name], err_msg=name)
    assert (loaded.source_language, loaded.target_language) == ("en", "fr")
    assert loaded.options == DECODING
    assert loaded.source_tokenizer.model_bytes == translator.source_tokenizer.model_bytes
    assert loaded.target_tokenizer.model_bytes == translator.target_tokenizer.model_bytes
    lines = ["the dog sees the house", "", "where is my cat", "😀"]
    found = loaded.translate_n_best(lines, n_best=2)
    for pool, other in zip(found, translator.translate_n_best(lines, n_best=2), strict=True):
        assert [one.token_ids for one in pool] == [one.token_ids for one in other]
        assert [one.score for one in pool] == pytest.approx([one.score for one in other], rel=1e-6)


def test_a_gpu_must_be_there(folder, monkeypatch):
    monkeypatch.setattr(backend, "has_gpu", lambda: False)
    with pytest.raises(InputError, match=r"device='gpu'\. Received: the \w+ backend of Keras sees none"):
        load(folder, device="gpu")


def test_a_device_is_one_of_two(folder):
    with pytest.raises(InputError, match=r"'cpu' or 'gpu'\. Received: device='cuda'"):
        load(folder, device="cuda")


def test_a_gpu_gives_the_same_translations(translator, folder, monkeypatch):
    # Without one here: what a GPU would compute with, on this machine's CPU.
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    loaded = load(folder, device="gpu")
    assert loaded.model.weights.keys() == translator.model.weights.keys()
    lines = ["the dog sees the house", "", "where is my cat"]
    found, expected = loaded.translate(lines), translator.translate(lines)
    assert [one.token_ids for one in found] == [one.token_ids for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], rel=1e-4)


def test_a_model_saved_again_is_the_same(folder, tmp_path):
    save(load(folder), tmp_path / "again", model=CONFIG, card="# A model\n")
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_one_joint_tokenizer_stays_one(tokenizers, tmp_path):
    joint = train_tokenizer(ENGLISH + FRENCH, vocabulary_size=290)
    save(make_translator(joint, joint), tmp_path / "joint", model=CONFIG, card="")
    loaded = load(tmp_path / "joint")
    assert loaded.source_tokenizer is loaded.target_tokenizer
    assert (tmp_path / "joint" / "joint.spm").exists()


def test_a_run_directory_stands_for_its_best_model(translator, tmp_path):
    run = RunDirectory.create(tmp_path / "run", config_yaml="seed: 1\n", versions={})
    save(translator, run.best, model=CONFIG, card="")
    assert nmt.load(tmp_path / "run").translate(["my dog"])[0].text == translator.translate(["my dog"])[0].text


def test_decoding_options_can_be_saved_anew(translator, tmp_path):
    save(translator, tmp_path / "model", model=CONFIG, card="", decoding=DecodingConfig(beam_size=7))
    assert load(tmp_path / "model").options.beam_size == 7


OTHER = ModelConfig(**SIZES | {"decoder_size": 9}, decoder="conditional", tied_embeddings="none")


@pytest.fixture
def other(tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path) -> Path:
    """A model of another architecture, with the same tokenizers."""
    save(make_translator(*tokenizers, OTHER, seed=4), tmp_path / "other", model=OTHER, card="")
    return tmp_path / "other"


def test_several_models_decode_together(folder, other):
    lines = ["the dog sees the house", "", "where is my cat", "my house"] * 5
    ensemble = nmt.load(folder, str(other))
    assert ensemble.options == DECODING
    one, two = load(folder), load(other)
    targets = [found.text for found in ensemble.translate(lines)]
    assert targets != [found.text for found in one.translate(lines)] != [found.text for found in two.translate(lines)]
    # Of one piece the score is the logarithm of the mean of the models' own; of several each piece has its mean.
    together, first, second = (each.score([""], [""])[0] for each in (ensemble, one, two))
    assert together.log_prob == pytest.approx(np.log(np.mean(np.exp([first.log_prob, second.log_prob]))), abs=1e-4)
    expected = ensemble.translate_n_best(lines, n_best=2, workers=1)
    for changes in ({"workers": 2, "batch_size": 3}, {"batch_size": 1}, {"with_attention": True}):
        found = ensemble.translate_n_best(lines, n_best=2, **changes)
        for pool, others in zip(found, expected, strict=True):
            assert [each.token_ids for each in pool] == [each.token_ids for each in others]
            assert [each.score for each in pool] == pytest.approx([each.score for each in others], abs=1e-4)
    attention = found[0][0].attention
    assert attention.shape == (len(found[0][0].token_ids) + 1, len(ensemble.source_pieces(lines[0])))
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)


def test_a_model_beside_itself_translates_as_alone(folder):
    lines = ["the dog sees the house", "where is my cat"]
    for found, other in zip(load(folder, folder, folder).translate(lines), load(folder).translate(lines), strict=True):
        assert found.token_ids == other.token_ids
        assert found.score == pytest.approx(other.score, abs=1e-5)


def test_several_models_decode_together_on_a_gpu(folder, other, monkeypatch):
    # Without one here: what a GPU would compute with, on this machine's CPU.
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    lines = ["the dog sees the house", "", "where is my cat"]
    found, expected = load(folder, other, device="gpu").translate(lines), load(folder, other).translate(lines)
    assert [one.token_ids for one in found] == [one.token_ids for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], rel=1e-4)


def test_an_ensemble_is_not_saved(folder, other, tmp_path):
    with pytest.raises(InputError, match=r"no weights of its own\. Save its models one by one"):
        save(load(folder, other), tmp_path / "both", model=CONFIG, card="")


def test_models_with_other_tokenizers_do_not_decode_together(folder, tokenizers, tmp_path):
    source, target = tokenizers
    for number, pair in enumerate([(train_tokenizer(FRENCH, vocabulary_size=285), target), (source, source)]):
        save(make_translator(*pair, seed=4), tmp_path / str(number), model=CONFIG, card="")
    rule = "models that work together must have the same tokenizer, byte for byte. Received: two that differ. "
    with pytest.raises(InputError) as refused:
        load(folder, folder, tmp_path / "0")
    assert str(refused.value).startswith(f"{folder}/source.spm and {tmp_path}/0/source.spm: {rule}")
    with pytest.raises(InputError) as refused:
        load(folder, tmp_path / "1")
    assert str(refused.value).startswith(f"{folder}/target.spm and {tmp_path}/1/joint.spm: {rule}")


def test_models_of_other_languages_do_not_decode_together(folder, tokenizers, tmp_path):
    save(make_translator(*tokenizers, languages=("en", "de")), tmp_path / "german", model=CONFIG, card="")
    with pytest.raises(InputError, match=r"model and .*german: .* same target_language\. Received: fr and de\."):
        load(folder, tmp_path / "german")


@pytest.mark.parametrize(
    ("decoder", "tied_embeddings", "reset_after", "encoder_layers", "is_plain"),
    [
        *itertools.product(["conditional", "input_feeding"], ["none", "target", "all"], [True, False], [1, 3], [True]),
        *itertools.product(["conditional", "input_feeding"], ["all"], [True, False], [2], [False]),
    ],
)
def test_weight_shapes_are_those_of_the_model(decoder, tied_embeddings, reset_after, encoder_layers, is_plain):
    variants = {
        "decoder": decoder,
        "tied_embeddings": tied_embeddings,
        "reset_after": reset_after,
        "encoder_layers": encoder_layers,
        "lexical_model": not is_plain,
        "layer_norm": not is_plain,
        "decoder_transitions": 2 if not is_plain and decoder == "conditional" else 0,
    }
    vocabularies = (11, 11) if tied_embeddings == "all" else (11, 13)
    model = build_model(ModelConfig(**SIZES, **variants), *vocabularies)
    shapes = weight_shapes(
        source_vocabulary_size=vocabularies[0], target_vocabulary_size=vocabularies[1], **SIZES, **variants
    )
    assert shapes == {name: tuple(weight.shape) for name, weight in model.named_weights().items()}
    assert len(shapes) == len(model.weights)


def test_transitions_of_the_other_decoder_are_refused(folder):
    edit_config(folder, "model", decoder_transitions=1)
    assert "decoder_transitions: must be 0 with the decoder `input_feeding`. Received: 1." in refusal(folder)


def test_a_model_from_before_an_option_has_its_default(translator, folder):
    fields = json.loads((folder / "config.json").read_text())
    for name in ("lexical_model", "layer_norm", "decoder_transitions"):
        del fields["model"][name]
    (folder / "config.json").write_text(json.dumps(fields))
    reseal(folder)
    lines = ["the dog sees the house", "where is my cat"]
    assert load(folder).translate(lines) == translator.translate(lines)


def test_dropout_has_no_weights():
    rates = {
        "dropout_rate": 0.2,
        "variational_dropout": True,
        "recurrent_dropout_rate": 0.2,
        "source_word_dropout": 0.2,
        "target_word_dropout": 0.2,
    }
    with_dropout, without = (
        build_model(ModelConfig(**SIZES, **settings), 11, 11) for settings in (rates, {"dropout_rate": 0.0})
    )
    assert with_dropout.named_weights().keys() == without.named_weights().keys()


def test_weights_of_another_architecture_are_refused(folder):
    edit_config(folder, "model", decoder="conditional")
    message = refusal(folder)
    assert "decoder/context_cell/kernel" in message
    assert "decoder/context_projection/kernel" in message


@pytest.mark.parametrize(
    ("side", "name"), [("source_vocabulary_size", "source.spm"), ("target_vocabulary_size", "target.spm")]
)
def test_a_tokenizer_of_another_size_is_refused(side, name, folder, tokenizers):
    # It was loaded: ids beyond the embedding are an error on TensorFlow, and another piece without a word on JAX.
    other = train_tokenizer(ENGLISH + FRENCH, vocabulary_size=310)
    (folder / name).write_bytes(other.model_bytes)
    reseal(folder)
    size = tokenizers[("source.spm", "target.spm").index(name)].vocabulary_size
    message = refusal(folder)
    assert message.startswith(f"{folder / name}: ")
    assert f"{size:,}" in message
    assert f"{other.vocabulary_size:,}" in message


def test_what_is_no_tokenizer_is_refused_by_name(folder):
    # The message named no file.
    for content in (b"", b"not a tokenizer", (folder / "target.spm").read_bytes()[:-100]):
        (folder / "target.spm").write_bytes(content)
        reseal(folder)
        assert refusal(folder).startswith(f"{folder / 'target.spm'}: ")


def test_damage_is_refused(folder, tmp_path):
    for name in ("config.json", "model.safetensors", "source.spm", "target.spm", "README.md", "manifest.json"):
        for damage in ("truncated", "changed", "missing"):
            damaged = tmp_path / f"{name}-{damage}"
            shutil.copytree(folder, damaged)
            content = (damaged / name).read_bytes()
            middle = len(content) // 2
            if damage == "truncated":
                (damaged / name).write_bytes(content[:middle])
            elif damage == "changed":
                (damaged / name).write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
            else:
                (damaged / name).unlink()
            assert name in refusal(damaged)


def test_what_is_no_model_is_refused(tmp_path):
    assert "no such folder" in refusal(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "neither a model" in refusal(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    assert "a model is a folder" in refusal(tmp_path / "file")


def test_weights_that_are_not_numbers_are_not_saved(tokenizers, tmp_path):
    diverged = make_translator(*tokenizers)
    diverged.model.weights["bridge/dense/bias"][:] = np.nan
    with pytest.raises(ModelFileError, match="bridge/dense/bias"):
        save(diverged, tmp_path / "model", model=CONFIG, card="")
    assert not (tmp_path / "model").exists()


def test_a_model_that_could_not_be_loaded_is_not_saved(translator, tmp_path):
    # It was, and so replaced the one that was there.
    other = ModelConfig(**SIZES, decoder="conditional", tied_embeddings="target")
    with pytest.raises(ValueError, match=r"`model` must be .*Received: .*decoder='conditional'"):
        save(translator, tmp_path / "model", model=other, card="")
    assert not (tmp_path / "model").exists()
