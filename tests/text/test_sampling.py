"""Sampled segmentations: their distribution by enumeration, their text, and what they are a function of."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import TokenizerError
from nmt.text import sampling as module
from nmt.text.sampling import MergeSampling, SentenceSampler, UnigramSampling
from nmt.text.special import UNK_ID
from nmt.text.tokenizer import Tokenizer, train_tokenizer

NUM_DRAWS = 20_000
LINES = ["we see the sea", "the sea sees me", "seas see me the same", "he sees these seams", "teams meet the sea"]
WORD = "seams"
"""Of pieces of one to four letters: some twenty segmentations."""


@cache
def tokenizer(model_type: str, byte_fallback: bool = True, normalization: str = "identity") -> Tokenizer:
    return train_tokenizer(
        LINES * 5,
        vocabulary_size=290 if byte_fallback else 34,
        model_type=model_type,
        byte_fallback=byte_fallback,
        normalization=normalization,
    )


def sampling(model_type: str, **options) -> UnigramSampling | MergeSampling:
    """Draws that differ from the best more often than not."""
    if model_type == "unigram":
        return UnigramSampling(tokenizer(model_type, **options), alpha=0.1)
    return MergeSampling(tokenizer(model_type, **options), dropout_rate=0.4)


def sampler(model_type: str, seed=1, side="source", **options) -> SentenceSampler:
    return SentenceSampler(tokenizer(model_type, **options), sampling(model_type, **options), seed=seed, side=side)


def encode(model_type: str, line: str, **options) -> np.ndarray:
    [ids] = tokenizer(model_type, **options).encode([line])
    return np.array(ids, np.int32)


def vocabulary(model_type: str) -> dict[str, int]:
    """Ids of the pieces of letters, read off SentencePiece itself."""
    processor = tokenizer(model_type)._processor
    ids = range(processor.vocab_size())
    return {
        processor.id_to_piece(i): i
        for i in ids
        if not (processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i))
    }


# The distribution


def segmentations(text: str, pieces: dict[str, int]) -> list[tuple[int, ...]]:
    """All of them, by trying every set of cuts."""
    found = []
    for cuts in itertools.product([False, True], repeat=len(text) - 1):
        ends = [i + 1 for i, cut in enumerate(cuts) if cut] + [len(text)]
        parts = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        if all(part in pieces for part in parts):
            found.append(tuple(pieces[part] for part in parts))
    return found


def unigram_distribution(alpha: float) -> dict[tuple[int, ...], float]:
    score = tokenizer("unigram")._processor.get_score
    weights = {ids: math.exp(alpha * sum(map(score, ids))) for ids in segmentations(f"▁{WORD}", vocabulary("unigram"))}
    return {ids: weight / sum(weights.values()) for ids, weight in weights.items()}


def merge_distribution(rate: float) -> dict[tuple[int, ...], float]:
    """Algorithm 1 of Provilkov et al. (2020): every set of merges that may be left out at a step, and so on."""
    pieces, score = vocabulary("bpe"), tokenizer("bpe")._processor.get_score
    ends: Counter = Counter()

    def go_on(texts: tuple[str, ...], probability: float) -> None:
        merges = [i for i in range(len(texts) - 1) if texts[i] + texts[i + 1] in pieces]
        for dropped in itertools.product([False, True], repeat=len(merges)):
            chance = math.prod(rate if out else 1 - rate for out in dropped) * probability
            left = [i for i, out in zip(merges, dropped, strict=True) if not out]
            if not left:
                ends[tuple(pieces[text] for text in texts)] += chance
                continue
            best = max(left, key=lambda i: score(pieces[texts[i] + texts[i + 1]]))
            go_on((*texts[:best], texts[best] + texts[best + 1], *texts[best + 2 :]), chance)

    go_on(tuple(f"▁{WORD}"), 1.0)
    return dict(ends)


@pytest.mark.parametrize(
    ("model_type", "value"),
    [("unigram", 0.0), ("unigram", 0.3), ("unigram", 1.0), ("bpe", 0.1), ("bpe", 0.5)],
)
def test_distribution(model_type, value, seed):
    """Every segmentation comes as often as it should, within 5 deviations; none comes that there is not."""
    if model_type == "unigram":
        expected, draw = unigram_distribution(value), UnigramSampling(tokenizer("unigram"), value)
    else:
        expected, draw = merge_distribution(value), MergeSampling(tokenizer("bpe"), value)
    assert len(expected) > 8
    assert sum(expected.values()) == pytest.approx(1)
    word = tuple(encode(model_type, WORD).tolist())
    uniform = random.Random(seed).random
    counts = Counter(tuple(draw(word, uniform)) for _ in range(NUM_DRAWS))
    assert counts.keys() <= expected.keys()
    for ids, probability in expected.items():
        deviation = math.sqrt(NUM_DRAWS * probability * (1 - probability))
        assert abs(counts[ids] - NUM_DRAWS * probability) <= 5 * deviation + 1, ids


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_any_segmentation_of_a_word_stands_for_it(model_type):
    best = tuple(encode(model_type, WORD).tolist())
    letters = tuple(vocabulary(model_type)[letter] for letter in f"▁{WORD}")
    draw = sampling(model_type)
    results = [[tuple(draw(word, random.Random(n).random)) for n in range(50)] for word in (best, letters)]
    assert results[0] == results[1]


@given(st.text(alphabet="seatmh ", max_size=40))
def test_a_large_alpha_finds_the_best(line):
    """Of equally good ones either: what is compared is the probability."""
    draw = UnigramSampling(tokenizer("unigram"), alpha=1e6)
    ids = encode("unigram", line)
    sampled = SentenceSampler(tokenizer("unigram"), draw, seed=1, side="source")(ids, 0, 1)
    score = tokenizer("unigram")._processor.get_score
    assert sum(map(score, sampled)) == pytest.approx(sum(map(score, ids.tolist())), abs=1e-4)


@given(st.text(alphabet="seatmh ", max_size=40))
def test_without_dropout_merges_are_those_of_sentencepiece(line):
    draw = MergeSampling(tokenizer("bpe"), dropout_rate=0.0)
    ids = encode("bpe", line)
    assert SentenceSampler(tokenizer("bpe"), draw, seed=1, side="source")(ids, 0, 1) == ids.tolist()


# The text


LINES_OF_TEXT = st.one_of(st.text(max_size=30), st.text(alphabet="seatmh▁ <0x41>é😀\n", max_size=60))


@pytest.mark.parametrize(
    "options",
    [{}, {"byte_fallback": False}, {"normalization": "nfkc"}],
    ids=["bytes", "unknown piece", "normalised"],
)
@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_the_text_stays(model_type, options):
    draw, own = sampler(model_type, **options), tokenizer(model_type, **options)

    @given(line=LINES_OF_TEXT, epoch=st.integers(0, 5))
    def check(line, epoch):
        best = encode(model_type, line, **options)
        sampled = draw(best, epoch, 1)
        assert own.decode([sampled]) == own.decode([best])
        assert "".join(own.pieces(sampled)) == "".join(own.pieces(best))

    check()


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_unknown_pieces_and_bytes_stay_where_they_are(model_type):
    """Their neighbours are segmented anew, without them."""
    for byte_fallback in (True, False):
        own = tokenizer(model_type, byte_fallback)
        ids = encode(model_type, "the seaéseams", byte_fallback=byte_fallback)
        kept = {UNK_ID} | {i for i in range(own.vocabulary_size) if own._processor.is_byte(i)}
        draw = sampler(model_type, byte_fallback=byte_fallback)
        sampled = [draw(ids, epoch, 1) for epoch in range(20)]
        assert len(set(map(tuple, sampled))) > 5
        for one in sampled:
            assert [i for i in one if i in kept] == [i for i in ids.tolist() if i in kept] != []


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_blank_line_has_no_pieces(model_type):
    assert sampler(model_type)(np.empty(0, np.int32), 0, 1) == []


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_long_word(model_type):
    """Longer than what is kept; its probability is no float, as it lies too near to 0."""
    word = "seams" * 100
    ids = encode(model_type, word)
    sampled = sampler(model_type)(ids, 0, 1)
    assert tokenizer(model_type).decode([sampled]) == [word]
    assert model_type == "bpe" or sampled != ids.tolist()


def test_a_vocabulary_without_a_letter_of_its_pieces_is_refused(monkeypatch):
    own = tokenizer("bpe")
    letter = vocabulary("bpe")["m"]
    scores = {token_id: score for token_id, score in own.scores().items() if token_id != letter}
    monkeypatch.setattr(own, "scores", lambda: scores)
    with pytest.raises(TokenizerError, match=r"a piece for each character\. Received: none for 'm'"):
        MergeSampling(own, dropout_rate=0.1)


# The key


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_function_of_seed_side_epoch_and_number(model_type):
    """Whatever was drawn before, and whatever is kept."""
    rows = [encode(model_type, line) for line in LINES]
    keys = list(itertools.product((0, 1, 7), range(len(rows))))

    def draws(order, **options):
        draw = sampler(model_type, **options)
        return {(epoch, row): tuple(draw(rows[row], epoch, row + 1)) for epoch, row in order}

    expected = draws(keys)
    assert draws(keys[::-1]) == expected
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(module, "CACHED_PIECES", 0)
        assert draws(keys) == expected
    assert draws(keys, seed=2) != expected
    assert draws(keys, side="target") != expected
    assert [expected[0, row] for row in range(5)] != [expected[1, row] for row in range(5)]


@pytest.mark.parametrize("field", ["seed", "side", "epoch", "number"])
def test_each_part_of_the_key_has_draws_of_its_own(field):
    """No two keys that differ in one part share their draws: hardly one of 100 long sentences is the same."""
    row = encode("unigram", " ".join(LINES))
    found = set()
    for value in ("source", "target") if field == "side" else range(100):
        key = {"seed": 0, "side": "source", "epoch": 0, "number": 0, field: value}
        draw = sampler("unigram", seed=key["seed"], side=key["side"])
        found.add(tuple(draw(row, key["epoch"], key["number"])))
    assert len(found) == (2 if field == "side" else 100)


def test_the_largest_keys_do_not_meet():
    row = encode("unigram", " ".join(LINES))
    most = 2**32 - 1
    keys = [(0, "source", most, most), (0, "target", 0, 0), (1, "source", 0, 0), (0, "source", 1, 0),
            (0, "source", 0, most), (2**31 - 1, "target", most, most)]  # fmt: skip
    found = {tuple(sampler("unigram", seed=seed, side=side)(row, *rest)) for seed, side, *rest in keys}
    assert len(found) == len(keys)
