"""Model folders that mean harm: each is refused by one message that names the file, with what to do, in little memory.

All but the last few are sealed anew: the sha256 of every file is right, so it is the checks behind it that are tried.
"""

# ruff: noqa: E501  (messages stand whole)

from __future__ import annotations

import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece

import nmt
from nmt import cli, weights_file
from nmt.errors import NMTError
from nmt.text.tokenizer import train_tokenizer
from tests.reliability.mutations import fields_of, message_of, reseal, with_inner

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "model"
TEXT = ["we see the sea", "the sea sees me", "the red house is here"] * 5

Change = Callable[[Path], object]


def set_config(section: str | None = None, **changes: Any) -> Change:
    def change(folder: Path) -> None:
        fields = json.loads((folder / "config.json").read_text())
        (fields if section is None else fields[section]).update(changes)
        (folder / "config.json").write_text(json.dumps(fields))

    return change


def set_tensor(name: str, **changes: Any) -> Change:
    """Changes the entry of a tensor in the header of the weights; the bytes behind it stay."""

    def change(header: dict[str, Any]) -> None:
        header[name].update(changes)

    return lambda folder: edit_header(folder, change)


def edit_header(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:end])
    change(header)
    new = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(new)) + new + content[end:])


def put(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def set_header_length(length: int) -> Change:
    def change(folder: Path) -> None:
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + content[8:])

    return change


def put_header(header: bytes) -> Change:
    return put("model.safetensors", struct.pack("<Q", len(header)) + header)


def edit_piece(index: int, field: int, kind: int, value: int | bytes) -> Change:
    """Sets a field of a piece of the tokenizer: 1 its text, 2 its score, 3 its kind."""

    def change(folder: Path) -> None:
        path = folder / "joint.spm"
        new = lambda inner: [*(one for one in inner if one[0] != field), (field, kind, value)]  # noqa: E731
        path.write_bytes(message_of(with_inner(fields_of(path.read_bytes()), index, new)))

    return change


def edit_settings(index: int, field: int, value: int | bytes) -> Change:
    """Sets a field of what was trained with (-2) or of the normalization (-1)."""
    return edit_piece(index, field, 0 if isinstance(value, int) else 2, value)


def other_tokenizer(**options: Any) -> Change:
    return lambda folder: (folder / "joint.spm").write_bytes(train_tokenizer(TEXT, **options).model_bytes)


def foreign_tokenizer(folder: Path) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT), model_writer=model, vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    (folder / "joint.spm").write_bytes(model.getvalue())


BIAS = "bridge/dense/bias"

