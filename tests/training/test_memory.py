"""The estimate of an update's memory: it grows with what it should, and parts keep within it."""

from __future__ import annotations

import numpy as np
import pytest

from nmt.config_model import ModelConfig
from nmt.data.dataset import Batch
from nmt.training import memory
from nmt.training.memory import UpdateMemory, available_bytes, training_bytes

MODEL = ModelConfig()
NUM_PARAMETERS = 6_454_336  # of the default sizes with 8,000 pieces


def batch(num_pairs, source_length, target_length):
    generator = np.random.default_rng(1)

    def ids(length):
        lengths = generator.integers(1, length + 1, num_pairs)
        lengths[-1] = length
        return np.where(np.arange(length) < lengths[:, None], 7, 0).astype("int32")

    return Batch(ids(source_length), ids(target_length), ids(target_length), np.arange(1, num_pairs + 1))


# Megabytes by which the resident memory of a process grew in an update on TensorFlow, after updates of two short pairs:
# pairs, source length, target length, changes of the model, its parameters.
MEASURED = [
    (80, 20, 20, {}, 6_454_336, 199),
    (80, 80, 20, {}, 6_454_336, 354),
    (80, 20, 80, {}, 6_454_336, 618),
    (160, 80, 80, {}, 6_454_336, 1443),
    (80, 80, 80, {"attention_size": 64}, 6_257_344, 665),
    (80, 80, 20, {"encoder_size": 512}, 9_339_968, 560),
    (80, 80, 20, {"encoder_layers": 2}, 7_636_032, 450),
    (80, 20, 80, {"decoder_size": 1024}, 12_881_472, 964),
    (80, 80, 80, {"embedding_size": 512}, 9_747_776, 708),
    (80, 80, 80, {"decoder": "input_feeding"}, 5_665_856, 604),
    (80, 80, 20, {"layer_norm": True}, 6_463_552, 599),
    (80, 20, 80, {"layer_norm": True}, 6_463_552, 876),
    (80, 80, 80, {"layer_norm": True, "reset_after": False}, 6_462_016, 1157),
    (80, 80, 80, {"layer_norm": True, "decoder": "input_feeding"}, 5_673_536, 928),
    (80, 20, 80, {"decoder_transitions": 2}, 8_031_296, 979),
]


@pytest.mark.parametrize(("num_pairs", "source", "target", "changes", "num_parameters", "megabytes"), MEASURED)
def test_is_near_what_was_measured(num_pairs, source, target, changes, num_parameters, megabytes):
    config = MODEL.model_copy(update=changes)
    estimate = UpdateMemory(config, num_parameters).estimate(batch(num_pairs, source, target))
    assert 0.9 < estimate / 2**20 / megabytes < 1.3


def test_two_passes_are_twice_the_pairs():
    pairs, twice = batch(40, 60, 50), batch(80, 60, 50)
    two_passes = UpdateMemory(MODEL, NUM_PARAMETERS, num_passes=2)
    assert two_passes.estimate(pairs) == UpdateMemory(MODEL, NUM_PARAMETERS).estimate(twice)


def test_a_batch_that_fits_stays_whole():
    whole = batch(80, 20, 20)
    update_memory = UpdateMemory(MODEL, NUM_PARAMETERS)
    assert update_memory.parts(whole, update_memory.estimate(whole)) == [whole]


def test_parts_fit_and_are_the_batch():
    whole = batch(81, 60, 50)
    update_memory = UpdateMemory(MODEL, NUM_PARAMETERS)
    budget = update_memory.estimate(whole) // 5
    parts = update_memory.parts(whole, budget)
    assert len(parts) > 5
    assert all(update_memory.estimate(part) <= budget for part in parts)
    assert np.concatenate([part.numbers for part in parts]).tolist() == whole.numbers.tolist()
    for name in ("source_ids", "target_ids", "labels"):
        rows = [row[row != 0].tolist() for part in parts for row in getattr(part, name)]
        assert rows == [row[row != 0].tolist() for row in getattr(whole, name)]


def test_a_pair_that_does_not_fit_is_tried_alone():
    whole = batch(3, 60, 50)
    assert [part.numbers.tolist() for part in UpdateMemory(MODEL, NUM_PARAMETERS).parts(whole, 1)] == [[1], [2], [3]]


def test_what_training_takes():
    assert training_bytes(1000, with_averages=False) == 16_000  # weights, gradients, two moments
    assert training_bytes(1000, with_averages=True) == 20_000


class TestAvailable:
    @pytest.fixture
    def system(self, monkeypatch):
        """Files of the system, by path; others are missing."""
        contents = {"/proc/meminfo": "MemTotal:  16000000 kB\nMemAvailable:   8000000 kB\n"}

        class SystemPath:
            def __init__(self, *parts):
                self.path = "/".join(parts)

            def read_text(self, encoding):
                if self.path not in contents:
                    raise FileNotFoundError(self.path)
                return contents[self.path]

        monkeypatch.setattr(memory, "Path", SystemPath)
        return contents

    def test_of_the_machine(self, system):
        assert available_bytes() == 8_000_000 * 1024

    def test_of_the_container(self, system):
        system["/sys/fs/cgroup/memory.max"] = "4000000000\n"
        system["/sys/fs/cgroup/memory.current"] = "1500000000\n"
        assert available_bytes() == 2_500_000_000

    def test_of_an_unlimited_container(self, system):
        system["/sys/fs/cgroup/memory.max"] = "max\n"
        system["/sys/fs/cgroup/memory.current"] = "1500000000\n"
        assert available_bytes() == 8_000_000 * 1024

    def test_of_a_container_that_is_full(self, system):
        system["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "1000"
        system["/sys/fs/cgroup/memory/memory.usage_in_bytes"] = "1200"
        assert available_bytes() == 0

    def test_elsewhere_it_is_the_whole_memory(self, system):
        del system["/proc/meminfo"]
        assert available_bytes() > 2**27
