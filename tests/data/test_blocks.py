"""A corpus in several blocks: the same pairs and the same counts as in one, and batches that seed and epoch decide."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nmt.data import blocks
from nmt.data.blocks import BlockCorpus, tokenize
from nmt.data.corpus import TokenizedCorpus
from nmt.data.dataset import ParallelDataset
from nmt.errors import CorpusError, FileError
from nmt.text.corpus import SentencePair
from nmt.text.filters import PairFilter
from tests.data.numbered import NumberTokenizer, row


def make_pairs(num_pairs, seed=1):
    """Pairs of 1 to 9 ids a side; no id occurs in two pairs."""
    ids = iter(range(4, 60_000))
    lengths = np.random.default_rng(seed).integers(1, 10, (num_pairs, 2))
    return [SentencePair(*(" ".join(str(next(ids)) for _ in range(length)) for length in pair)) for pair in lengths]


def tokenized(pairs, folder, *, drop_duplicates=True, max_length=8):
    tokenizer = NumberTokenizer(60_000)
    pair_filter = PairFilter(max_length, 4.0, drop_duplicates)
    return tokenize(pairs, tokenizer, tokenizer, pair_filter, folder), pair_filter


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_PAIRS", 40)
    monkeypatch.setattr(blocks, "_BUFFER_BYTES", 100)


def sides(corpus):
    """Returns all pairs of a corpus as lists of ids, block by block."""
    parts = [corpus.block(number) for number in range(corpus.num_blocks)]
    return [(part.source(i).tolist(), part.target(i).tolist()) for part in parts for i in range(len(part))]


def mixed_pairs():
    """Good pairs, blank, too long and lopsided ones, and copies of all kinds far from the first."""
    pairs = make_pairs(300)
    pairs[7::50] = [SentencePair(" ", "5")] * 6
    pairs[9::60] = [SentencePair(f"{number} 9", "8 8 8 8 8 8 8 8 8") for number in range(5)]
    return [*pairs, *pairs[::3], SentencePair("5", "6 7\n8"), SentencePair("5", "6 7\n8")]


class TestTokenize:
    def test_up_to_a_block_it_is_in_memory(self, tmp_path, small_blocks):
        assert isinstance(tokenized(make_pairs(40), tmp_path)[0], TokenizedCorpus)
        assert isinstance(tokenized(make_pairs(41), tmp_path)[0], BlockCorpus)

    @pytest.mark.parametrize("drop_duplicates", [True, False])
    def test_pairs_and_counts_are_those_of_one_block(self, drop_duplicates, tmp_path, monkeypatch):
        pairs = mixed_pairs()
        whole, whole_filter = tokenized(pairs, tmp_path, drop_duplicates=drop_duplicates)
        monkeypatch.setattr(blocks, "BLOCK_PAIRS", 40)
        divided, divided_filter = tokenized(pairs, tmp_path, drop_duplicates=drop_duplicates)
        assert (whole.num_blocks, divided.num_blocks) == (1, -(-len(pairs) // 40))
        assert sorted(sides(divided)) == sorted(sides(whole))
        assert len(divided) == len(whole) == len(sides(whole))
        assert divided_filter.report() == whole_filter.report()
        assert divided_filter.counts == whole_filter.counts
        assert (whole_filter.counts["duplicate"] > 90) is drop_duplicates
        assert min(whole_filter.counts[reason] for reason in ("blank", "length", "ratio")) > 0

    def test_equal_pairs_share_a_block_and_keep_their_order(self, tmp_path, small_blocks):
        pairs = make_pairs(100)
        corpus, _ = tokenized([*pairs, *reversed(pairs)], tmp_path, drop_duplicates=False)
        for number in range(corpus.num_blocks):
            block = corpus.block(number)
            rows = [block.source(i).tolist() for i in range(len(block))]
            assert rows == [*rows[: len(rows) // 2], *rows[: len(rows) // 2][::-1]]

    def test_blocks_are_samples_of_the_corpus(self, tmp_path, monkeypatch):
        """Also of one in order, as from several sources: no block lacks the pairs of its start or end."""
        monkeypatch.setattr(blocks, "BLOCK_PAIRS", 1000)
        corpus, _ = tokenized([SentencePair(str(number), "4") for number in range(4, 4004)], tmp_path)
        for number in range(4):
            block = corpus.block(number)
            assert 850 < len(block) < 1150
            assert np.histogram(block.source_ids, 4, (4, 4004))[0].min() > 180

    def test_any_text(self, tmp_path, small_blocks):
        class Letters(NumberTokenizer):
            def encode(self, lines):
                return [[ord(letter) for letter in line] for line in lines]

        pairs = [SentencePair(f"a\nb\0{number}", "é\u2028😀"[: 1 + number % 3]) for number in range(100)]
        tokenizer = Letters(0x110000)
        corpus = tokenize(pairs, tokenizer, tokenizer, PairFilter(100, 100.0, True), tmp_path)
        texts = [tuple("".join(map(chr, side)) for side in pair) for pair in sides(corpus)]
        assert sorted(texts) == sorted(map(tuple, pairs))

    def test_lengths_alone(self, tmp_path, small_blocks):
        corpus, _ = tokenized(make_pairs(100), tmp_path)
        for number in range(corpus.num_blocks):
            block, (source, target) = corpus.block(number), corpus.block_lengths(number)
            assert (source == block.source_lengths).all()
            assert (target == block.target_lengths).all()
        assert repr(corpus) == f"BlockCorpus({len(corpus)} pairs in 3 blocks)"

    def test_a_block_without_pairs_is_none(self, tmp_path, small_blocks):
        pairs = [SentencePair("5 6", "7")] * 100  # equal pairs lie in one of three blocks
        corpus, pair_filter = tokenized(pairs, tmp_path)
        assert (corpus.num_blocks, len(corpus)) == (1, 1)
        assert pair_filter.report().startswith("kept 1 of 100 pairs; left out 99: 99 duplicates.")

    @pytest.mark.parametrize("num_pairs", [10, 100])
    def test_nothing_left(self, num_pairs, tmp_path, small_blocks):
        with pytest.raises(CorpusError, match=rf"nothing is left of the corpus: kept 0 of {num_pairs} pairs; left out"):
            tokenized([SentencePair(" ", str(number)) for number in range(num_pairs)], tmp_path)

    def test_no_pairs(self, tmp_path):
        with pytest.raises(CorpusError, match="nothing is left of the corpus: it has no sentence pairs"):
            tokenized([], tmp_path)

    def test_no_more_files_than_a_process_may_have(self, tmp_path, small_blocks, monkeypatch):
        monkeypatch.setattr(blocks, "MAX_BLOCKS", 2)
        assert tokenized(make_pairs(400), tmp_path)[0].num_blocks == 2

    def test_nothing_is_left_in_the_folder(self, tmp_path, small_blocks):
        corpus, _ = tokenized(make_pairs(100), tmp_path)
        assert len(corpus)
        assert list(tmp_path.iterdir()) == []

    def test_at_most_a_block_of_digests_is_held(self, tmp_path, small_blocks):
        most = []

        class Watched(PairFilter):
            def forget(self):
                most.append(len(self._seen))
                super().forget()

        tokenizer = NumberTokenizer(60_000)
        tokenize(make_pairs(400), tokenizer, tokenizer, Watched(100, 100.0, True), tmp_path)
        assert len(most) == 10
        assert sum(most) == 400
        assert max(most) < 80

    def test_a_folder_that_cannot_be_written(self, tmp_path, small_blocks):
        with pytest.raises(FileError, match="absent: can't write temporary files there"):
            tokenized(make_pairs(100), tmp_path / "absent")


def batches(dataset, epoch):
    dataset.epoch = epoch
    return [[(row(source), row(labels)) for source, labels in zip(batch.source_ids, batch.labels, strict=True)]
            for batch in dataset]  # fmt: skip


@pytest.mark.parametrize(("size", "unit"), [(6, "sentences"), (60, "tokens")])
@pytest.mark.usefixtures("small_blocks")
class TestBatches:
    @pytest.fixture
    def corpus(self, tmp_path):
        return tokenized(make_pairs(300), tmp_path)[0]

    def test_every_pair_once_in_each_epoch_and_the_epochs_differ(self, corpus, size, unit):
        dataset = ParallelDataset(corpus, size=size, unit=unit, seed=3)
        expected = sorted(([*source, 3], [*target, 3]) for source, target in sides(corpus))
        epochs = [batches(dataset, epoch) for epoch in range(4)]
        for epoch in epochs:
            assert len(epoch) == len(dataset)
            assert sorted(pair for batch in epoch for pair in batch) == expected
        assert len({str(epoch) for epoch in epochs}) == 4

    def test_the_blocks_come_in_another_order_in_each_epoch(self, corpus, size, unit):
        block_of = {
            tuple(corpus.block(number).target(i)): number
            for number in range(corpus.num_blocks)
            for i in range(len(corpus.block(number)))
        }
        dataset = ParallelDataset(corpus, size=size, unit=unit, seed=3)
        orders = []
        for epoch in range(4):
            visited = [[block_of[tuple(target[:-1])] for _, target in batch] for batch in batches(dataset, epoch)]
            assert all(len(set(batch)) == 1 for batch in visited)
            order = list(dict.fromkeys(batch[0] for batch in visited))
            assert [batch[0] for batch in visited] == sorted((batch[0] for batch in visited), key=order.index)
            orders.append(order)
        assert all(sorted(order) == list(range(corpus.num_blocks)) for order in orders)
        assert len(set(map(tuple, orders))) == 4

    def test_a_batch_is_a_function_of_seed_epoch_and_index(self, corpus, size, unit, rng):
        straight = ParallelDataset(corpus, size=size, unit=unit, seed=3)
        expected = {epoch: [batch.labels.tolist() for batch in straight] for epoch in range(1)}
        straight.epoch = 5
        expected[5] = [batch.labels.tolist() for batch in straight]
        jumping = ParallelDataset(corpus, size=size, unit=unit, seed=3)
        asked = [(epoch, index) for epoch in (0, 5) for index in range(len(straight))]
        for epoch, index in rng.permutation(asked).tolist():
            jumping.epoch = epoch
            assert jumping[index].labels.tolist() == expected[epoch][index]
        other = ParallelDataset(corpus, size=size, unit=unit, seed=4)
        assert [batch.labels.tolist() for batch in other] != expected[0]

    def test_numbers_tell_the_pairs_whatever_their_block(self, corpus, size, unit):
        dataset = ParallelDataset(corpus, size=size, unit=unit, seed=3, pad_multiple=4)
        pairs = make_pairs(300)
        seen = []
        for batch in dataset:
            for labels, number in zip(batch.labels, batch.numbers.tolist(), strict=True):
                assert " ".join(map(str, row(labels)[:-1])) == pairs[number - 1].target
                seen.append(number)
        assert len(set(seen)) == len(seen) == len(corpus)

    def test_one_block_is_read_at_a_time(self, corpus, size, unit, monkeypatch):
        read = []
        original = BlockCorpus.block
        monkeypatch.setattr(BlockCorpus, "block", lambda self, number: read.append(number) or original(self, number))
        dataset = ParallelDataset(corpus, size=size, unit=unit, seed=3)
        assert read == []  # counting needs the lengths alone
        for index in range(len(dataset)):
            _ = dataset[index]
        assert sorted(read) == list(range(corpus.num_blocks))


PROGRAM = """
import hashlib, sys
from pathlib import Path
from nmt.data import blocks
from nmt.data.dataset import ParallelDataset
from tests.data.test_blocks import make_pairs, tokenized

blocks.BLOCK_PAIRS = 40
dataset = ParallelDataset(tokenized(make_pairs(200), sys.argv[1])[0], size=7, unit="sentences", seed=2)
dataset.epoch = 3
print(hashlib.sha256(b"".join(batch.labels.tobytes() for batch in dataset)).hexdigest())
"""


@pytest.mark.usefixtures("small_blocks")
def test_batches_are_the_same_in_another_process(tmp_path):
    """Whatever salt Python's own `hash` has there."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": salt},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.usefixtures("small_blocks")
def test_the_order_of_the_pairs_does_not_choose_their_blocks(tmp_path):
    pairs = make_pairs(200)
    shuffled = random.Random(1).sample(pairs, len(pairs))
    first, second = (tokenized(one, tmp_path)[0] for one in (pairs, shuffled))
    for number in range(first.num_blocks):
        assert sorted(first.block(number).target_ids) == sorted(second.block(number).target_ids)