# What is done to a good model, and what loading it says; D is its folder.
HOSTILE: dict[str, tuple[Change, str]] = {
    # sizes that would fill the memory
    "a model of terabytes in a small file": (
        set_config(
            "model", embedding_size=8192, encoder_size=8192, decoder_size=8192, attention_size=8192, encoder_layers=16
        ),
        "D/model.safetensors: not the weights that config.json describes: missing: encoder/layer_10_backward/cell/bias, encoder/layer_10_backward/cell/candidate_bias, encoder/layer_10_backward/cell/kernel, encoder/layer_10_backward/cell/recurrent_kernel, encoder/layer_10_forward/cell/bias and 115 more; `bridge/dense/bias` must have the shape (8192,), received (32,); `bridge/dense/kernel` must have the shape (16384, 8192), received (32, 32); `decoder/attention/bias` must have the shape (8192,), received (16,); `decoder/attention/energy_vector` must have the shape (8192, 1), received (16, 1). Use the two files of one model.",
    ),
    "a vocabulary of a million": (
        set_config(source_vocabulary_size=1_000_000, target_vocabulary_size=1_000_000),
        "D/model.safetensors: not the weights that config.json describes: `readout/output_bias` must have the shape (1000000,), received (380,); `target_embedding/embeddings` must have the shape (1000000, 16), received (380, 16). Use the two files of one model.",
    ),
    "a header of 8 EiB": (
        set_header_length(2**63),
        "D/model.safetensors: damaged: the header must have at most 98,848 bytes. Received: 9,223,372,036,854,775,808. Copy or download the model again.",
    ),
    "a header beyond the file": (
        set_header_length(999_999),
        "D/model.safetensors: damaged: the header must have at most 98,848 bytes. Received: 999,999. Copy or download the model again.",
    ),
    "a tensor of 2**80 numbers": (
        set_tensor(BIAS, shape=[2**40, 2**40]),
        "D/model.safetensors: not the weights that config.json describes: `bridge/dense/bias` must have the shape (32,), received (1099511627776, 1099511627776). Use the two files of one model.",
    ),
    "a tensor of 4,000 dimensions": (
        set_tensor(BIAS, shape=[1] * 4000),
        "D/model.safetensors: not the weights that config.json describes: `bridge/dense/bias` must have the shape (32,), received (1, 1, 1, 1, 1, 1, 1, 1, 1, 1). Use the two files of one model.",
    ),
    "a shape of a huge number": (
        put_header(b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 4]}}'),
        "D/model.safetensors: damaged: the header must be JSON: a whole number has at most 100 digits, received 5,000. Copy or download the model again.",
    ),
    "a negative size": (
        set_tensor(BIAS, shape=[-1]),
        "D/model.safetensors: damaged: tensor `bridge/dense/bias` must have whole numbers in shape and data_offsets. Copy or download the model again.",
    ),
    "a size that is true": (
        set_tensor(BIAS, shape=[True]),
        "D/model.safetensors: damaged: tensor `bridge/dense/bias` must have whole numbers in shape and data_offsets. Copy or download the model again.",
    ),
    "a size with a fraction": (
        set_tensor(BIAS, shape=[1.0]),
        "D/model.safetensors: damaged: tensor `bridge/dense/bias` must have whole numbers in shape and data_offsets. Copy or download the model again.",
    ),
    # places
    "two tensors in one place": (
        set_tensor(BIAS, data_offsets=[0, 64]),
        "D/model.safetensors: damaged: tensor `bridge/dense/bias` must take the bytes of its shape, right after the tensor before it. Copy or download the model again.",
    ),
    "offsets beyond the file": (
        set_tensor(BIAS, data_offsets=[2**62, 2**62 + 64]),
        "D/model.safetensors: damaged: tensor `bridge/dense/kernel` must take the bytes of its shape, right after the tensor before it. Copy or download the model again.",
    ),
    "a tensor that is not asked for": (
        lambda folder: edit_header(
            folder, lambda header: header.update(extra={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})
        ),
        "D/model.safetensors: not the weights that config.json describes: unexpected: extra. Use the two files of one model.",
    ),
    "a tensor under another name": (
        lambda folder: edit_header(folder, lambda header: header.update({"../../x": header.pop(BIAS)})),
        "D/model.safetensors: not the weights that config.json describes: missing: bridge/dense/bias; unexpected: ../../x. Use the two files of one model.",
    ),
    "bytes behind the tensors": (
        put("model.safetensors", (GOLDEN / "model.safetensors").read_bytes() + b"#!/bin/sh\n"),
        "D/model.safetensors: damaged: the tensors must take 96,304 bytes. Received: 96,314. Copy or download the model again.",
    ),
    "another type of number": (
        set_tensor(BIAS, dtype="F64"),
        "D/model.safetensors: tensor `bridge/dense/bias` must have the dtype F32. Received: 'F64'. Save the model with nmt itself.",
    ),
    "an entry of code": (
        set_tensor(BIAS, __reduce__=["os.system", "true"]),
        "D/model.safetensors: damaged: tensor `bridge/dense/bias` must have dtype, shape and data_offsets alone. Copy or download the model again.",
    ),
    # JSON
    "a header nested without end": (
        put_header(b"[" * 500_000),
        "D/model.safetensors: damaged: the header must be JSON: nested too deeply. Copy or download the model again.",
    ),
    "a header of the same key twice": (
        put_header(b'{"a": 1, "a": 2}'),
        "D/model.safetensors: damaged: the header must be JSON: duplicate key 'a'. Copy or download the model again.",
    ),
    "a header of many keys": (
        put_header(b"{" + b", ".join(b'"%d": 0' % number for number in range(60_000)) + b"}"),
        "D/model.safetensors: damaged: tensor `0` must have dtype, shape and data_offsets alone. Copy or download the model again.",
    ),
    "a header that is no number": (
        put_header(b'{"a": NaN}'),
        "D/model.safetensors: damaged: the header must be JSON: NaN is no number in JSON. Copy or download the model again.",
    ),
    "a header that is a list": (
        put_header(b"[]"),
        "D/model.safetensors: damaged: the header must be a JSON object. Copy or download the model again.",
    ),
    "a configuration nested without end": (
        put("config.json", b'{"model":' * 90_000),
        "D/config.json: damaged: must be JSON: nested too deeply. Copy or download the model again.",
    ),
    "a configuration of infinity": (
        set_config("decoding", length_penalty=float("inf")),
        "D/config.json: damaged: must be JSON: Infinity is no number in JSON. Copy or download the model again.",
    ),
    "a configuration of no number": (
        set_config("decoding", length_penalty=float("nan")),
        "D/config.json: damaged: must be JSON: NaN is no number in JSON. Copy or download the model again.",
    ),
    "a configuration of 200 digits": (
        put("config.json", b'{"format_version": ' + b"9" * 200 + b"}"),
        "D/config.json: damaged: must be JSON: a whole number has at most 100 digits, received 200. Copy or download the model again.",
    ),
    "a configuration of half a surrogate pair": (
        put("config.json", b'{"nmt_version": "\\ud800"}'),
        "D/config.json: breaks the format: format_version: Field required (received {'nmt_version': '\\ud800'}); nmt_version: Input should be a valid string, unable to parse raw data as a unicode string (received '\\ud800'); source_language: Field required (received {'nmt_version': '\\ud800'}); target_language: Field required (received {'nmt_version': '\\ud800'}); source_vocabulary_size: Field required (received {'nmt_version': '\\ud800'}). Copy or download the model again.",
    ),
    "a configuration in UTF-16": (
        put("config.json", '{"model": {}}'.encode("utf-16")),
        "D/config.json: damaged: must be JSON: invalid UTF-8 at byte 0. Copy or download the model again.",
    ),
    "a configuration of a megabyte": (
        put("config.json", b" " * 1_000_001),
        "D/config.json: damaged: must have 1,000,000 bytes. Received: 1,000,001. Copy or download the model again.",
    ),
    "a version of the past": (
        set_config(format_version=0),
        "D/config.json: breaks the format: format_version: Input should be greater than or equal to 1 (received 0). Copy or download the model again.",
    ),
    "a version of the future": (
        set_config(format_version=2),
        "D/config.json: this nmt reads model formats up to 1. Received: format_version=2. Upgrade nmt: pip install --upgrade nmt",
    ),
    "a version of the far future": (
        set_config(format_version=10**30),
        "D/config.json: this nmt reads model formats up to 1. Received: format_version=1000000000000000000000000000000. Upgrade nmt: pip install --upgrade nmt",
    ),
    "a version that is true": (
        set_config(format_version=True),
        "D/config.json: breaks the format: format_version: Input should be a valid integer (received True). Copy or download the model again.",
    ),
    "a path for a tokenizer": (
        set_config(source_tokenizer="../../secrets", target_tokenizer="../../secrets"),
        "D/config.json: breaks the format: source_tokenizer: Input should be 'joint.spm' or 'source.spm' (received '../../secrets'); target_tokenizer: Input should be 'joint.spm' or 'target.spm' (received '../../secrets'). Copy or download the model again.",
    ),
    "a language that moves the cursor": (
        set_config(source_language="\x1b[2J"),
        "D/config.json: breaks the format: source_language: String should match pattern '^[A-Za-z0-9_-]{1,45}$' (received '\\x1b[2J'). Copy or download the model again.",
    ),
    "a version that moves the cursor": (
        set_config(nmt_version="\x1b[2J" * 100),
        "D/config.json: breaks the format: nmt_version: String should have at most 100 characters (received '\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\x1b[2J\\). Copy or download the model again.",
    ),
    "a beam that fills the memory": (
        set_config("decoding", beam_size=10**9),
        "D/config.json: breaks the format: decoding.beam_size: Input should be less than or equal to 1000 (received 1000000000). Copy or download the model again.",
    ),
    "a batch that fills the memory": (
        set_config("decoding", batch_size=10**9),
        "D/config.json: breaks the format: decoding.batch_size: Input should be less than or equal to 100000 (received 1000000000). Copy or download the model again.",
    ),
    "outputs without end": (
        set_config("decoding", max_length_ratio=1e300),
        "D/config.json: breaks the format: decoding.max_length_ratio: Input should be less than or equal to 100 (received 1e+300). Copy or download the model again.",
    ),
    # the card
    "a card that is no text": (
        put("README.md", b"\xff\xfe"),
        "D/README.md: damaged: must be UTF-8 text: invalid byte at 0. Copy or download the model again.",
    ),
    # tokenizers
    "an empty tokenizer": (
        put("joint.spm", b""),
        "D/joint.spm: not a whole SentencePiece model: it is truncated, or no SentencePiece model at all. Copy it again, or train a new one.",
    ),
    "a tokenizer of one endless number": (
        put("joint.spm", b"\xff" * 1_000_000),
        "D/joint.spm: not a whole SentencePiece model: it is truncated, or no SentencePiece model at all. Copy it again, or train a new one.",
    ),
    "a tokenizer with a field of 2**62 bytes": (
        put("joint.spm", b"\x0a" + b"\xff" * 8 + b"\x3f"),
        "D/joint.spm: not a whole SentencePiece model: it is truncated, or no SentencePiece model at all. Copy it again, or train a new one.",
    ),
    "a tokenizer of pieces alone": (
        put("joint.spm", b"\x0a\x00" * 1000),
        "D/joint.spm: not a whole SentencePiece model: it is truncated, or no SentencePiece model at all. Copy it again, or train a new one.",
    ),
    "a tokenizer of another size": (
        other_tokenizer(vocabulary_size=300),
        "D/joint.spm: must have 380 pieces, as config.json says. Received: 280. Copy or download the model again.",
    ),
    "a tokenizer of another program": (
        foreign_tokenizer,
        "D/joint.spm: a tokenizer of nmt has the pieces <pad>=0, <unk>=1, <s>=2, </s>=3. Train one with this program.",
    ),
    "a tokenizer without an end of the sentence": (
        edit_piece(3, 1, 2, b"</t>"),
        "D/joint.spm: a tokenizer of nmt has the pieces <pad>=0, <unk>=1, <s>=2, </s>=3. Train one with this program.",
    ),
    "an end of the sentence that can be typed": (
        edit_piece(3, 3, 0, 1),
        "D/joint.spm: a tokenizer of nmt has the pieces <pad>=0, <unk>=1, <s>=2, </s>=3. Train one with this program.",
    ),
    "one piece twice": (
        edit_piece(300, 1, 2, b"<pad>"),
        "D/joint.spm: not a whole SentencePiece model: its pieces are not distinct. Copy it again, or train a new one.",
    ),
    "a piece that is no text": (
        edit_piece(300, 1, 2, b"\xff"),
        "D/joint.spm: not a whole SentencePiece model: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte. Copy it again, or train a new one.",
    ),
    "a score that is no number": (
        edit_piece(300, 2, 5, struct.pack("<f", float("nan"))),
        "D/joint.spm: not a whole SentencePiece model: INTERNAL: score is NaN or Inf.. Copy it again, or train a new one.",
    ),
    "a score without end": (
        edit_piece(300, 2, 5, struct.pack("<f", float("inf"))),
        "D/joint.spm: not a whole SentencePiece model: INTERNAL: score is NaN or Inf.. Copy it again, or train a new one.",
    ),
    "an unknown piece of no text": (
        edit_settings(-2, 44, b"\xff\xfe"),
        "D/joint.spm: not a whole SentencePiece model: the unknown piece must be decoded as ⁇. Copy it again, or train a new one.",
    ),
    "an unknown piece that fills the memory": (
        edit_settings(-2, 44, b"x" * 1_000_000),
        "D/joint.spm: not a whole SentencePiece model: the unknown piece must be decoded as ⁇. Copy it again, or train a new one.",
    ),
    "a letter that becomes a megabyte": (
        edit_settings(-1, 2, struct.pack("<2I", 4, 0) + b"x" * 1_000_000 + b"\0"),
        "D/joint.spm: not a whole SentencePiece model: its normalization must replace a character by at most 100 bytes. Copy it again, or train a new one.",
    ),
    "a table larger than its file": (
        edit_settings(-1, 2, struct.pack("<2I", 2**31, 0) + b"x\0"),
        "D/joint.spm: not a whole SentencePiece model: its normalization must replace a character by at most 100 bytes. Copy it again, or train a new one.",
    ),
    "a table without an end": (
        edit_settings(-1, 2, struct.pack("<2I", 4, 0) + b"x"),
        "D/joint.spm: not a whole SentencePiece model: its normalization must replace a character by at most 100 bytes. Copy it again, or train a new one.",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "model"))


