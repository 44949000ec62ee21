from __future__ import annotations

import numpy as np
import pytest

from benchmarks import workload
from nmt import config
from nmt.errors import InputError
from nmt.text.special import EOS_ID


@pytest.mark.parametrize("chunk", [3, 1000])
def test_generated_pairs_are_a_corpus(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(workload, "PAIRS_PER_CHUNK", chunk)
    corpus = workload.generate(50, (2, 5), vocabulary_size=300, seed=4).corpus
    assert len(corpus) == 50
    for ids, lengths in ((corpus.source_ids, corpus.source_lengths), (corpus.target_ids, corpus.target_lengths)):
        assert ids.dtype == np.uint16
        assert set(lengths) == {2, 3, 4, 5}
        assert lengths.sum() == len(ids)
        assert EOS_ID < ids.min() < ids.max() < 300
    assert not np.array_equal(corpus.source_lengths, corpus.target_lengths)
    assert corpus.numbers.tolist() == list(range(1, 51))


def test_generated_pairs_repeat() -> None:
    first, second = (workload.generate(20, (1, 4), 100, seed=7).corpus for _ in range(2))
    assert np.array_equal(first.source_ids, second.source_ids)
    assert np.array_equal(first.target_offsets, second.target_offsets)


def test_a_vocabulary_that_the_text_cannot_fill_keeps_its_size() -> None:
    settings = config.load(workload.DEFAULT_CONFIG, ["data.train.num_pairs=40"])
    material = workload.read(settings, 30)
    assert len(material.corpus) == 30
    assert (material.source_vocabulary_size, material.target_vocabulary_size) == (8000, 8000)
    assert material.corpus.target_ids.max() < 2000


def test_more_pairs_than_there_are() -> None:
    settings = config.load(workload.DEFAULT_CONFIG, ["data.train.num_pairs=5"])
    with pytest.raises(InputError, match=r"have 5 pairs\. Received: num_pairs=6"):
        workload.read(settings, 6)
