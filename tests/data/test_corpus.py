"""The corpus in flat arrays, with a stand-in for the tokenizer."""

import numpy as np
import pytest

from nmt.data import corpus as corpus_module
from nmt.data.corpus import TokenizedCorpus
from nmt.text.corpus import SentencePair
from tests.data.numbered import NumberTokenizer, encode, three_pieces_at_most


class TestTokenizedCorpus:
    PAIRS = (("11 12", "21"), ("", "22"), ("13", "23 24 25"), ("14 15 16 17", "26"), ("18", "27"))

    def test_every_pair_in_order(self):
        corpus = encode(self.PAIRS)
        assert len(corpus) == 5
        assert [corpus.source(i).tolist() for i in range(5)] == [[11, 12], [], [13], [14, 15, 16, 17], [18]]
        assert [corpus.target(i).tolist() for i in range(5)] == [[21], [22], [23, 24, 25], [26], [27]]
        assert corpus.source(0).dtype == corpus.target(0).dtype == np.int32
        assert corpus.source_lengths.tolist() == [2, 0, 1, 4, 1]
        assert corpus.target_lengths.tolist() == [1, 1, 3, 1, 1]
        assert (corpus.source(-1).tolist(), corpus.target(-1).tolist()) == ([18], [27])
        with pytest.raises(IndexError):
            corpus.source(5)
        assert corpus.numbers.tolist() == [1, 2, 3, 4, 5]
        assert repr(corpus) == "TokenizedCorpus(5 pairs, 8 + 7 pieces)"

    def test_the_filter_leaves_out_and_counts(self):
        pair_filter = three_pieces_at_most()
        corpus = encode(self.PAIRS, pair_filter)
        assert [corpus.source(i).tolist() for i in range(3)] == [[11, 12], [13], [18]]
        assert [corpus.target(i).tolist() for i in range(3)] == [[21], [23, 24, 25], [27]]
        assert corpus.numbers.tolist() == [1, 3, 5]
        assert pair_filter.report() == "kept 3 of 5 pairs; left out 2: 1 with a blank side, 1 longer than 3 pieces"

    @pytest.mark.parametrize("chunk_pairs", [1, 2, 3, 100])
    def test_chunks_change_nothing(self, chunk_pairs, monkeypatch):
        monkeypatch.setattr(corpus_module, "CHUNK_PAIRS", chunk_pairs)
        corpus, whole = encode(self.PAIRS, three_pieces_at_most()), encode([self.PAIRS[i] for i in (0, 2, 4)])
        for name in ("source_ids", "source_offsets", "target_ids", "target_offsets"):
            assert getattr(corpus, name).tolist() == getattr(whole, name).tolist()
        assert corpus.numbers.tolist() == [1, 3, 5]

    def test_at_most_a_chunk_is_read_ahead(self, monkeypatch):
        monkeypatch.setattr(corpus_module, "CHUNK_PAIRS", 3)
        tokenizer = NumberTokenizer()
        TokenizedCorpus.from_pairs((SentencePair("4", "5") for _ in range(8)), tokenizer, tokenizer)
        assert tokenizer.chunk_sizes == [3, 3, 3, 3, 2, 2]  # source and target of each chunk

    @pytest.mark.parametrize(
        ("vocabulary_size", "dtype"),
        [(256, np.uint8), (257, np.uint16), (65_536, np.uint16), (65_537, np.uint32)],
    )
    def test_the_smallest_type_that_holds_the_vocabulary(self, vocabulary_size, dtype):
        last = vocabulary_size - 1
        corpus = encode([(f"4 {last}", f"{last}")], vocabulary_size=vocabulary_size)
        assert corpus.source_ids.dtype == corpus.target_ids.dtype == dtype
        assert corpus.source(0).tolist() == [4, last]

    @pytest.mark.parametrize("pairs", [[], [("1 2 3 4", "1"), (" ", "1")]])
    def test_nothing_left(self, pairs):
        corpus = encode(pairs, three_pieces_at_most())
        assert len(corpus) == len(corpus.source_ids) == len(corpus.target_ids) == 0

    def test_it_is_one_block(self):
        corpus = encode(self.PAIRS)
        assert corpus.num_blocks == 1
        assert corpus.block(0) is corpus
        assert [lengths.tolist() for lengths in corpus.block_lengths(0)] == [[2, 0, 1, 4, 1], [1, 1, 3, 1, 1]]
        with pytest.raises(IndexError):
            corpus.block(1)
