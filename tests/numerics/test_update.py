"""One update against NumPy: clipping, batches summed, batches halved, and nothing changed by what is no number.

The model and its compiled functions are shared: JAX compiles them for seconds. Each test sets the weights anew.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest

from nmt.data.dataset import Batch
from nmt.errors import InputError
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID
from nmt.training.objective import Objective
from nmt.training.optimizers import averaged_weights, build_optimizer
from nmt.training.update import Updater, halves
from tests.gradients import as_array, value_and_gradients
from tests.numerics import reference
from tests.numerics.tiny import NOTHING, SENTENCES, padded, reference_weights, rows, tiny_model

LABEL_SMOOTHING, RATE, CLIP_NORM, EMA_DECAY = 0.1, 0.05, 0.25, 0.5
ALL = [*SENTENCES, ([7, 5, 5, 8, 10], [6, 6, 9, 4])]  # whose halves have the same columns
NUM_TOKENS = 4 + 5 + 2 + 5


@pytest.fixture(autouse=True)
def _fixed_generators():
    """Nothing here draws from the global generators, and TensorFlow prepares its functions anew when it is seeded."""


def batch_of(sentences):
    """Returns sentences as a batch, in the columns of the longest of `ALL`: JAX compiles for seconds at each shape."""
    inputs, labels = padded(sentences)
    arrays = [as_array(array).astype("int32") for array in (inputs["source_ids"], inputs["target_ids"], labels)]
    return Batch(*arrays, np.arange(1, 1 + len(sentences)))


WHOLE = batch_of(ALL)


class Bench:
    """An updater and the state that it starts each test from."""

    def __init__(self, seed):
        self.model = tiny_model(np.random.default_rng(seed), tied_embeddings="all")
        self.objective = Objective(self.model, LABEL_SMOOTHING)
        self.optimizer = build_optimizer("adam", RATE, ema_decay=EMA_DECAY)
        self.updater = Updater(self.objective, self.optimizer, CLIP_NORM)
        self.share = self.updater._share
        self.start = self.values()

    def reset(self):
        self.updater._share = self.share
        for variable, value in zip(self.updater.variables, self.start, strict=True):
            variable.assign(value)

    def values(self):
        return [np.array(keras.ops.convert_to_numpy(variable)) for variable in self.updater.variables]

    def weights(self):
        return [as_array(weight) for weight in self.model.trainable_variables]

    def changed(self):
        """Returns the paths of the variables that are not, bit for bit, what they were at first."""
        pairs = zip(self.updater.variables, self.values(), self.start, strict=True)
        return {variable.path for variable, now, before in pairs if now.tobytes() != before.tobytes()}


@pytest.fixture(scope="module")
def shared(request):
    return Bench(request.config.option.seed)


@pytest.fixture
def bench(shared):
    shared.reset()
    return shared


@pytest.fixture(scope="module")
def expected(shared):
    """The gradient of the mean loss over the tokens of `ALL`: by the backend, which test_seq2seq.py holds to NumPy."""
    shared.reset()
    ids = WHOLE.source_ids, WHOLE.target_ids, WHOLE.labels
    _, gradients = value_and_gradients(
        lambda: shared.objective(*ids, training=True).loss / NUM_TOKENS,
        shared.model.trainable_variables,
    )
    return gradients


def norm_of(gradients):
    return np.sqrt(sum((gradient**2).sum() for gradient in gradients))


def after_adam(weight, gradient):
    """Adam's first step from moments of zero (Kingma and Ba, algorithm 1), with Keras's epsilon."""
    first, second = 0.1 * gradient, 0.001 * gradient**2
    return weight - RATE * np.sqrt(1 - 0.999) / (1 - 0.9) * first / (np.sqrt(second) + 1e-7)


def slots_of(optimizer):
    """Returns Adam's moments of the gradient and of its square, in the order of the weights."""
    return [as_array(slot) for slot in optimizer._momentums], [as_array(slot) for slot in optimizer._velocities]


