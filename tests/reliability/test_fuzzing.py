"""Whatever is written over a part of what comes from strangers: a message that names the file, or a good load.

`--soak N` tries N times as many changes; the seed is drawn, and printed.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt
from nmt import config
from nmt.errors import NMTError
from nmt.text.tokenizer import train_tokenizer
from tests.reliability.mutations import changed, reseal

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "model"
TEXT = ["we see the sea", "the sea sees me", "naïve café 😀 ﬁn Ⅷ", "the red house is here"] * 3


def tried(call: Callable[[], Any]) -> tuple[Any, str]:
    """What a call returns, and the message with which it refuses; any other error is the test's."""
    try:
        return call(), ""
    except NMTError as error:
        return None, str(error)


def is_short(message: str) -> bool:
    """Whether a person can read it: a line for each of at most 20 problems."""
    return len(message) < 8000 and message.count("\n") <= 21


@pytest.fixture
def generator(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.mark.parametrize("name", ["quickstart.yaml", "every key"])
def test_a_configuration_is_refused_by_name_or_read(name, generator, soak, tmp_path):
    path = tmp_path / "config.yaml"
    content = (ROOT / "configs" / "quickstart.yaml").read_bytes()
    if name == "every key":
        path.write_bytes(content)
        content = config.dump(config.load(path)).encode()
    num_refused = 0
    for _ in range(60 * soak):
        path.write_bytes(changed(content, generator))
        read, refusal = tried(lambda: config.load(path))
        if refusal:
            num_refused += 1
            assert refusal.startswith(f"{path}: ")
            assert is_short(refusal), refusal
        else:
            (tmp_path / "again.yaml").write_text(config.dump(read))
            assert config.load(tmp_path / "again.yaml") == read
    assert 20 * soak < num_refused < 60 * soak


@pytest.mark.parametrize("key", ["seed", "model", "data.train", "training.learning_rate", "source_language"])
def test_a_word_of_set_is_refused_by_name_or_read(key, generator, soak):
    path = ROOT / "configs" / "quickstart.yaml"
    for _ in range(20 * soak):
        value = changed(b"{type: files, source: a.en, target: [1, 2.5e3, null]}", generator).decode("utf-8", "replace")
        word = f"{key}={value}"
        _, refusal = tried(lambda word=word: config.load(path, [word]))  # type: ignore[misc]
        if refusal:
            assert key.partition(".")[0] in refusal
            assert is_short(refusal), refusal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "model"))


@pytest.mark.parametrize(
    ("name", "count"),
    [("manifest.json", 120), ("config.json", 120), ("model.safetensors", 120), ("README.md", 20), ("joint.spm", 40)],
)
def test_a_model_is_refused_by_name_or_is_the_same(name, count, folder, generator, soak):
    """All but the manifest are sealed anew, so that what is behind the sha256 is reached."""
    path = folder / name
    content = path.read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0] if name == "model.safetensors" else len(content)
    expected = nmt.load(folder)
    num_refused = 0
    for _ in range(count * soak):
        path.write_bytes(changed(content[:header], generator) + content[header:])
        if name != "manifest.json":
            reseal(folder)
        loaded, refusal = tried(lambda: nmt.load(folder))
        if refusal:
            num_refused += 1
            assert refusal.startswith(str(folder))
            assert is_short(refusal), refusal
            continue
        if name == "model.safetensors":  # what was read lies where the file says, and nothing else does
            assert loaded.model.weights.keys() == expected.model.weights.keys()
            assert all(np.isfinite(weight).all() for weight in loaded.model.weights.values())
        elif name in ("manifest.json", "README.md"):
            for weight, one in expected.model.weights.items():
                assert loaded.model.weights[weight].tobytes() == one.tobytes()
    if name not in ("README.md", "joint.spm"):
        assert num_refused > count * soak / 2


def test_weights_of_any_bytes_are_finite_or_refused(folder, generator, soak):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    for _ in range(30 * soak):
        data = bytearray(content)
        place = start + 4 * generator.randrange((len(data) - start) // 4)
        number = struct.pack("<f", generator.choice((float("nan"), float("inf"), -float("inf"))))
        data[place : place + 4] = number
        path.write_bytes(data)
        reseal(folder)
        with pytest.raises(
            NMTError, match=r"weight `[\w/]+` must be finite\. Received: NaN or infinite values\."
        ) as caught:
            nmt.load(folder)
        assert str(caught.value).startswith(f"{path}: ")


def test_every_cut_of_a_model_is_refused_by_name(folder, generator, soak):
    for path in sorted(GOLDEN.iterdir()):
        content = path.read_bytes()
        whole = len(content.rstrip())  # what follows JSON says nothing
        for size in {0, 1, whole - 1, *(generator.randrange(whole) for _ in range(6 * soak))}:
            (folder / path.name).write_bytes(content[:size])
            with pytest.raises(NMTError) as caught:
                nmt.load(folder)
            assert str(caught.value).startswith(str(folder / path.name))
            if path.name in ("config.json", "model.safetensors"):
                reseal(folder)
                with pytest.raises(NMTError) as caught:
                    nmt.load(folder)
                assert str(caught.value).startswith(str(folder / path.name))
                shutil.copy(GOLDEN / "manifest.json", folder)
        (folder / path.name).write_bytes(content)


def test_no_tokenizer_ends_the_process(seed, soak, tmp_path):
    """SentencePiece is C++: a table or a size that it believes could make it read beyond its memory."""
    paths = []
    for model_type in ("unigram", "bpe"):
        for normalization in ("identity", "nmt_nfkc"):
            paths.append(tmp_path / f"{model_type}-{normalization}.spm")
            trained = train_tokenizer(TEXT, vocabulary_size=300, model_type=model_type, normalization=normalization)
            paths[-1].write_bytes(trained.model_bytes)
    count = 400 * soak
    command = [
        sys.executable,
        "-m",
        "tests.reliability.mutations",
        *map(str, paths),
        f"--seed={seed}",
        f"--count={count}",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    *_, last = done.stdout.splitlines()
    name = signal.Signals(-done.returncode).name if done.returncode < 0 else done.returncode
    assert done.returncode == 0, f"{name} at {last} of seed {seed}: {done.stderr[-2000:]}"
    assert 0 < int(last.removeprefix("loaded ")) < count


def test_json_of_the_manifest_that_says_the_same_is_read(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest))  # other white space
    assert nmt.load(folder).source_language == "en"
