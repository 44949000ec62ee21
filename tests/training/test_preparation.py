"""A corpus of several blocks in a real run: the same course as ever, resumed exactly, and nothing left behind."""

from __future__ import annotations

import logging
import re

import pytest

from nmt import config
from nmt.data import blocks
from nmt.errors import CorpusError, FileError
from nmt.run_dir import RunDirectory
from nmt.training import preparation
from tests.training import tiny_run
from tests.training.tiny_run import assert_same_run, run, tiny_tree, with_changes


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    tiny_run.write_corpora(folder)
    return folder


@pytest.fixture
def tree(corpora):
    return with_changes(tiny_tree(corpora), {"training.max_epochs": 3})


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_PAIRS", 12)


def open_run(tree, folder):
    settings = config.validate(tree, "tiny")
    return settings, RunDirectory.create(folder, config_yaml=config.dump(settings), versions={})


def kept(caplog):
    [message] = [text for text in caplog.messages if text.startswith("training corpora: ")]
    return message


@pytest.mark.usefixtures("small_blocks")
class TestSeveralBlocks:
    def test_a_resumed_run_is_the_run_that_was_never_interrupted(self, tree, tmp_path, caplog):
        caplog.set_level(logging.INFO, "nmt")
        straight = run(tree, tmp_path / "straight")
        assert re.search("more than 12 pairs: they are tokenized into 4 blocks on disk", caplog.text)
        with pytest.MonkeyPatch.context() as monkeypatch:
            tiny_run.interrupt_after(monkeypatch, epoch=2)
            with pytest.raises(KeyboardInterrupt):
                run(tree, tmp_path / "run")
        assert_same_run(run(tree, tmp_path / "run", resume=True), straight)

    def test_nothing_is_left_in_the_run_directory(self, tree, tmp_path):
        run_dir = run(with_changes(tree, {"training.max_epochs": 1}), tmp_path / "run")
        assert sorted(path.name for path in run_dir.path.iterdir()) == [
            "best", "checkpoints", "config.yaml", "lock", "metrics.jsonl", "tensorboard", "tokenizer", "versions.json",
        ]  # fmt: skip

    def test_a_full_disk(self, tree, tmp_path, monkeypatch):
        from nmt.data import spool

        opened = lambda **_: open("/dev/full", "r+b", buffering=0)  # noqa: E731, PTH123, SIM115
        monkeypatch.setattr(spool.tempfile, "TemporaryFile", opened)
        with pytest.raises(
            FileError, match=r"run: can't write temporary files there: No space left .* Free some space"
        ):
            run(tree, tmp_path / "run")


@pytest.mark.parametrize("is_joint", [True, False])
def test_tokenizers_filter_and_pairs_are_those_of_one_block(is_joint, corpora, tree, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "nmt")
    files = [tree["data"]["train"], {**tree["data"]["train"]}]  # every pair twice
    changes = {
        "data.train": files, "data.max_length_pieces": 3, "tokenizer.joint": is_joint, "model.tied_embeddings": "none",
    }  # fmt: skip
    tree = with_changes(tree, changes)
    results = []
    for name, block_pairs in (("whole", 96), ("divided", 20)):
        monkeypatch.setattr(blocks, "BLOCK_PAIRS", block_pairs)
        settings, run_dir = open_run(tree, tmp_path / name)
        pairs = preparation.read_pairs(settings)
        caplog.clear()
        tokenizers = preparation.load_tokenizers(settings, run_dir, pairs.training)
        dataset = preparation.make_batches(settings, run_dir, pairs.training, *tokenizers)
        corpus = dataset.corpus
        parts = [corpus.block(number) for number in range(corpus.num_blocks)]
        rows = [(part.source(i).tolist(), part.target(i).tolist()) for part in parts for i in range(len(part))]
        results.append((sorted(rows), [one.model_bytes for one in tokenizers], kept(caplog)))
    assert len(parts) > 1
    assert results[0] == results[1]
    assert "duplicates" in results[0][2]
    assert "longer than 3 pieces" in results[0][2]


def test_mistakes_in_any_corpus_show_before_a_run_directory_is_touched(corpora, tree, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_PAIRS", 12)
    broken = {"type": "files", "source": str(corpora / "train.en"), "target": str(corpora / "dev.fr")}
    for section in ("train", "dev", "test"):
        settings = config.validate(with_changes(tree, {f"data.{section}": broken}), "tiny")
        with pytest.raises(CorpusError, match="both sides must have the same number of lines"):
            preparation.read_pairs(settings)
