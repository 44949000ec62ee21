"""A corpus of several blocks in a real run: the same course as ever, resumed exactly, and nothing left behind."""

from __future__ import annotations

import logging
import re

import pytest

from nmt import config
from nmt.data import blocks
from nmt.errors import CorpusError, FileError
from nmt.run_dir import RunDirectory
from nmt.text import tokenizer as tokenizer_module
from nmt.text.special import EOS_ID, PAD_ID
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


def test_tokenizers_are_the_same_for_each_seed(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer_module, "MAX_TRAINING_BYTES", 1000)  # of some 4,000, so that lines are drawn
    models = []
    for seed in (1, 2):
        settings, run_dir = open_run(with_changes(tree, {"seed": seed}), tmp_path / str(seed))
        pairs = preparation.read_pairs(settings).training
        models.append([one.model_bytes for one in preparation.load_tokenizers(settings, run_dir, pairs)])
    assert models[0] == models[1]


def sampled_rows(dataset, epoch):
    """Returns source and target pieces of each pair by its number."""
    dataset.epoch = epoch
    found = {}
    for batch in dataset:
        for source, labels, number in zip(batch.source_ids, batch.labels, batch.numbers.tolist(), strict=True):
            found[number] = tuple(
                tuple(i for i in row.tolist() if i not in (PAD_ID, EOS_ID)) for row in (source, labels)
            )
    return found


@pytest.mark.parametrize(
    ("changes", "sides"),
    [
        ({"alpha": 0.1}, {"source", "target"}),
        ({"alpha": 0.1, "sides": "source"}, {"source"}),
        ({"merge_dropout_rate": 0.4, "sides": "target"}, {"target"}),
        ({}, set()),
    ],
    ids=["both", "source", "target, bpe", "off"],
)
def test_segmentations_are_drawn_for_pairs_whatever_their_batch_and_block(changes, sides, tree, tmp_path, monkeypatch):
    model_type = "bpe" if "merge_dropout_rate" in changes else "unigram"
    tree = with_changes(tree, {"tokenizer.model_type": model_type, "tokenizer.sampling": changes})
    results = []
    for name, size, block_pairs in (("whole", 12, 96), ("divided", 5, 20)):
        monkeypatch.setattr(blocks, "BLOCK_PAIRS", block_pairs)
        settings, run_dir = open_run(with_changes(tree, {"batching.size": size}), tmp_path / name)
        pairs = preparation.read_pairs(settings)
        tokenizers = preparation.load_tokenizers(settings, run_dir, pairs.training)
        dataset = preparation.make_batches(settings, run_dir, pairs.training, *tokenizers)
        results.append([sampled_rows(dataset, epoch) for epoch in (0, 1, 0)])
    assert results[0] == results[1]
    first, second, again = results[0]
    assert first == again
    texts = list(pairs.training)
    changed = set()
    for number, rows in first.items():
        for side, one, other, text, own in zip(
            ("source", "target"), rows, second[number], texts[number - 1], tokenizers, strict=True
        ):
            assert own.decode([one, other]) == [text, text]
            if one != other:
                changed.add(side)
    assert changed == sides


def test_mistakes_in_any_corpus_show_before_a_run_directory_is_touched(corpora, tree, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_PAIRS", 12)
    broken = {"type": "files", "source": str(corpora / "train.en"), "target": str(corpora / "dev.fr")}
    for section in ("train", "dev", "test"):
        settings = config.validate(with_changes(tree, {f"data.{section}": broken}), "tiny")
        with pytest.raises(CorpusError, match="both sides must have the same number of lines"):
            preparation.read_pairs(settings)