def refusal(folder: Path) -> str:
    with pytest.raises(NMTError) as caught:
        nmt.load(folder)
    assert caught.value.exit_status == 2
    return str(caught.value).replace(str(folder), "D")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_model_is_refused_by_name(name, folder):
    change, message = HOSTILE[name]
    change(folder)
    reseal(folder)
    assert refusal(folder) == message


LOAD_ALL = """
import resource, sys
import nmt, nmt.errors
good, *folders = sys.argv[1:]
nmt.load(good)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = used + 48 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for folder in folders:
    try:
        nmt.load(folder)
    except nmt.errors.NMTError as error:
        print(str(error).partition(": ")[0])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc for the memory in use")
def test_none_takes_more_than_a_little_memory(tmp_path):
    # Files of a megabyte at most, and 48 MiB beside what Python and the libraries have: JSON of a megabyte takes most.
    folders = []
    for number, (change, _) in enumerate(HOSTILE.values()):
        folders.append(Path(shutil.copytree(GOLDEN, tmp_path / str(number))))
        change(folders[-1])
        reseal(folders[-1])
    command = [sys.executable, "-c", LOAD_ALL, *map(str, [GOLDEN, *folders])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    named = [
        message.replace("D", str(folder), 1).partition(": ")[0]
        for folder, (_, message) in zip(folders, HOSTILE.values(), strict=True)
    ]
    assert done.stdout.splitlines() == named


def test_limits_that_are_huge_together_end_a_command_at_once(folder, monkeypatch, capfd):
    # Each is within its bounds: it loads, and died of a MemoryError in the search.
    set_config("decoding", beam_size=1000, max_length_ratio=100, max_source_pieces=10_000)(folder)
    reseal(folder)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x y\n")))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["translate", str(folder)])
    shown = capfd.readouterr()
    assert (stopped.value.code, shown.out) == (2, "")
    assert re.fullmatch(
        "error: beam_size: .* must be <= 16,777,216, .*beam_size=1000, max_source_pieces=10000, max_length_ratio=100.*\\n",
        shown.err,
    )
    with pytest.raises(NMTError, match="max_source_pieces"):
        nmt.load(folder).translate(["x y"])


NAMES = ["manifest.json", "config.json", "model.safetensors", "joint.spm", "README.md"]
IRREGULAR: dict[str, Callable[[Path, Path], object]] = {
    "a pipe": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
    "a link to the file itself": lambda path, elsewhere: path.symlink_to(elsewhere),
    "a link to nothing": lambda path, _: path.symlink_to(path.parent / "nothing"),
    "a link to itself": lambda path, _: path.symlink_to(path),
    "a link to an endless file": lambda path, _: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", IRREGULAR)
def test_what_is_no_file_is_neither_followed_nor_waited_for(name, kind, folder, tmp_path):
    (folder / name).rename(tmp_path / "elsewhere")
    IRREGULAR[kind](folder / name, tmp_path / "elsewhere")
    message = refusal(folder)
    if name == "manifest.json" and kind != "a link to the file itself":
        assert message == (
            "D: neither a model, which has manifest.json, nor a run directory. Give a folder that `nmt train` made."
        )
    elif kind.startswith("a link"):
        link = "It is a symbolic link: put the file itself there."
        assert message == f"D/{name}: can't read: Too many levels of symbolic links. {link}"
    else:
        assert message == f"D/{name}: can't read: it is not a regular file. Check the path."


def test_two_files_that_changed_places_are_refused(folder):
    for first in NAMES[1:]:
        for second in NAMES[1:]:
            if first < second:
                other = Path(shutil.copytree(GOLDEN, folder.parent / f"{first}-{second}"))
                (other / first).rename(other / "third")
                (other / second).rename(other / first)
                (other / "third").rename(other / second)
                with pytest.raises(NMTError) as caught:
                    nmt.load(other)
                assert str(caught.value).startswith(
                    (f"{other / first}: damaged: must have", f"{other / second}: damaged: must have")
                )


def test_weights_that_the_machine_has_no_room_for(folder, monkeypatch):
    def no_room(shape: Any, dtype: Any) -> np.ndarray:
        if shape == (32,):
            raise MemoryError
        return np.zeros(shape, dtype)

    monkeypatch.setattr(weights_file.np, "empty", no_room)
    assert refusal(folder) == (
        "D/model.safetensors: its weights need more memory than there is. Load it on a machine that has more."
    )
