"""Batches as `fit` takes them, of a corpus in one block and in several."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.dataset import ParallelDataset
from nmt.errors import InputError
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID
from tests.data.numbered import encode, random_corpus, row


class TestBatches:
    def test_by_hand(self):
        # Rows with their control piece: lengths (3, 2) and (2, 4).
        corpus = encode([("11 12", "21"), ("13", "22 23 24")])
        inputs, labels = ParallelDataset(corpus, size=2, unit="sentences", seed=1, shuffle=False)[0]
        assert inputs["source_ids"].tolist() == [[11, 12, EOS_ID], [13, EOS_ID, PAD_ID]]
        assert inputs["target_ids"].tolist() == [[BOS_ID, 21, PAD_ID, PAD_ID], [BOS_ID, 22, 23, 24]]
        assert labels.tolist() == [[21, EOS_ID, PAD_ID, PAD_ID], [22, 23, 24, EOS_ID]]

    def test_a_blank_side_is_the_end_of_the_sentence_alone(self):
        inputs, labels = ParallelDataset(encode([("", "")]), size=1, unit="sentences", seed=1)[0]
        assert (inputs["source_ids"].tolist(), inputs["target_ids"].tolist()) == ([[EOS_ID]], [[BOS_ID]])
        assert labels.tolist() == [[EOS_ID]]

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
        for index, (inputs, labels) in enumerate(dataset):
            source_ids, target_ids = inputs["source_ids"], inputs["target_ids"]
            assert source_ids.dtype == target_ids.dtype == labels.dtype == np.int32
            assert target_ids.shape == labels.shape
            assert len(source_ids) == len(labels)
            assert source_ids.shape[1] % pad_multiple == labels.shape[1] % pad_multiple == 0
            real = target_ids != PAD_ID
            assert (real == (labels != PAD_ID)).all()
            assert (target_ids[:, 0] == BOS_ID).all()
            np.testing.assert_array_equal(labels[:, :-1][real[:, 1:]], target_ids[:, 1:][real[:, 1:]])  # the shift
            assert dataset.num_target_tokens(index) == real.sum()
            assert dataset.num_padded_tokens(index) == labels.size
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
        for index, (inputs, labels) in enumerate(dataset):
            for ids in (inputs["source_ids"], labels):
                longest = max(len(row(ids)) for ids in ids)
                extra = ids.shape[1] - longest
                assert 0 <= extra < pad_multiple or index == 1

    def test_validation_runs_from_short_to_long_and_is_the_same_in_every_epoch(self, rng):
        dataset = ParallelDataset(random_corpus(50, rng), size=7, unit="sentences", seed=1, shuffle=False)
        first = [labels.tolist() for _, labels in dataset]
        dataset.epoch = 5
        assert [labels.tolist() for _, labels in dataset] == first
        longest = [max(inputs["source_ids"].shape[1], labels.shape[1]) for inputs, labels in dataset]
        assert longest[:1] + longest[2:] == sorted(longest[:1] + longest[2:])

    def test_indices_as_in_a_list(self, rng):
        dataset = ParallelDataset(random_corpus(6, rng), size=2, unit="sentences", seed=1)
        assert dataset[-1][1].tolist() == dataset[2][1].tolist()
        assert dataset.num_padded_tokens(-2) == dataset[1][1].size
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
    return [labels.tolist() for _, labels in dataset]


class TestEpochs:
    @pytest.mark.parametrize(("size", "unit"), [(8, "sentences"), (60, "tokens")])
    def test_three_epochs_as_fit_takes_them(self, size, unit, rng):
        corpus = random_corpus(300, rng)
        dataset = ParallelDataset(corpus, size=size, unit=unit, seed=4)
        num_batches = len(dataset)
        dataset.on_epoch_end()  # as `fit` does when it starts
        assert dataset.epoch == 0
        orders = []
        for epoch in range(3):
            assert (dataset.epoch, len(dataset)) == (epoch, num_batches)
            dataset.on_epoch_begin()
            rows = [row(labels) for index in range(num_batches) for labels in dataset[index][1]]
            dataset.on_epoch_end()
            assert sorted(rows) == sorted([*corpus.target(i).tolist(), EOS_ID] for i in range(300))
            orders.append(str(rows))
        assert len(set(orders)) == 3

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

    def test_an_epoch_broken_off_begins_again(self, rng):
        dataset = ParallelDataset(random_corpus(100, rng), size=8, unit="sentences", seed=4)
        dataset.on_epoch_begin()
        _ = dataset[0]
        dataset.on_epoch_end()
        assert dataset.epoch == 0


class Sum(keras.metrics.Metric):
    """Sums the labels of an epoch: exact in float32 below 2 ** 24."""

    def __init__(self):
        super().__init__(name="sum")
        self.total = self.add_weight(shape=(), initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(keras.ops.cast(keras.ops.sum(y_true), "float32"))

    def result(self):
        return keras.ops.convert_to_tensor(self.total)


class RecordingDataset(ParallelDataset):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = []

    def on_epoch_begin(self):
        super().on_epoch_begin()
        self.calls.append([])

    def __getitem__(self, index):
        if self.calls:
            self.calls[-1].append((self.epoch, index))
        return super().__getitem__(index)


def tiny_model():
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("source_ids", "target_ids")}
    summary = keras.ops.sum(keras.layers.Embedding(1000, 2)(inputs["source_ids"]), axis=1, keepdims=True)
    states = keras.layers.Embedding(1000, 2)(inputs["target_ids"]) + summary
    model = keras.Model(inputs, keras.layers.Dense(4)(states))
    model.compile("sgd", lambda y_true, y_pred: keras.ops.mean(y_pred**2, axis=-1), metrics=[Sum()])
    return model


class TestInFit:
    def random_pairs(self, num_pairs, rng):
        lengths = rng.integers(1, 9, (num_pairs, 2))
        return encode([tuple(" ".join(map(str, rng.integers(4, 99, length))) for length in pair) for pair in lengths])

    @pytest.mark.parametrize(
        ("num_pairs", "size", "unit"), [(60, 8, "sentences"), (60, 30, "tokens"), (3, 2, "sentences")]
    )
    def test_fit_sees_every_pair_once_in_each_epoch(self, num_pairs, size, unit, rng):
        corpus = self.random_pairs(num_pairs, rng)
        dataset = RecordingDataset(corpus, size=size, unit=unit, seed=1)
        history = tiny_model().fit(dataset, epochs=3, shuffle=False, verbose=0)
        once = int(corpus.target_ids.sum()) + num_pairs * EOS_ID
        assert history.history["sum"] == [once] * 3
        calls = dataset.calls[-3:]  # Keras may look at a batch before, to build the model
        assert calls == [[(epoch, index) for index in range(len(dataset))] for epoch in range(3)]
        assert dataset.epoch == 3

    def test_a_callback_may_set_the_epoch(self, rng):
        dataset = RecordingDataset(self.random_pairs(30, rng), size=8, unit="sentences", seed=1)
        callback = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(dataset, "epoch", epoch))
        tiny_model().fit(dataset, initial_epoch=4, epochs=6, shuffle=False, verbose=0, callbacks=[callback])
        assert dataset.calls[-2:] == [[(epoch, index) for index in range(4)] for epoch in (4, 5)]

    @pytest.mark.parametrize("shuffle", [True, False])
    def test_lengths_shared_by_the_first_batches_are_not_taken_for_fixed(self, shuffle):
        # The bug: five pairs of one length, then longer ones, in batches of two. Keras on TensorFlow read "length 3"
        # off the first two batches and stopped at the third.
        corpus = encode([("11 12", "21 22")] * 5 + [("11 12 13 14", "21 22 23 24")] * 5)
        dataset = ParallelDataset(corpus, size=2, unit="sentences", seed=1, shuffle=shuffle)
        shapes = [{array.shape[1] for array in (*dataset[i][0].values(), dataset[i][1])} for i in (0, 1)]
        assert not shapes[0] & shapes[1]
        history = tiny_model().fit(dataset, epochs=2, shuffle=False, verbose=0, validation_data=dataset)
        once = int(corpus.target_ids.sum()) + 10 * EOS_ID
        assert history.history["sum"] == history.history["val_sum"] == [once] * 2