class TestOneUpdate:
    def test_reports_the_sums_of_the_batch(self, bench):
        weights = reference_weights(bench.model)
        loss, nll = reference.mean_loss(rows(ALL), weights, True, LABEL_SMOOTHING)
        outcome = bench.updater([WHOLE])
        assert (outcome.num_tokens, outcome.is_applied) == (NUM_TOKENS, True)
        np.testing.assert_allclose([outcome.loss, outcome.nll], [loss * NUM_TOKENS, nll * NUM_TOKENS], rtol=1e-5)

    def test_applies_the_clipped_gradient_by_adam(self, bench, expected):
        before = bench.weights()
        outcome = bench.updater([WHOLE])
        norm = norm_of(expected)
        assert norm > CLIP_NORM
        np.testing.assert_allclose(outcome.gradient_norm, norm, rtol=1e-4)
        first, second = slots_of(bench.optimizer)
        for gradient, one, two in zip(expected, first, second, strict=True):
            clipped = gradient * CLIP_NORM / norm
            np.testing.assert_allclose(one, 0.1 * clipped, rtol=1e-3, atol=1e-7)
            np.testing.assert_allclose(two, 0.001 * clipped**2, rtol=2e-3, atol=1e-9)
        for weight, value, gradient in zip(bench.weights(), before, expected, strict=True):
            clipped = gradient * CLIP_NORM / norm
            is_plain = np.abs(clipped) > 1e-4  # the sign of a gradient that is nearly zero is all that Adam takes of it
            np.testing.assert_allclose(weight[is_plain], after_adam(value, clipped)[is_plain], rtol=1e-4, atol=1e-5)
        assert int(bench.optimizer.iterations) == 1

    def test_a_gradient_below_the_norm_is_left_as_it_is(self, bench, expected):
        """A model that is nearly certain of everything has a small gradient: here by scaling the share of a batch."""
        bench.updater._share = scaled(bench.share, gradient=1e-3)
        outcome = bench.updater([WHOLE])
        np.testing.assert_allclose(outcome.gradient_norm, 1e-3 * norm_of(expected), rtol=1e-4)
        for gradient, one in zip(expected, slots_of(bench.optimizer)[0], strict=True):
            np.testing.assert_allclose(one, 0.1e-3 * gradient, rtol=1e-3, atol=1e-9)

    def test_averages_follow_the_weights(self, bench):
        """Decays 0 and 1/10: the average is the first value, then nine tenths of the way to the second."""
        bench.updater([WHOLE])
        first = bench.weights()
        bench.updater([WHOLE])
        second = bench.weights()
        averages = averaged_weights(bench.optimizer)
        for weight, one, two in zip(bench.model.trainable_variables, first, second, strict=True):
            np.testing.assert_allclose(as_array(averages[id(weight)]), one + 0.9 * (two - one), rtol=1e-5, atol=1e-6)

    def test_the_rate_is_scaled(self, bench):
        before = bench.weights()
        bench.updater([WHOLE])
        whole = [after - value for after, value in zip(bench.weights(), before, strict=True)]
        bench.reset()
        bench.optimizer.rate_scale.assign(0.25)
        bench.updater([WHOLE])
        for after, value, step in zip(bench.weights(), before, whole, strict=True):
            np.testing.assert_allclose(after - value, 0.25 * step, rtol=1e-3, atol=1e-6)
        assert float(bench.optimizer.rate_scale) == 0.25

    def test_the_same_again_is_the_same(self, bench):
        bench.updater([WHOLE])
        once = bench.values()
        bench.reset()
        bench.updater([WHOLE])
        assert [value.tobytes() for value in bench.values()] == [value.tobytes() for value in once]


