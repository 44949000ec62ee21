"""The learning rate against its formulas, written once more in plain Python."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import ops

from nmt.training.schedules import WarmupSchedule
from tests.gradients import as_array

DECAYS = ("constant", "inverse_sqrt", "cosine")


def reference(update, *, peak, decay, warmup, length, floor):
    """The rate of the update of this number, counted from 1."""
    if update < warmup:
        return peak * update / warmup
    if decay == "constant":
        return peak
    if decay == "inverse_sqrt":
        if update <= warmup + length:
            return peak
        return peak * max(floor, math.sqrt((warmup + length) / update))
    done = min(1.0, (update - warmup) / length)
    return peak * floor + (peak - peak * floor) * (1 + math.cos(math.pi * done)) / 2


def rates(schedule, updates):
    return [float(ops.convert_to_numpy(schedule(update - 1))) for update in updates]


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("floor", [0.0, 0.1])
@pytest.mark.parametrize(("warmup", "length"), [(0, 1), (1, 1), (8, 30), (30, 8)])
def test_formula(decay, warmup, length, floor):
    schedule = WarmupSchedule(0.002, decay, warmup, length, floor)
    updates = [*range(1, 120), 1000, 100_000]
    expected = [
        reference(update, peak=0.002, decay=decay, warmup=warmup, length=length, floor=floor) for update in updates
    ]
    np.testing.assert_allclose(rates(schedule, updates), expected, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("decay", DECAYS)
def test_formula_at_random(decay, rng):
    for _ in range(10):
        warmup, length = int(rng.integers(0, 500)), int(rng.integers(1, 500))
        peak, floor = float(rng.uniform(1e-4, 1)), float(rng.uniform(0, 1))
        updates = rng.integers(1, 2000, 20).tolist()
        expected = [
            reference(update, peak=peak, decay=decay, warmup=warmup, length=length, floor=floor) for update in updates
        ]
        actual = rates(WarmupSchedule(peak, decay, warmup, length, floor), updates)
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=1e-6 * peak)


@pytest.mark.parametrize("decay", DECAYS)
def test_the_peak_is_reached_and_never_exceeded(decay):
    values = rates(WarmupSchedule(0.5, decay, warmup_updates=10, decay_updates=20), range(1, 200))
    assert max(values) == values[9] == 0.5
    assert all(value > 0 for value in values[:10])


def test_the_first_update_without_warmup_has_the_peak():
    assert rates(WarmupSchedule(0.25, "inverse_sqrt"), [1]) == [0.25]


def test_an_optimizer_takes_its_rates_from_it():
    """The n-th update moves by the n-th rate: plain gradient descent shows it."""
    schedule = WarmupSchedule(1.0, "cosine", warmup_updates=4, decay_updates=6, floor=0.2)
    optimizer, weight = keras.optimizers.SGD(schedule), keras.Variable(np.zeros(1, "float32"))
    optimizer.build([weight])
    positions = [0.0]
    for _ in range(12):
        optimizer.apply([ops.ones(1)], [weight])
        positions.append(float(as_array(weight.value)[0]))
    expected = [reference(u, peak=1.0, decay="cosine", warmup=4, length=6, floor=0.2) for u in range(1, 13)]
    np.testing.assert_allclose(-np.diff(positions), expected, rtol=1e-5)


def test_an_unknown_decay_is_refused():
    with pytest.raises(ValueError, match=r"must be 'constant', 'inverse_sqrt' or 'cosine'. Received: decay='linear'"):
        WarmupSchedule(1.0, "linear")


def test_configuration_round_trip():
    schedule = WarmupSchedule(0.3, "inverse_sqrt", 5, 7, 0.1)
    twin = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert type(twin) is WarmupSchedule
    assert twin.get_config() == schedule.get_config() == {
        "peak": 0.3, "decay": "inverse_sqrt", "warmup_updates": 5, "decay_updates": 7, "floor": 0.1,
    }  # fmt: skip
    assert rates(twin, [1, 5, 50]) == rates(schedule, [1, 5, 50])
