"""The model folder: what is saved comes back bit for bit, and every kind of damage is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from nmt import files, model_file
from nmt.config_decoding import DecodingConfig
from nmt.config_model import ModelConfig
from nmt.errors import FileError, ModelFileError
from nmt.model_file import ModelContents, find_model, load_model, save_model
from nmt.run_dir import RunDirectory

SHAPES = {"embedding/table": (6, 3), "encoder/kernel": (2, 3), "encoder/bias": (3,), "scale": ()}
AGAIN = "Copy or download the model again."


def shapes_of(
    model: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int
) -> dict[str, tuple[int, ...]]:
    return SHAPES


def some_weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    weights["encoder/bias"][:] = [-0.0, np.finfo(np.float32).tiny / 2, np.finfo(np.float32).max]
    return weights


def save(folder: Path, **changes: Any) -> dict[str, Any]:
    fields = {
        "model": ModelConfig(embedding_size=3, dropout_rate=0.1),
        "source_vocabulary_size": 6,
        "target_vocabulary_size": 6,
        "source_language": "en",
        "target_language": "pt-BR",
        "decoding": DecodingConfig(beam_size=7),
        "weights": some_weights(),
        "source_tokenizer": b"\x00joint\xff",
        "target_tokenizer": None,
        "card": "# A card\nü\n",
    } | changes
    save_model(folder, **fields)
    return fields


def load(folder: Path) -> ModelContents:
    return load_model(folder, weight_shapes=shapes_of)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "model")
    return tmp_path / "model"


def reseal(folder: Path, names: list[str] | None = None) -> None:
    """Writes the manifest anew, as one who means harm would, so that the checks behind it are reached."""
    names = names or [path.name for path in folder.iterdir() if path.name != "manifest.json"]
    entries = {}
    for name in names:
        data = (folder / name).read_bytes()
        entries[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"format_version": 1, "files": entries}))


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


def refusal(folder: Path) -> str:
    with pytest.raises((ModelFileError, FileError)) as caught:
        load(folder)
    assert caught.value.exit_status == 2
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_round_trip_is_exact(tmp_path):
    fields = save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    for name in fields.keys() - {"weights"}:
        assert getattr(loaded, name) == fields[name]
    assert list(loaded.weights) == list(SHAPES)
    for name, array in fields["weights"].items():
        assert loaded.weights[name].tobytes() == array.tobytes()
        assert loaded.weights[name].shape == array.shape
        assert loaded.weights[name].dtype == np.float32


def test_round_trip_with_two_tokenizers(tmp_path):
    model = ModelConfig(tied_embeddings="target")
    fields = save(tmp_path / "model", model=model, target_tokenizer=b"", target_vocabulary_size=9)
    loaded = load(str(tmp_path / "model"))
    for name in fields.keys() - {"weights"}:
        assert getattr(loaded, name) == fields[name]
    assert set(content(tmp_path / "model")) == {
        "manifest.json", "config.json", "model.safetensors", "README.md", "source.spm", "target.spm",
    }  # fmt: skip


def test_other_tools_can_read_the_folder(folder):
    weights = safetensors.numpy.load_file(folder / "model.safetensors")
    assert {name: array.tobytes() for name, array in weights.items()} == {
        name: array.tobytes() for name, array in some_weights().items()
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    files_but_itself = {name: data for name, data in content(folder).items() if name != "manifest.json"}
    assert manifest == {
        "format_version": 1,
        "files": {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files_but_itself.items()
        },
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["source_language"] == "en"
    assert config["model"]["embedding_size"] == 3
    assert config["decoding"]["beam_size"] == 7


def test_arrays_in_any_memory_order_are_saved_by_value(tmp_path):
    weights = some_weights()
    weights["encoder/kernel"] = np.asfortranarray(weights["encoder/kernel"])
    weights["embedding/table"] = np.repeat(weights["embedding/table"], 2, axis=0)[::2]
    save(tmp_path / "model", weights=weights)
    for name, array in load(tmp_path / "model").weights.items():
        np.testing.assert_array_equal(array, weights[name])


def test_saving_twice_gives_the_same_bytes_and_replaces(folder, tmp_path):
    before = content(folder)
    save(folder)
    assert content(folder) == before
    save(folder, weights=some_weights(1))
    assert load(folder).weights["encoder/kernel"].tobytes() == some_weights(1)["encoder/kernel"].tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_interrupted_save_leaves_the_old_model(folder, tmp_path, monkeypatch):
    before = content(folder)
    real = files.new_file
    for num_written in range(5):
        written: list[Path] = []

        def fail_later(path, written=written, limit=num_written):
            if len(written) == limit:
                raise FileError(f"{path}: can't write: No space left on device.")
            written.append(path)
            return real(path)

        monkeypatch.setattr(files, "new_file", fail_later)
        with pytest.raises(FileError, match="No space left on device"):
            save(folder, weights=some_weights(1))
        assert len(written) == num_written
        assert content(folder) == before
        assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_that_reads_back_otherwise_is_not_put_in_place(folder, monkeypatch):
    before = content(folder)
    real = os.write

    def write_wrong(descriptor, data):
        return real(descriptor, bytes(data).replace(b"\0joint", b"\0jolnt"))

    monkeypatch.setattr(os, "write", write_wrong)
    with pytest.raises(ModelFileError, match=r"joint\.spm: damaged: its content is not what manifest\.json says"):
        save(folder, weights=some_weights(1))
    assert content(folder) == before


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ModelFileError) as caught:
        save(tmp_path)
    assert str(caught.value) == f"{tmp_path}: exists and is no model, so it is left alone. Choose another folder."
    with pytest.raises(FileError, match=r"thesis\.tex: can't write: Not a directory"):
        save(tmp_path / "thesis.tex")
    assert content(tmp_path) == {"thesis.tex": b"precious"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weights": {"a": np.zeros(2, np.float64)}}, ": weight `a` must be float32. Received: float64."),
        (
            {"weights": {"a": np.array([1, np.nan], np.float32)}},
            ": weight `a` must be finite. Received: NaN or infinite values. Nothing was saved.",
        ),
        (
            {"source_vocabulary_size": 7},
            "/config.json: breaks the format: file: Value error, with a joint tokenizer both vocabularies have",
        ),
        (
            {"target_tokenizer": b"x"},
            "/config.json: breaks the format: file: Value error, tied_embeddings `all` needs a joint tokenizer",
        ),
        ({"source_language": "e\x1b[31m"}, "/config.json: breaks the format: source_language: String should match"),
    ],
)
def test_what_makes_no_model_is_not_saved(tmp_path, changes, problem):
    with pytest.raises(ModelFileError) as caught:
        save(tmp_path / "model", **changes)
    assert str(caught.value).startswith(f"{tmp_path}/model{problem}")
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "joint.spm", "README.md"])
def test_every_flipped_bit_and_truncation_is_named(folder, name, rng):
    path = folder / name
    data = path.read_bytes()
    sealed = f"{path}: damaged: its content is not what manifest.json says (sha256). {AGAIN}"
    for position in rng.choice(len(data), size=min(len(data), 40), replace=False):
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        assert refusal(folder) == sealed
    for length in {0, 1, len(data) // 2, len(data) - 1, len(data) + 1}:
        path.write_bytes((data + b"\0")[:length])
        assert refusal(folder) == f"{path}: damaged: must have {len(data):,} bytes. Received: {length:,}. {AGAIN}"


def test_every_flipped_byte_of_the_manifest_is_refused(folder, rng):
    path = folder / "manifest.json"
    data = path.read_bytes()
    good = json.loads(data)
    num_refused = 0
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            same = json.loads(flipped) == good  # a space may become another white space
        except ValueError:
            same = False
        if not same:
            assert str(folder) in refusal(folder)
            num_refused += 1
    assert num_refused > 0.6 * len(data)


def exchange(folder: Path, first: str, second: str) -> None:
    data = (folder / first).read_bytes()
    (folder / first).write_bytes((folder / second).read_bytes())
    (folder / second).write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: (f / "joint.spm").unlink(), "F: a model has exactly the files that it names; missing: joint.spm"),
        (lambda f: (f / "extra.py").touch(), "F: a model has exactly the files that it names; unexpected: extra.py"),
        (lambda f: (f / "x\x1b[2J").touch(), "F: a model has exactly the files that it names; unexpected: x\\x1b[2J"),
        (lambda f: (f / "sub").mkdir(), "F: a model has exactly the files that it names; unexpected: sub"),
        (lambda f: exchange(f, "joint.spm", "README.md"), "F/README.md: damaged: must have 12 bytes. Received: 7"),
        (lambda f: (f / "manifest.json").unlink(), "F: not a model: it has no manifest.json"),
        (lambda f: (f / "manifest.json").write_bytes(b""), "F/manifest.json: damaged: must be JSON: line 1: Expecting"),
        (lambda f: (f / "manifest.json").write_bytes(b"\xff"), "F/manifest.json: damaged: must be JSON: invalid UTF-8"),
        (lambda f: (f / "manifest.json").write_bytes(b"[]"), "F/manifest.json: damaged: must be a JSON object. "),
        (
            lambda f: (f / "manifest.json").write_bytes(b"[" * 900_000),
            "F/manifest.json: damaged: must be JSON: nested too deeply",
        ),
        (
            lambda f: (f / "manifest.json").write_bytes(b'{"format_version": 1, "format_version": 1}'),
            "F/manifest.json: damaged: must be JSON: duplicate key 'format_version'",
        ),
        (
            lambda f: (f / "manifest.json").write_bytes(b'{"format_version": NaN}'),
            "F/manifest.json: damaged: must be JSON: NaN is no number in JSON",
        ),
        (
            lambda f: (f / "manifest.json").write_bytes(b" " * 1_000_001),
            "F/manifest.json: must have at most 1,000,000 bytes. Received: 1,000,001. Is this the right file?",
        ),
        (
            lambda f: edit_json(f / "manifest.json", lambda m: m.update(format_version=2)),
            "F/manifest.json: this nmt reads model formats up to 1. Received: format_version=2. Upgrade nmt: pip",
        ),
        (
            lambda f: edit_json(f / "manifest.json", lambda m: m.update(format_version="1")),
            "F/manifest.json: breaks the format: format_version: Input should be a valid integer (received '1').",
        ),
        (
            lambda f: edit_json(f / "manifest.json", lambda m: m.update(run="rm")),
            "F/manifest.json: breaks the format: run: Extra inputs are not permitted (received 'rm').",
        ),
        (
            lambda f: edit_json(f / "manifest.json", lambda m: m["files"].update({"../x": m["files"]["joint.spm"]})),
            "F/manifest.json: breaks the format: files.../x.[key]: Input should be 'config.json'",
        ),
        (
            lambda f: edit_json(f / "manifest.json", lambda m: m["files"].pop("config.json")),
            "F/manifest.json: a model has exactly the files that it names; missing: config.json",
        ),
        (
            lambda f: edit_json(f / "manifest.json", lambda m: m["files"]["joint.spm"].update(size=-1)),
            "F/manifest.json: breaks the format: files.joint.spm.size: Input should be greater than or equal to 0",
        ),
        (
            lambda f: edit_json(f / "manifest.json", lambda m: m["files"]["joint.spm"].update(sha256="0" * 64)),
            "F/joint.spm: damaged: its content is not what manifest.json says (sha256)",
        ),
    ],
)
def test_damage_to_the_folder(folder, damage, problem):
    damage(folder)
    assert refusal(folder).startswith(problem.replace("F", str(folder), 1))


@pytest.mark.parametrize("name", ["manifest.json", "config.json", "model.safetensors", "joint.spm", "README.md"])
def test_links_are_not_followed(folder, tmp_path, name):
    shutil.move(folder / name, tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    assert refusal(folder) == (
        f"{folder / name}: can't read: Too many levels of symbolic links. "
        "It is a symbolic link: put the file itself there."
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c.update(format_version=3), "this nmt reads model formats up to 1. Received: format_version=3."),
        (lambda c: c.update(mode="x"), "breaks the format: mode: Extra inputs are not permitted (received 'x')."),
        (lambda c: c.pop("model"), "breaks the format: model: Field required"),
        (lambda c: c["model"].update(units=9), "breaks the format: model.units: Extra inputs are not permitted"),
        (
            lambda c: c["model"].update(encoder_size=10**9),
            "breaks the format: model.encoder_size: Input should be less than or equal to 8192 (received 1000000000).",
        ),
        (
            lambda c: c["model"].update(encoder_size=2.0),
            "breaks the format: model.encoder_size: Input should be a valid",
        ),
        (
            lambda c: c.update(source_vocabulary_size=2**40),
            "breaks the format: source_vocabulary_size: Input should be less than or equal to 1000000",
        ),
        (
            lambda c: c.update(source_tokenizer="/etc/passwd"),
            "breaks the format: source_tokenizer: Input should be 'joint.spm' or 'source.spm' (received '/etc/passwd')",
        ),
        (
            lambda c: c.update(source_tokenizer="source.spm"),
            "breaks the format: file: Value error, one joint tokenizer serves both languages, or each has its own",
        ),
        (
            lambda c: c.update(
                source_tokenizer="source.spm",
                target_tokenizer="target.spm",
                model=c["model"] | {"tied_embeddings": "none"},
            ),
            "a model has exactly the files that it names; missing: source.spm, target.spm; unexpected: joint.spm",
        ),
        (lambda c: c.update(target_language="\x1b[2J"), "breaks the format: target_language: String should match"),
    ],
)
def test_damage_to_the_configuration(folder, change, problem):
    edit_json(folder / "config.json", change)
    reseal(folder)
    assert refusal(folder).startswith(f"{folder}/config.json: {problem}")


def test_a_card_must_be_text(folder):
    (folder / "README.md").write_bytes(b"ab\xff")
    reseal(folder)
    assert refusal(folder) == f"{folder}/README.md: damaged: must be UTF-8 text: invalid byte at 2. {AGAIN}"


def test_sealed_files_of_any_size_are_bounded(folder):
    (folder / "README.md").write_bytes(b"x" * 1_000_001)
    reseal(folder)
    assert refusal(folder) == (f"{folder}/README.md: damaged: must have 1,000,000 bytes. Received: 1,000,001. {AGAIN}")


def test_a_model_replaced_while_it_is_read_is_read_again(folder, monkeypatch):
    real = model_file.read_weights
    calls = []

    def replaced_meanwhile(path, shapes):
        calls.append(path)
        if len(calls) == 1:
            save(folder, weights=some_weights(1), card="new")
            raise FileError("the old file is gone")
        return real(path, shapes)

    monkeypatch.setattr(model_file, "read_weights", replaced_meanwhile)
    assert load(folder).card == "new"
    assert len(calls) == 2


def test_find_model(folder, tmp_path):
    assert find_model(str(folder)) == folder
    run = RunDirectory.create(tmp_path / "run", config_yaml="", versions={})
    with pytest.raises(ModelFileError) as caught:
        find_model(run.path)
    assert str(caught.value) == (
        f"{run.path}: this run has no model yet: its first validation saves one. "
        f"Let it train on, or go on with it: nmt train CONFIG --run-dir {run.path} --resume"
    )
    save(run.best)
    assert find_model(run.path) == run.best
    assert load(find_model(run.path)).source_language == "en"


def test_find_model_explains_what_is_wrong(folder, tmp_path):
    (tmp_path / "file").touch()
    for path, problem in [
        ("none", "no such folder. Give a model folder or a run directory."),
        ("file", "a model is a folder. Received: a file."),
        ("model/config.json", f"a model is a folder. Received: a file. Did you mean {folder}?"),
        (".", "neither a model, which has manifest.json, nor a run directory. Give a folder that `nmt train` made."),
    ]:
        with pytest.raises(ModelFileError) as caught:
            find_model(tmp_path / path)
        assert str(caught.value) == f"{tmp_path / path}: {problem}"
    with pytest.raises(FileError, match="none: can't read: No such file or directory"):
        load(tmp_path / "none")