def assert_is_update_of_the_whole(bench, outcome):
    """Holds what an update did to be that of `WHOLE` in one."""
    first, second = slots_of(bench.optimizer)
    bench.reset()
    whole = bench.updater([WHOLE])
    assert (outcome.num_tokens, outcome.is_applied) == (whole.num_tokens, True)
    np.testing.assert_allclose(outcome[:2], whole[:2], rtol=1e-5)
    np.testing.assert_allclose(outcome.gradient_norm, whole.gradient_norm, rtol=1e-4)
    for found, slots in zip((first, second), slots_of(bench.optimizer), strict=True):
        for one, two in zip(found, slots, strict=True):
            np.testing.assert_allclose(one, two, rtol=2e-3, atol=1e-7)


class TestSeveralBatches:
    def test_have_the_gradient_of_the_batch_that_holds_all(self, bench):
        """Of 11 and 5 tokens: the mean of their means would be another."""
        outcome = bench.updater([batch_of([*ALL[:3], NOTHING]), batch_of([NOTHING, NOTHING, NOTHING, ALL[3]])])
        assert int(bench.optimizer.iterations) == 1
        assert_is_update_of_the_whole(bench, outcome)

    def test_of_padding_alone_change_nothing_of_the_others(self, bench):
        outcome = bench.updater([batch_of([NOTHING] * 4), WHOLE])
        assert_is_update_of_the_whole(bench, outcome)


class TestHalves:
    def test_hold_each_pair_once_without_padding_that_none_needs(self):
        sentences = [*SENTENCES, ([7], [6, 6])]
        first, second = halves(batch_of(sentences))
        assert (first.numbers.tolist(), second.numbers.tolist()) == ([1, 2], [3, 4])
        for half, kept in ((first, sentences[:2]), (second, sentences[2:])):
            for array, columns in zip(half[:3], zip(*rows(kept), strict=True), strict=True):
                assert [[int(i) for i in row if i != PAD_ID] for row in array] == list(columns)
                assert array.shape == (2, max(map(len, columns)))
                assert array.dtype == np.int32

    def test_of_an_odd_number(self):
        first, second = halves(batch_of(SENTENCES))
        assert (first.numbers.tolist(), second.numbers.tolist()) == ([1], [2, 3])

    def test_of_sentences_without_pieces(self):
        """They have the ends of sentences alone, and one column stays."""
        row = [[EOS_ID, PAD_ID]] * 2
        empty = Batch(np.array(row), np.array([[BOS_ID, PAD_ID]] * 2), np.array(row), np.array([1, 2]))
        for half in halves(empty):
            assert [array.tolist() for array in half[:3]] == [[[EOS_ID]], [[BOS_ID]], [[EOS_ID]]]


def scaled(share, *, gradient=1.0, loss=1.0):
    """Returns what a batch gives to an update, with gradients and losses multiplied."""

    def function(*args):
        gradients, sums = share(*args)
        return [one * np.float32(gradient) for one in gradients], type(sums)(*(one * np.float32(loss) for one in sums))

    return function


class TestNoNumber:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("what", ["gradient", "loss"])
    def test_changes_nothing(self, bench, what, value):
        """Loss alone, gradient alone: either is enough. After an update, so that no slot is at zero."""
        bench.updater([WHOLE])
        bench.start, start = bench.values(), bench.start
        bench.updater._share = scaled(bench.share, **{what: value})
        outcome = bench.updater([WHOLE])
        changed = bench.changed()
        bench.start = start
        assert changed == set()
        assert not outcome.is_applied
        assert not np.isfinite(outcome.gradient_norm if what == "gradient" else outcome.loss)

    def test_of_a_weight_changes_nothing(self, bench):
        """Through the model itself; and as it was, it goes on."""
        weight = bench.model.trainable_variables[-1]
        whole = as_array(weight)
        broken = whole.copy()
        broken.flat[0] = np.nan
        weight.assign(broken)
        bench.start, start = bench.values(), bench.start
        outcome = bench.updater([WHOLE])
        changed = bench.changed()
        bench.start = start
        assert (outcome.is_applied, changed) == (False, set())
        assert np.isnan(outcome.loss)
        weight.assign(whole)
        assert bench.updater([WHOLE]).is_applied
        assert int(bench.optimizer.iterations) == 1

    def test_in_one_of_several_batches_is_enough(self, bench):
        calls = []

        def broken_second(*args):
            calls.append(args)
            return (scaled(bench.share, loss=np.nan) if len(calls) == 2 else bench.share)(*args)

        bench.updater._share = broken_second
        outcome = bench.updater([WHOLE, WHOLE])
        assert (len(calls), outcome.is_applied, bench.changed()) == (2, False, set())

    def test_an_applied_update_changes_everything(self, bench):
        """Otherwise the tests above would prove nothing."""
        bench.updater([WHOLE])
        unchanged = {variable.path for variable in bench.updater.variables} - bench.changed()
        assert {path.rpartition("/")[2] for path in unchanged} <= {
            "rate_scale",
            "learning_rate",
            "seed_generator_state",
        }


