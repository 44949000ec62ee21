"""Each update rule against one written in NumPy, in float64: averages, weight decay, the cut of the rate."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from nmt.training.optimizers import averaged_weights, build_optimizer
from nmt.training.schedules import WarmupSchedule
from tests.gradients import as_array, value_and_gradients

NAMES = ("adam", "adamw", "rmsprop")
SHAPES = {"kernel": (3, 4), "bias": (4,), "output_bias": (5,), "scale": ()}
DECAYED = {"kernel", "scale"}
RATE, WEIGHT_DECAY, EMA_DECAY = 0.01, 0.1, 0.3


class Reference:
    """Adam (Kingma and Ba, algorithm 1), AdamW (Loshchilov and Hutter, algorithm 2) and RMSprop (Tieleman and Hinton).

    With Keras's constants, and Adam's epsilon where Keras has it: added to the root of the uncorrected second moment.
    """

    def __init__(self, name, values):
        self.name = name
        self.values = {key: value.astype("float64") for key, value in values.items()}
        self.first = {key: np.zeros(value.shape) for key, value in values.items()}
        self.second = {key: np.zeros(value.shape) for key, value in values.items()}
        self.averages = dict(self.values)
        self.num_updates = 0

    def apply(self, gradients, rate=RATE):
        self.num_updates += 1
        for key, gradient in gradients.items():
            self._apply_one(key, gradient.astype("float64"), rate)
            num_before = self.num_updates - 1
            decay = min(EMA_DECAY, num_before / (num_before + 9))  # 0, 1/10, 2/11, 3/12, then 0.3
            self.averages[key] = decay * self.averages[key] + (1 - decay) * self.values[key]

    def _apply_one(self, key, gradient, rate):
        first, second, t = self.first, self.second, self.num_updates
        if self.name == "rmsprop":
            second[key] = 0.9 * second[key] + 0.1 * gradient**2
            self.values[key] = self.values[key] - rate * gradient / np.sqrt(second[key] + 1e-7)
            return
        if self.name == "adamw" and key in DECAYED:
            self.values[key] = self.values[key] * (1 - rate * WEIGHT_DECAY)
        first[key] = 0.9 * first[key] + 0.1 * gradient
        second[key] = 0.999 * second[key] + 0.001 * gradient**2
        corrected = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        self.values[key] = self.values[key] - corrected * first[key] / (np.sqrt(second[key]) + 1e-7)


def make_weights(rng):
    return {name: keras.Variable(rng.normal(size=shape).astype("float32"), name=name) for name, shape in SHAPES.items()}


def make_gradients(rng, size):
    gradients = {name: rng.normal(size=shape).astype("float32") for name, shape in SHAPES.items()}
    return {name: np.float32(size) * gradient for name, gradient in gradients.items()}


def apply(optimizer, gradients, weights):
    optimizer.apply([ops.convert_to_tensor(gradients[name]) for name in weights], list(weights.values()))


def build(name, weights, *, rate=RATE, ema_decay=None):
    optimizer = build_optimizer(name, rate, weight_decay=WEIGHT_DECAY, ema_decay=ema_decay)
    optimizer.build(list(weights.values()))
    return optimizer


def values_of(weights):
    return {name: as_array(weight.value) for name, weight in weights.items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0.01, 10.0])
def test_updates_equal_the_reference(name, size, rng):
    weights = make_weights(rng)
    reference = Reference(name, values_of(weights))
    optimizer = build(name, weights, ema_decay=EMA_DECAY)
    for _ in range(8):
        gradients = make_gradients(rng, size)
        apply(optimizer, gradients, weights)
        reference.apply(gradients)
        averages = averaged_weights(optimizer)
        for key, weight in weights.items():
            np.testing.assert_allclose(as_array(weight.value), reference.values[key], rtol=1e-4, atol=2e-6)
            np.testing.assert_allclose(
                as_array(averages[id(weight)].value), reference.averages[key], rtol=1e-4, atol=2e-6
            )


def test_a_gradient_of_zero_changes_nothing():
    weights = {"bias": keras.Variable(np.ones(3, "float32"), name="bias")}
    optimizer = build("adam", weights)
    apply(optimizer, {"bias": np.zeros(3, "float32")}, weights)
    np.testing.assert_array_equal(as_array(weights["bias"].value), np.ones(3))


@pytest.mark.parametrize("name", NAMES)
def test_rate_scale_cuts_the_rate(name, rng):
    """At a scale of 1/4 everything, weight decay too, moves as at a quarter of the rate."""
    weights = make_weights(rng)
    reference = Reference(name, values_of(weights))
    schedule = WarmupSchedule(RATE, "constant", warmup_updates=2)
    optimizer = build(name, weights, rate=schedule)
    assert float(optimizer.rate_scale) == 1.0
    rates = [RATE / 2, RATE, RATE / 4, RATE / 4]
    for number, rate in enumerate(rates):
        if number == 2:
            optimizer.rate_scale.assign(0.25)
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        gradients = make_gradients(rng, 1.0)
        apply(optimizer, gradients, weights)
        reference.apply(gradients, rate)
    for key, weight in weights.items():
        np.testing.assert_allclose(as_array(weight.value), reference.values[key], rtol=1e-4, atol=2e-6)


def test_weight_decay_leaves_biases_alone(rng):
    """With gradients of zero the decay is all that happens."""
    weights = make_weights(rng)
    before = values_of(weights)
    optimizer = build("adamw", weights)
    apply(optimizer, {name: np.zeros(shape, "float32") for name, shape in SHAPES.items()}, weights)
    for name, weight in weights.items():
        factor = 1 - RATE * WEIGHT_DECAY if name in DECAYED else 1.0
        np.testing.assert_allclose(as_array(weight.value), before[name] * factor, rtol=1e-6, err_msg=name)


def test_weight_decay_of_a_model_spares_its_biases_and_gains_alone():
    from nmt.model import Seq2Seq

    model = Seq2Seq(
        source_vocabulary_size=9,
        target_vocabulary_size=9,
        embedding_size=3,
        encoder_size=3,
        decoder_size=3,
        attention_size=3,
        decoder="input_feeding",
        layer_norm=True,
    )
    optimizer = build_optimizer("adamw", 0.1, weight_decay=0.5)
    optimizer.build(model.trainable_variables)
    weights = model.named_weights()
    for weight in weights.values():
        weight.assign(ops.ones(weight.shape))
    optimizer.apply([ops.zeros(weight.shape) for weight in model.trainable_variables], model.trainable_variables)
    shrunk = {name for name, weight in weights.items() if as_array(weight.value).max() < 1}
    spared = {"bias", "candidate_bias", "output_bias", "gain", "recurrent_gain", "context_gain"}
    assert {name for name in weights if name.rpartition("/")[2] in spared} == weights.keys() - shrunk


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_the_others_decay_nothing(name, rng):
    weights = make_weights(rng)
    before = values_of(weights)
    apply(build(name, weights), {key: np.zeros(shape, "float32") for key, shape in SHAPES.items()}, weights)
    for key, value in values_of(weights).items():
        np.testing.assert_array_equal(value, before[key])


def test_averages_are_kept_where_asked_alone(rng):
    weights = make_weights(rng)
    assert averaged_weights(build("adam", weights)) == {}
    averages = averaged_weights(build("adam", weights, ema_decay=0.5))
    assert averages.keys() == {id(weight) for weight in weights.values()}
    for weight in weights.values():
        assert averages[id(weight)].shape == weight.shape
        assert averages[id(weight)] is not weight


def test_the_state_is_all_in_the_variables(rng):
    """What a checkpoint holds is enough: a second optimizer, given the variables of the first, goes on as it would."""
    weights, twins = make_weights(rng), make_weights(rng)
    first, second = (build("adamw", group, ema_decay=EMA_DECAY) for group in (weights, twins))
    for _ in range(3):
        apply(first, make_gradients(rng, 1.0), weights)
    first.rate_scale.assign(0.5)
    for group in ((weights.values(), twins.values()), (first.variables, second.variables)):
        for variable, twin in zip(*group, strict=True):
            twin.assign(variable.value)
    for _ in range(2):
        gradients = make_gradients(rng, 1.0)
        apply(first, gradients, weights)
        apply(second, gradients, twins)
    for name in weights:
        np.testing.assert_array_equal(as_array(weights[name].value), as_array(twins[name].value))


def test_minimises():
    """The gradients that a backend makes go in as they are."""
    weight = keras.Variable(np.array([3.0, -2.0], "float32"))
    optimizer = build_optimizer("adam", 0.1)
    optimizer.build([weight])
    for _ in range(200):
        _, gradients = value_and_gradients(lambda: ops.sum(ops.square(weight - 1.0)), [weight])
        optimizer.apply([ops.convert_to_tensor(gradients[0].astype("float32"))], [weight])
    np.testing.assert_allclose(as_array(weight.value), [1.0, 1.0], atol=1e-2)
