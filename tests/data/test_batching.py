"""Plans checked by hand, against plain Python, and over random lengths; padding against a brute-force rectangle."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.batching import POOL_BATCHES, pad, plan_batches, round_up
from nmt.errors import InputError

LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=300)
PLANS = {"size": st.integers(30, 200), "unit": st.sampled_from(["sentences", "tokens"]), "seed": st.integers(0, 2**31)}


def split(lengths):
    return [source for source, _ in lengths], [target for _, target in lengths]


def as_lists(plan):
    return [batch.tolist() for batch in plan]


def random_lengths(num_pairs, rng):
    target = rng.poisson(12, num_pairs) + 2
    return np.maximum(1, target + rng.integers(-3, 4, num_pairs)), target


class TestByHand:
    def test_sentences_in_order_of_the_longer_side_then_the_difference(self):
        # (longer, target - source):  0: (5, 0)   1: (2, 1)   2: (5, -4)   3: (2, -1)   4: (5, 4)
        plan = plan_batches([5, 1, 5, 2, 1], [5, 2, 1, 1, 5], size=2, unit="sentences", seed=1, epoch=0, shuffle=False)
        assert as_lists(plan) == [[3, 1], [2, 0], [4]]

    def test_tokens_count_the_padding_of_the_longer_side(self):
        # Sorted: lengths 2, 3, 4, 4, 10. 2 x 3 = 6 fits into 10; 3 x 4 = 12 does not. 2 x 4 = 8 fits, 3 x 10 does not.
        source, target = [10, 4, 2, 1, 1], [1, 4, 1, 3, 4]
        plan = plan_batches(source, target, size=10, unit="tokens", seed=1, epoch=0, shuffle=False)
        assert as_lists(plan) == [[2, 3], [1, 4], [0]]

    def test_tokens_fill_a_batch_to_the_last(self):
        plan = plan_batches([4] * 5, [4] * 5, size=8, unit="tokens", seed=1, epoch=0, shuffle=False)
        assert as_lists(plan) == [[0, 1], [2, 3], [4]]

    def test_ties_stay_in_the_order_of_the_corpus_without_shuffling(self):
        plan = plan_batches([3] * 7, [3] * 7, size=3, unit="sentences", seed=1, epoch=0, shuffle=False)
        assert as_lists(plan) == [[0, 1, 2], [3, 4, 5], [6]]

    def test_no_pairs(self):
        assert plan_batches([], [], size=3, unit="tokens", seed=1, epoch=0) == []

    def test_one_pair(self):
        assert as_lists(plan_batches([3], [4], size=4, unit="tokens", seed=1, epoch=0)) == [[0]]

    def test_the_order_of_a_seed_never_changes(self):
        # Stored when the module was written: a run resumed with another release or machine goes on in the same order.
        plan = plan_batches([3, 5, 3, 4, 4, 3, 5, 4], [3] * 8, size=2, unit="sentences", seed=7, epoch=2)
        assert as_lists(plan) == [[7, 3], [0, 5], [6, 1], [2, 4]]

    def test_the_order_is_the_same_in_another_process(self, rng):
        source, target = random_lengths(500, rng)
        plan = plan_batches(source, target, size=16, unit="sentences", seed=5, epoch=1)
        code = (
            "from nmt.data.batching import plan_batches\n"
            f"plan = plan_batches({source.tolist()}, {target.tolist()}, size=16, unit='sentences', seed=5, epoch=1)\n"
            "print([batch.tolist() for batch in plan])"
        )
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert printed.strip() == str(as_lists(plan))


class TestProperties:
    @given(lengths=LENGTHS, epoch=st.integers(0, 100), shuffle=st.booleans(), **PLANS)
    def test_each_pair_once(self, lengths, size, unit, seed, epoch, shuffle):
        plan = plan_batches(*split(lengths), size=size, unit=unit, seed=seed, epoch=epoch, shuffle=shuffle)
        assert sorted(index for batch in plan for index in batch.tolist()) == list(range(len(lengths)))
        assert all(len(batch) for batch in plan)

    @given(lengths=LENGTHS, epoch=st.integers(0, 100), **PLANS)
    def test_no_batch_is_too_large(self, lengths, size, unit, seed, epoch):
        for batch in plan_batches(*split(lengths), size=size, unit=unit, seed=seed, epoch=epoch):
            longest = max(max(lengths[index]) for index in batch)
            assert len(batch) * (longest if unit == "tokens" else 1) <= size

    @given(lengths=LENGTHS, **PLANS)
    def test_a_pure_function(self, lengths, size, unit, seed):
        plans = [plan_batches(*split(lengths), size=size, unit=unit, seed=seed, epoch=3) for _ in range(2)]
        assert as_lists(plans[0]) == as_lists(plans[1])

    @given(lengths=LENGTHS, **PLANS)
    def test_every_epoch_has_batches_of_the_same_sizes(self, lengths, size, unit, seed):
        def shapes(epoch):
            plan = plan_batches(*split(lengths), size=size, unit=unit, seed=seed, epoch=epoch)
            return sorted((len(batch), max(max(lengths[index]) for index in batch)) for batch in plan)

        assert shapes(0) == shapes(1) == shapes(9)

    @given(lengths=LENGTHS, size=st.integers(30, 200))
    def test_greedy_cuts_equal_plain_python(self, lengths, size):
        plan = plan_batches(*split(lengths), size=size, unit="tokens", seed=0, epoch=0, shuffle=False)
        expected, batch = [], []
        for index in sorted(range(len(lengths)), key=lambda i: (max(lengths[i]), lengths[i][1] - lengths[i][0], i)):
            if batch and (len(batch) + 1) * max(max(lengths[i]) for i in [*batch, index]) > size:
                expected.append(batch)
                batch = []
            batch.append(index)
        assert as_lists(plan) == expected + ([batch] if batch else [])


# 2,000 pairs in batches of 3 make seven pools of 100 batches, and some batches cross a joint; so with 45 tokens.
SIZE = {"sentences": 3, "tokens": 45}


@pytest.mark.parametrize("unit", ["sentences", "tokens"])
class TestRandomness:
    def test_seeds_and_epochs_differ(self, unit, rng):
        source, target = random_lengths(2000, rng)
        plans = [
            plan_batches(source, target, size=SIZE[unit], unit=unit, seed=seed, epoch=epoch)
            for seed in (1, 2)
            for epoch in (0, 1)
        ]
        groups = [{frozenset(batch.tolist()) for batch in plan} for plan in plans]
        assert len({tuple(np.concatenate(plan)) for plan in plans}) == 4
        for i, first in enumerate(groups):
            for second in groups[:i]:
                assert len(first & second) < 0.2 * len(first), "other batches too, not the same ones in another order"

    def test_pairs_of_a_batch_seldom_meet_again(self, unit, rng):
        # With one pool for all pairs it is about 0.10: they would meet as often as their lengths are alike.
        source, target = random_lengths(2000, rng)
        first, second = (
            plan_batches(source, target, size=SIZE[unit], unit=unit, seed=1, epoch=epoch) for epoch in (0, 1)
        )
        batch_of = np.empty(2000, int)
        for number, batch in enumerate(second):
            batch_of[batch] = number
        meetings = sum((batch_of[batch][:, None] == batch_of[batch]).sum() - len(batch) for batch in first)
        assert meetings / sum(len(batch) * (len(batch) - 1) for batch in first) < 0.07

    def test_length_says_nothing_about_when_a_batch_comes(self, unit, rng):
        source, target = random_lengths(2000, rng)
        plan = plan_batches(source, target, size=SIZE[unit], unit=unit, seed=1, epoch=0)
        means = np.array([target[batch].mean() for batch in plan])
        assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 5 / np.sqrt(len(means))

    def test_a_batch_across_two_pools_has_pairs_of_similar_length(self, unit, rng):
        source, target = random_lengths(2000, rng)
        longer = np.maximum(source, target)
        for batch in plan_batches(source, target, size=SIZE[unit], unit=unit, seed=1, epoch=0):
            assert np.ptp(longer[batch]) < np.ptp(longer) / 2


def test_far_less_padding_than_without_sorting(rng):
    source, target = random_lengths(80 * POOL_BATCHES, rng)
    plan = plan_batches(source, target, size=20, unit="sentences", seed=1, epoch=0)

    def padding(batches, lengths):
        return sum(len(batch) * lengths[batch].max() for batch in batches) / lengths.sum() - 1

    unsorted = np.split(np.arange(len(source)), range(20, len(source), 20))
    for lengths in (source, target):
        assert padding(plan, lengths) < 0.1 < 0.4 < padding(unsorted, lengths)


class TestRefused:
    def test_a_pair_longer_than_a_batch(self):
        with pytest.raises(InputError) as error:
            plan_batches([3, 4, 9], [3, 12, 9], size=11, unit="tokens", seed=1, epoch=0)
        message = str(error.value)
        assert "a pair alone is longer than a batch: 4 source and 12 target tokens" in message
        assert "Received: size=11, unit='tokens'" in message
        assert "Raise the size to 12 or more" in message

    def test_the_same_pair_is_no_problem_when_sentences_are_counted(self):
        assert len(plan_batches([3, 4, 9], [3, 12, 9], size=1, unit="sentences", seed=1, epoch=0)) == 3

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"unit": "words"}, "`sentences` or `tokens`. Received: unit='words'"),
            ({"size": 0}, "at least 1 of its unit. Received: size=0"),
            ({"target_lengths": [1, 2]}, r"source_lengths of shape \(3,\), target_lengths of shape \(2,\)"),
            ({"source_lengths": [1, 0, 2]}, "at least one token, the end of the sentence. Received: a length of 0"),
        ],
    )
    def test_arguments_outside_their_rule(self, arguments, message):
        valid = {"source_lengths": [1, 2, 3], "target_lengths": [1, 2, 3], "size": 2, "unit": "sentences"}
        with pytest.raises(InputError, match=message):
            plan_batches(**{**valid, **arguments}, seed=1, epoch=0)


class TestPad:
    @given(
        sequences=st.lists(st.lists(st.integers(0, 70_000), max_size=12), max_size=8),
        multiple=st.integers(1, 9),
        min_length=st.integers(0, 15),
    )
    def test_equals_a_rectangle_filled_cell_by_cell(self, sequences, multiple, min_length):
        length = max([min_length, *(len(sequence) for sequence in sequences)])
        while length % multiple:
            length += 1
        padded = pad(sequences, multiple, min_length)
        assert padded.shape == (len(sequences), length)
        assert padded.dtype == np.int32
        for padded_row, sequence in zip(padded.tolist(), sequences, strict=True):
            for position in range(length):
                assert padded_row[position] == (sequence[position] if position < len(sequence) else 0)

    def test_takes_arrays_of_any_integer_type(self):
        assert pad([np.array([7, 8], np.uint16), np.array([9], np.int64)]).tolist() == [[7, 8], [9, 0]]

    def test_refuses_a_multiple_below_one(self):
        with pytest.raises(InputError, match="Received: multiple=0"):
            pad([[1]], multiple=0)


def test_round_up_takes_arrays():
    assert round_up(np.array([1, 8, 9, 16]), 8).tolist() == [8, 8, 16, 16]