class ResourceExhaustedError(Exception):
    """TensorFlow's, by its name."""


class XlaRuntimeError(Exception):
    """JAX's, likewise."""


ERRORS = {
    "the machine's": MemoryError(),
    "TensorFlow's": ResourceExhaustedError("failed to allocate memory"),
    "JAX's": XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes."),
    "PyTorch's": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 7 bytes."),
}


def limited(share, max_rows, error, seen):
    """Returns what fails for a batch of more rows, and gets along with the compiled shape for one of fewer."""

    def function(*args):
        *arrays, num_tokens = args
        seen.append(len(arrays[0]))
        if len(arrays[0]) > max_rows:
            raise error
        padded_arrays = []
        for array, whole in zip(arrays, WHOLE[:3], strict=True):
            padded_arrays.append(np.zeros_like(whole))
            padded_arrays[-1][: array.shape[0], : array.shape[1]] = array
        return share(*padded_arrays, num_tokens)

    return function


class TestMemory:
    @pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
    def test_that_does_not_suffice_halves_the_batch(self, bench, error, caplog):
        seen = []
        bench.updater._share = limited(bench.share, 2, error, seen)
        outcome = bench.updater([WHOLE])
        bench.updater._share = bench.share
        assert seen == [4, 2, 2]
        assert caplog.messages == ["a batch of 4 pairs does not fit into memory: it is halved"]
        assert_is_update_of_the_whole(bench, outcome)

    def test_halves_are_halved_in_turn(self, bench):
        seen = []
        bench.updater._share = limited(bench.share, 1, MemoryError(), seen)
        outcome = bench.updater([WHOLE])
        bench.updater._share = bench.share
        assert seen == [4, 2, 1, 1, 2, 1, 1]
        assert_is_update_of_the_whole(bench, outcome)

    def test_for_a_single_pair_is_an_error(self, bench):
        bench.updater._share = limited(bench.share, 0, MemoryError("no more"), [])
        with pytest.raises(MemoryError, match="no more"):
            bench.updater([WHOLE])
        assert bench.changed() == set()

    def test_any_other_error_stays_as_it_is(self, bench):
        bench.updater._share = limited(bench.share, 2, ValueError("a shape"), seen := [])
        with pytest.raises(ValueError, match="a shape"):
            bench.updater([WHOLE])
        assert seen == [4]


@pytest.mark.parametrize(("name", "bad_id"), [("source_ids", 11), ("target_ids", 11), ("labels", 200), ("labels", -1)])
def test_ids_outside_the_vocabulary_are_refused(name, bad_id, bench):
    """JAX takes the nearest row of an embedding, TensorFlow on a GPU zeros; before anything has changed."""
    ids = getattr(WHOLE, name).copy()
    ids[0, 0] = bad_id
    before = bench.values()
    with pytest.raises(InputError, match=rf"ids are from 0 to 10.*Received: {bad_id}\."):
        bench.updater([WHOLE, WHOLE._replace(**{name: ids})])
    for value, was in zip(bench.values(), before, strict=True):
        np.testing.assert_array_equal(value, was)
