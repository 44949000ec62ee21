"""The batches of a corpus, one epoch after another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.batching import round_up
from nmt.data.dataset import ParallelDataset
from nmt.errors import InputError
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID
from tests.data.numbered import encode, random_corpus, row, three_pieces_at_most


class TestBatches:
    def test_by_hand(self):
        # Rows with their control piece: lengths (3, 2) and (2, 4).
        corpus = encode([("11 12", "21"), ("13", "22 23 24")])
        batch = ParallelDataset(corpus, size=2, unit="sentences", seed=1, shuffle=False)[0]
        assert batch.source_ids.tolist() == [[11, 12, EOS_ID], [13, EOS_ID, PAD_ID]]
        assert batch.target_ids.tolist() == [[BOS_ID, 21, PAD_ID, PAD_ID], [BOS_ID, 22, 23, 24]]
        assert batch.labels.tolist() == [[21, EOS_ID, PAD_ID, PAD_ID], [22, 23, 24, EOS_ID]]
        assert batch.numbers.tolist() == [1, 2]

    def test_a_blank_side_is_the_end_of_the_sentence_alone(self):
        batch = ParallelDataset(encode([("", "")]), size=1, unit="sentences", seed=1)[0]
        assert (batch.source_ids.tolist(), batch.target_ids.tolist()) == ([[EOS_ID]], [[BOS_ID]])
        assert batch.labels.tolist() == [[EOS_ID]]

    @given(
        num_pairs=st.integers(1, 40),
        seed=st.integers(0, 1000),
        size=st.integers(20, 60),
        unit=st.sampled_from(["sentences", "tokens"]),
        shuffle=st.booleans(),
        pad_multiple=st.sampled_from([1, 4, 10]),
    )
    def test_rows_and_counts(self, num_pairs, seed, size, unit, shuffle, pad_multiple):
        corpus = random_corpus(num_pairs, np.random.default_rng(seed))
        dataset = ParallelDataset(corpus, size=size, unit=unit, seed=seed, shuffle=shuffle, pad_multiple=pad_multiple)
        seen = []
        for index, (source_ids, target_ids, labels, _) in enumerate(dataset):
            assert source_ids.dtype == target_ids.dtype == labels.dtype == np.int32
            assert target_ids.shape == labels.shape
            assert len(source_ids) == len(labels)
            assert source_ids.shape[1] % pad_multiple == labels.shape[1] % pad_multiple == 0
            real = target_ids != PAD_ID
            assert (real == (labels != PAD_ID)).all()
            assert (target_ids[:, 0] == BOS_ID).all()
            np.testing.assert_array_equal(labels[:, :-1][real[:, 1:]], target_ids[:, 1:][real[:, 1:]])  # the shift
            if unit == "tokens" and index != 1:  # the second may have more padding
                assert max(source_ids.size, labels.size) <= size
            seen += [(row(source), row(target)) for source, target in zip(source_ids, labels, strict=True)]
        expected = [
            ([*corpus.source(i).tolist(), EOS_ID], [*corpus.target(i).tolist(), EOS_ID]) for i in range(num_pairs)
        ]
        assert sorted(seen) == sorted(expected)

    @pytest.mark.parametrize("pad_multiple", [1, 8])
    def test_rows_are_no_longer_than_needed(self, pad_multiple, rng):
        dataset = ParallelDataset(random_corpus(100, rng), size=10, unit="sentences", seed=1, pad_multiple=pad_multiple)
        for index, batch in enumerate(dataset):
            for ids in (batch.source_ids, batch.labels):
                longest = max(len(row(ids)) for ids in ids)
                extra = ids.shape[1] - longest
                assert 0 <= extra < pad_multiple or index == 1

    def test_validation_runs_from_short_to_long_and_is_the_same_in_every_epoch(self, rng):
        dataset = ParallelDataset(random_corpus(50, rng), size=7, unit="sentences", seed=1, shuffle=False)
        first = contents(dataset)
        dataset.epoch = 5
        assert contents(dataset) == first
        longest = [max(batch.source_ids.shape[1], batch.labels.shape[1]) for batch in dataset]
        assert longest[:1] + longest[2:] == sorted(longest[:1] + longest[2:])

    def test_indices_as_in_a_list(self, rng):
        dataset = ParallelDataset(random_corpus(6, rng), size=2, unit="sentences", seed=1)
        assert dataset[-1].labels.tolist() == dataset[2].labels.tolist()
        assert dataset[-3].labels.tolist() == dataset[0].labels.tolist()
        with pytest.raises(IndexError):
            dataset[3]

    def test_refusals(self):
        corpus = encode([("11 12", "21"), ("13", "22 23 24")])
        with pytest.raises(InputError, match="a pair alone is longer than a batch: 2 source and 4 target tokens"):
            ParallelDataset(corpus, size=3, unit="tokens", seed=1)
        with pytest.raises(InputError, match="Received: pad_multiple=0"):
            ParallelDataset(corpus, size=3, unit="sentences", seed=1, pad_multiple=0)
        with pytest.raises(InputError, match="Received: epoch=-1"):
            ParallelDataset(corpus, size=3, unit="sentences", seed=1).epoch = -1


def contents(dataset):
    return [batch.labels.tolist() for batch in dataset]


class TestEpochs:
    @pytest.mark.parametrize(("size", "unit"), [(8, "sentences"), (60, "tokens")])
    def test_every_pair_once_in_each_of_three_epochs(self, size, unit, rng):
        corpus = random_corpus(300, rng)
        dataset = ParallelDataset(corpus, size=size, unit=unit, seed=4)
        num_batches = len(dataset)
        orders = []
        for epoch in range(3):
            dataset.epoch = epoch
            assert (dataset.epoch, len(dataset)) == (epoch, num_batches)
            rows = [row(labels) for batch in dataset for labels in batch.labels]
            assert sorted(rows) == sorted([*corpus.target(i).tolist(), EOS_ID] for i in range(300))
            orders.append(str(rows))
        assert len(set(orders)) == 3

    def test_every_other_batch_of_the_first_epochs_goes_the_other_way(self, rng):
        corpus = random_corpus(40, rng)
        one_way = ParallelDataset(corpus, size=6, unit="sentences", seed=4)
        dataset = ParallelDataset(corpus, size=6, unit="sentences", seed=4, bidirectional_epochs=2)
        for epoch, exchanged in enumerate([[1, 3, 5], [0, 2, 4, 6], []]):
            one_way.epoch = dataset.epoch = epoch
            for index, (batch, other) in enumerate(zip(dataset, one_way, strict=True)):
                sides = [batch.source_ids, batch.labels]
                if index in exchanged:
                    sides.reverse()
                assert [ids.tolist() for ids in sides] == [other.source_ids.tolist(), other.labels.tolist()]
                assert batch.numbers.tolist() == other.numbers.tolist()
                assert [ids[1:] for ids in map(row, batch.target_ids)] == [ids[:-1] for ids in map(row, batch.labels)]
            assert dataset[-1].labels.tolist() == dataset[6].labels.tolist()

    def test_seed_and_epoch_decide(self, rng):
        corpus = random_corpus(100, rng)
        first, second = (ParallelDataset(corpus, size=8, unit="sentences", seed=4) for _ in range(2))
        second.epoch = 7
        assert contents(first) != contents(second)
        first.epoch = 7
        assert contents(first) == contents(second)
        assert contents(ParallelDataset(corpus, size=8, unit="sentences", seed=5)) != contents(
            ParallelDataset(corpus, size=8, unit="sentences", seed=4)
        )

    def test_numbers_tell_the_pairs(self, rng):
        """Whatever the order: a row is the pair of its number, counted from 1."""
        corpus = random_corpus(100, rng)
        dataset = ParallelDataset(corpus, size=8, unit="sentences", seed=4)
        for epoch in range(2):
            dataset.epoch = epoch
            seen = []
            for batch in dataset:
                for source_ids, labels, number in zip(batch.source_ids, batch.labels, batch.numbers, strict=True):
                    assert row(source_ids) == [*corpus.source(int(number) - 1).tolist(), EOS_ID]
                    assert row(labels) == [*corpus.target(int(number) - 1).tolist(), EOS_ID]
                    seen.append(int(number))
            assert sorted(seen) == list(range(1, 101))

    def test_samplers_are_asked_for_each_sentence_of_each_epoch(self, rng):
        """Batches hold the pairs that they would hold without, and are as long as what was drawn needs."""
        corpus = random_corpus(30, rng)
        options = {"size": 8, "unit": "sentences", "seed": 4, "pad_multiple": 4}
        plain = ParallelDataset(corpus, **options)
        dataset = ParallelDataset(
            corpus,
            **options,
            source_sampler=lambda ids, epoch, number: [*ids.tolist(), 100 + epoch, 1000 + number],
            target_sampler=lambda ids, epoch, number: [2000 + number, 200 + epoch] if number % 2 else [],
        )
        for epoch in (0, 3):
            plain.epoch = dataset.epoch = epoch
            for expected, batch in zip(plain, dataset, strict=True):
                assert batch.numbers.tolist() == expected.numbers.tolist()
                assert {array.dtype for array in batch[:3]} == {np.dtype(np.int32)}
                longest = max(len(row(ids)) for ids in expected.source_ids)
                assert batch.source_ids.shape[1] == round_up(longest + 2, 4)
                assert batch.target_ids.shape[1] == batch.labels.shape[1] == 4
                for i, number in enumerate(batch.numbers.tolist()):
                    source = row(expected.source_ids[i])[:-1]
                    assert row(batch.source_ids[i]) == [*source, 100 + epoch, 1000 + number, EOS_ID]
                    target = [2000 + number, 200 + epoch] if number % 2 else []
                    assert row(batch.target_ids[i]) == [BOS_ID, *target]
                    assert row(batch.labels[i]) == [*target, EOS_ID]

    def test_numbers_count_the_pairs_that_were_left_out(self):
        """They are those of the corpora, where a person looks a pair up, not those of what the filter has kept."""
        corpus = encode([("", "9"), ("11", "21"), ("1 2 3 4", "5"), ("12", "22")], three_pieces_at_most())
        [batch] = ParallelDataset(corpus, size=4, unit="sentences", seed=1)
        found = {row(labels)[0]: number for labels, number in zip(batch.labels, batch.numbers.tolist(), strict=True)}
        assert found == {21: 2, 22: 4}
