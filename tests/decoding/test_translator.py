"""The translator: what a copying model gives back shows what happens to text, a small random one what to numbers."""

from __future__ import annotations

import itertools
import logging
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import ops

from nmt.config_decoding import EXTRA_TARGET_PIECES, MAX_POSITIONS, DecodingConfig
from nmt.config_model import ModelConfig
from nmt.decoding.keras_model import KerasModel
from nmt.decoding.search import Finished
from nmt.decoding.translator import (
    MAX_BATCH_HYPOTHESES,
    MAX_BATCH_PIECES,
    Translator,
    _batch_size,
    _batches,
)
from nmt.errors import InputError, ModelFileError
from nmt.loading import numpy_model
from nmt.model import Seq2Seq
from nmt.text.special import BOS_ID, EOS_ID
from nmt.text.tokenizer import Tokenizer, train_tokenizer
from tests.decoding.copying import CopyingModel

WORDS = [
    "the",
    "a",
    "small",
    "red",
    "old",
    "dog",
    "cat",
    "house",
    "sees",
    "wants",
    "buys",
    "here",
    "not",
    "my",
    "naïve",
    ".",
]
WORD_START = "\u2581"
LINE_SEPARATORS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def make_lines(num_lines: int, longest: int = 9, seed: int = 1) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(1, longest))) for _ in range(num_lines)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(make_lines(300), vocabulary_size=300)


@pytest.fixture(scope="module")
def copying(tokenizer: Tokenizer) -> Translator:
    model = CopyingModel(tokenizer.vocabulary_size)
    return Translator(model, tokenizer, tokenizer, "en", "en", DecodingConfig(beam_size=2))


@pytest.fixture(scope="module")
def keras_model(tokenizer: Tokenizer) -> Seq2Seq:
    """Weights so large that every output is another, and an end of sentence so likely that most of them end."""
    size = tokenizer.vocabulary_size
    model = Seq2Seq(
        source_vocabulary_size=size, target_vocabulary_size=size, embedding_size=8, encoder_size=8, decoder_size=12,
        attention_size=6,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    for name, weight in model.named_weights().items():
        values = rng.normal(size=weight.shape)
        if name == "readout/output_bias":
            values[EOS_ID] += 4
        weight.assign(values)
    return model


@pytest.fixture(scope="module", params=["numpy", "keras"])
def translator(request, tokenizer: Tokenizer, keras_model: Seq2Seq) -> Translator:
    keras = KerasModel(keras_model)
    model = keras if request.param == "keras" else numpy_model(ModelConfig(), keras.weights)
    return Translator(model, tokenizer, tokenizer, "en", "fr", DecodingConfig(beam_size=3))


def texts(hypotheses) -> list[str]:
    return [hypothesis.text for hypothesis in hypotheses]


# Text: one line out for each line in


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("the dog", "the dog"),
        ("x", "x"),
        ("", ""),
        ("   ", ""),
        ("\t \u3000\xa0\r\n\u2028", ""),
        (f" {WORD_START} ", ""),
        ("  the   dog  ", "the dog"),
        ("the dog\r\n", "the dog "),  # CRLF is taken off where lines are read; here it is text, and text has one line
        ("\r", ""),
        ("the\rdog", "the dog"),
        ("the\u2028dog\x85\u2029cat\x0b\x0c\x1cred\x1d\x1e", "the dog cat red "),
        ("the \0 dog", "the \0 dog"),
        ("\ufeffthe dog", "\ufeffthe dog"),
        ("the 😀👩‍👩‍👧‍👦 dog", "the 😀👩‍👩‍👧‍👦 dog"),
        ("שָׁלוֹם \u202eدنیا\u202c", "שָׁלוֹם \u202eدنیا\u202c"),
        ("你好。", "你好。"),
        ("\ud800", "\ufffd"),
        ("the \udc80dog", "the \ufffddog"),
        ("</s> <pad> <unk> <s>", "</s> <pad> <unk> <s>"),
        ("<0x0A>", "<0x0A>"),
    ],
)
def test_any_line_gives_one_line(line, expected, copying):
    # Among others, so that what a line does to its neighbours is seen too.
    assert texts(copying.translate(["the cat", line, "my house"])) == ["the cat", expected, "my house"]


def test_no_output_has_a_line_separator(copying, tokenizer):
    for separator in [*LINE_SEPARATORS, "\r\n", LINE_SEPARATORS]:
        (token_ids,) = tokenizer.encode([f"one{separator}two"])
        assert separator in tokenizer.decode([token_ids])[0]
        assert copying._hypothesis(Finished(tuple(token_ids), 0.0, 0.0), "", 1000).text == "one two"


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_order_is_kept(batch_size, copying):
    lines = make_lines(40, longest=15, seed=2)
    lines[3:3] = ["", "  "]
    lines.append("")
    assert texts(copying.translate(lines, batch_size=batch_size)) == [line.strip() for line in lines]


def test_nothing_gives_nothing(copying):
    assert copying.translate([]) == []
    assert copying.translate_n_best([], n_best=2) == []
    blank = copying.translate(["", " "], with_attention=True)
    assert [(one.text, one.token_ids, one.score, one.attention) for one in blank] == 2 * [("", (), 0.0, None)]
    assert [len(pool) for pool in copying.translate_n_best(["", "the dog"], n_best=2)] == [1, 2]


def test_a_line_of_what_is_read_as_spaces_is_blank(translator):
    # It was translated: an empty sentence, of which a model can make anything.
    for line in (WORD_START, f" {WORD_START} {WORD_START}"):
        assert translator.translate([line]) == translator.translate([""])


def test_a_line_of_100_000_characters(copying, caplog):
    words = " ".join(make_lines(5_000, seed=3))[:100_000].strip()
    with caplog.at_level(logging.WARNING):
        before, found, after = texts(copying.translate(["the cat", words, "my house"], beam_size=1))
    assert (before, after) == ("the cat", "my house")
    assert found == words  # cut between words, joined by a space
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "1 line was too long (max_source_pieces), translated in parts and joined again."


def test_a_line_of_100_000_characters_without_a_space(copying, caplog):
    with caplog.at_level(logging.WARNING):
        (found,) = texts(copying.translate(["x" * 100_000], beam_size=1))
    assert found == "x" * 100_000
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        found = texts(copying.translate(["x" * 300, "dog", "y" * 2_000], beam_size=1))
    assert found == ["x" * 300, "dog", "y" * 2_000]
    assert caplog.messages == ["2 lines were too long (max_source_pieces), translated in parts and joined again."]


def test_a_long_line_is_not_cut_inside_a_character(copying, tokenizer):
    # Each is four bytes, and no vocabulary has them: the cut fell between two, and both parts had half a character.
    for line in ("😀" * 200, "x" + "😀" * 200, "你好" * 200):
        (found,) = texts(copying.translate([line], beam_size=1))
        assert found == line


def test_a_line_of_just_the_longest_length_is_not_cut(copying, tokenizer, caplog):
    line = " ".join(["dog"] * 20)
    num_pieces = len(tokenizer.encode([line])[0])
    with caplog.at_level(logging.WARNING):
        assert texts(copying.translate([line], max_source_pieces=num_pieces)) == [line]
        assert not caplog.records
        assert texts(copying.translate([line], max_source_pieces=num_pieces - 1)) == [line]
        assert len(caplog.records) == 1


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.one_of(st.text(), st.lists(st.sampled_from([*WORDS, "😀", "x" * 30]), max_size=60).map(" ".join)),
    max_pieces=st.integers(8, 40),
)
def test_splitting_loses_no_piece(line, max_pieces, copying, tokenizer):
    (token_ids,) = tokenizer.encode([line])
    stretches = list(copying._split(token_ids, max_pieces))
    assert [token_id for stretch in stretches for token_id in stretch] == token_ids
    assert all(0 < len(stretch) <= max_pieces for stretch in stretches if token_ids)
    end = 0
    for stretch in stretches[:-1]:
        start, end = end, end + len(stretch)
        if not tokenizer.pieces(token_ids[end : end + 1])[0].startswith(WORD_START):
            # Cut inside a word: there was no word to cut before in the second half of the stretch.
            inside = tokenizer.pieces(token_ids[start + max_pieces // 2 + 1 : start + max_pieces + 1])
            assert not any(piece.startswith(WORD_START) for piece in inside)


def test_a_long_line_is_cut_after_a_sentence(copying, tokenizer):
    def lengths(line: str, max_pieces: int) -> list[int]:
        return [len(stretch) for stretch in copying._split(tokenizer.encode([line])[0], max_pieces)]

    assert len(tokenizer.encode(["dog ."])[0]) == 2
    # Pieces:    1 2 3 4   5   6 7 8 9 0  1 2 3
    line = "dog dog dog dog dog dog . dog dog dog dog dog dog"
    assert lengths(line, 10) == [7, 6]
    assert lengths(line, 13) == [13]
    # A sentence that ends in the first half would leave too short a stretch.
    assert lengths("dog . " + " ".join(["dog"] * 14), 10) == [10, 6]


def test_a_long_line_without_spaces_is_cut_after_a_full_stop_and_joined_without_spaces(copying, tokenizer):
    line = "\u4eca\u5929\u3002" * 12  # three characters of three bytes each, spelt as bytes
    stretches = list(copying._split(tokenizer.encode([line])[0], 40))
    assert "".join(tokenizer.decode(stretches)) == line
    # A byte piece does not show which character it ends: only whole characters are promised.
    assert all("\ufffd" not in text for text in tokenizer.decode(stretches))
    [hypothesis] = copying.translate([line], max_source_pieces=40)
    assert not hypothesis.text.startswith(" ")


def test_progress_adds_up(copying):
    lines = ["", *make_lines(20, seed=4), " ", " ".join(["dog"] * 50), "the cat"]
    for batch_size in (1, 4, 100):
        calls: list[int] = []
        copying.translate(lines, batch_size=batch_size, max_source_pieces=16, progress=calls.append)
        assert calls == sorted(calls)
        assert calls[0] >= 2  # the blank ones are done from the start
        assert calls[-1] == len(lines)


def test_workers_change_nothing(translator):
    lines = make_lines(30, longest=14, seed=14)
    alone = translator.translate(lines, workers=1, batch_size=7)
    for workers in (2, 3, 50):
        together = translator.translate(lines, workers=workers, batch_size=7)
        assert [one.token_ids for one in together] == [one.token_ids for one in alone]


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_are_counted_from_one(workers, copying):
    with pytest.raises(InputError, match=rf"1 worker or more\. Received: workers={workers}"):
        copying.translate(["the dog"], workers=workers)


def test_a_model_that_has_diverged_is_named(tokenizer, keras_model):
    weights = {**KerasModel(keras_model).weights, "readout/output_bias": np.full(tokenizer.vocabulary_size, np.nan)}
    model = numpy_model(ModelConfig(), weights)
    with pytest.raises(ModelFileError, match="no probabilities"):
        Translator(model, tokenizer, tokenizer, "en", "fr").translate(["the dog"])


def test_a_wide_beam_makes_small_batches(copying):
    sizes = []
    encode = copying.model.encode
    copying.model.encode = lambda ids: sizes.append(len(ids)) or encode(ids)
    try:
        copying.translate(make_lines(20), beam_size=1000, workers=1)
    finally:
        del copying.model.encode
    assert max(sizes) == MAX_BATCH_HYPOTHESES // 1000


@pytest.mark.parametrize(("num_lines", "size", "workers"), [(0, 4, 2), (1, 4, 2), (9, 4, 2), (16, 4, 2), (9, 100, 3)])
def test_every_worker_has_as_much_to_do(num_lines, size, workers):
    lengths = [1 + number % 5 for number in range(num_lines)]
    batches = list(_batches(lengths, size, workers))
    assert sorted(number for batch in batches for number in batch) == list(range(num_lines))
    assert [lengths[number] for batch in batches for number in batch] == sorted(lengths, reverse=True)
    assert all(0 < len(batch) <= size for batch in batches)
    assert max(map(len, batches), default=0) - min(map(len, batches), default=0) <= len(batches)


def test_a_batch_has_a_bounded_number_of_pieces():
    lengths = [MAX_BATCH_PIECES + 1, MAX_BATCH_PIECES, 7, MAX_BATCH_PIECES // 2, MAX_BATCH_PIECES // 2 - 7, 1]
    assert list(_batches(lengths, 100, 1)) == [[0], [1], [3, 4, 2], [5]]


# Arguments


def test_options_are_checked(copying):
    with pytest.raises(InputError, match=r"beam_sise.*Did you mean `beam_size`\?"):
        copying.translate(["the dog"], beam_sise=3)
    with pytest.raises(InputError, match=r"beam_size.*Received: 0"):
        copying.translate(["the dog"], beam_size=0)
    with pytest.raises(InputError, match=r"(?s)batch_size.*length_penalty|length_penalty.*batch_size"):
        copying.translate(["the dog"], length_penalty=-1, batch_size=0)
    with pytest.raises(InputError, match=r"from 1 to beam_size\. Received: n_best=4, beam_size=3"):
        copying.translate_n_best(["the dog"], n_best=4, beam_size=3)
    with pytest.raises(InputError, match=r"from 1 to beam_size\. Received: n_best=0"):
        copying.translate_n_best(["the dog"], n_best=0)


TOO_MUCH = {"beam_size": 1000, "max_length_ratio": 100, "max_source_pieces": 10_000}


def test_a_search_that_no_memory_suffices_for_is_refused(copying):
    # Each is within its bounds; together they took gigabytes for one sentence.
    with pytest.raises(InputError) as caught:
        copying.translate(["the dog"], **TOO_MUCH)
    assert str(caught.value) == (
        "beam_size: times the longest output, of max_source_pieces x max_length_ratio + 10 pieces, must be <= "
        "16,777,216, else a sentence takes too much memory. Received: beam_size=1000, max_source_pieces=10000, "
        "max_length_ratio=100.0. Lower one of them"
    )
    for name, value in (("beam_size", 16), ("max_length_ratio", 1.6), ("max_source_pieces", 160)):
        assert copying.translate(["the dog"], **TOO_MUCH | {name: value})[0].text == "the dog"


def test_a_batch_takes_no_more_memory_than_a_sentence_may():
    for beam_size, ratio, pieces in itertools.product((1, 5, 100, 1000), (0.5, 2, 100), (1, 128, 10_000)):
        decoding = DecodingConfig(beam_size=beam_size, max_length_ratio=ratio)
        size = _batch_size(decoding, pieces)
        assert size * beam_size <= MAX_BATCH_HYPOTHESES
        assert size == 1 or size * beam_size * (pieces * ratio + EXTRA_TARGET_PIECES) <= MAX_POSITIONS
    assert _batch_size(DecodingConfig(), 128) > DecodingConfig().batch_size, "nobody waits longer for it"


def test_a_string_is_not_a_list_of_lines(copying):
    with pytest.raises(InputError, match=r"a list of lines\. Received: one string"):
        copying.translate("the dog")
    # Each of its letters was scored as a line.
    for sources, targets in (("ab", ["a", "b"]), (["a", "b"], "ab"), ("ab", "ab")):
        with pytest.raises(InputError, match=r"a list of lines\. Received: one string"):
            copying.score(sources, targets)


def test_score_checks_its_arguments(translator):
    with pytest.raises(InputError, match=r"Received: 2 sources, 1 targets"):
        translator.score(["a", "b"], ["a"])
    with pytest.raises(InputError, match=r"batch_size.*Received: 0"):  # was taken for "not given"
        translator.score(["a"], ["a"], batch_size=0)
    assert translator.score([], []) == []


def test_an_option_of_none_is_the_default(copying):
    assert copying.translate(["the dog"], beam_size=None, length_penalty=None) == copying.translate(["the dog"])


@pytest.mark.parametrize("beam_size", [1, 3])
def test_rules_that_leave_no_output_are_refused(beam_size, translator):
    # Was an IndexError, and with a beam of one an error of TensorFlow.
    rules = {"no_repeat_ngram_size": 1, "min_length_ratio": 1.0, "max_source_pieces": 1000, "beam_size": beam_size}
    assert texts(translator.translate([""], **rules)) == [""]
    with pytest.raises(InputError, match=r"min_length_ratio=1\.0.*no_repeat_ngram_size=1"):
        translator.translate(["dog", " ".join(["dog"] * 350)], **rules)


# Numbers


def forced_log_prob(model, source_ids: list[int], target_ids: tuple[int, ...]) -> float:
    """The log-probability of a target by the model's own `call`, alone in its batch."""
    inputs = {"source_ids": np.array([[*source_ids, EOS_ID]]), "target_ids": np.array([[BOS_ID, *target_ids]])}
    logits = ops.convert_to_numpy(model(inputs))[0].astype("float64")
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return sum(log_probs[position, token_id] for position, token_id in enumerate([*target_ids, EOS_ID]))


def stepped_attention(model, source_ids: list[int], target_ids: tuple[int, ...]) -> np.ndarray:
    """The attention weights of a target, one step of the decoder after another."""
    encoded = model.encode(ops.convert_to_tensor(np.array([[*source_ids, EOS_ID]])))
    state, rows = model.initial_state(encoded), []
    for token_id in [BOS_ID, *target_ids]:
        _, state, weights = model.step(ops.convert_to_tensor([token_id]), state, encoded)
        rows.append(ops.convert_to_numpy(weights)[0])
    return np.array(rows)


def test_scores_and_attention_of_hypotheses(translator, keras_model, tokenizer):
    lines = make_lines(4, seed=5)
    pools = translator.translate_n_best(lines, n_best=3, with_attention=True)
    assert len({one.text for pool in pools for one in pool}) > len(lines)
    for line, pool in zip(lines, pools, strict=True):
        (source_ids,) = tokenizer.encode([line])
        assert len({one.token_ids for one in pool}) == len(pool) == 3
        assert pool == sorted(pool, key=lambda one: (one.is_looping, -one.score))
        for one in pool:
            assert one.log_prob == pytest.approx(forced_log_prob(keras_model, source_ids, one.token_ids), abs=1e-3)
            assert one.score == pytest.approx(one.log_prob / ((5 + len(one.token_ids) + 1) / 6))
            pieces = translator.target_pieces(one), translator.source_pieces(line)
            assert one.attention.shape == tuple(map(len, pieces))
            np.testing.assert_allclose(one.attention.sum(axis=1), 1, atol=1e-5)
            expected = stepped_attention(keras_model, source_ids, one.token_ids)
            np.testing.assert_allclose(one.attention, expected, atol=1e-4)


def test_pieces_of_an_attention_table(copying, tokenizer):
    (found,) = copying.translate(["the naïve dog"])
    assert copying.source_pieces("the naïve dog") == copying.target_pieces(found)
    assert copying.source_pieces("")[-1] == "</s>"
    assert "".join(copying.target_pieces(found)) == "▁the▁naïve▁dog</s>"


def test_attention_is_left_out_unless_asked_for(translator):
    assert translator.translate(["the dog"])[0].attention is None


def test_score_is_the_log_probability(translator, keras_model, tokenizer):
    sources, targets = make_lines(10, seed=6), make_lines(10, longest=20, seed=7)
    sources[4], targets[6] = "", ""
    scores = translator.score(sources, targets, batch_size=4)
    for source, target, score in zip(sources, targets, scores, strict=True):
        source_ids, target_ids = tokenizer.encode([source, target])
        assert score.num_pieces == len(target_ids) + 1
        expected = forced_log_prob(keras_model, source_ids, tuple(target_ids))
        assert score.log_prob == pytest.approx(expected, abs=1e-3)


def test_batch_mates_do_not_matter(translator):
    lines = make_lines(8, longest=14, seed=8)
    together = translator.translate_n_best(lines, n_best=2)
    for size in (1, 3):
        apart = translator.translate_n_best(lines, n_best=2, batch_size=size)
        for pool, other in zip(together, apart, strict=True):
            assert [one.token_ids for one in pool] == [one.token_ids for one in other]
            assert [one.score for one in pool] == pytest.approx([one.score for one in other], abs=1e-4)


def test_parts_are_joined_rank_by_rank(translator, tokenizer):
    first, second = "dog dog dog dog dog dog dog .", "the cat is here ."
    assert len(tokenizer.encode([first])[0]) == 8
    parts = translator.translate_n_best([first, second], n_best=3)
    (joined,) = translator.translate_n_best([f"{first} {second}"], n_best=3, max_source_pieces=8, with_attention=True)
    assert len(joined) == 3
    for one, left, right in zip(joined, *parts, strict=True):
        assert one.text == " ".join(text for text in (left.text, right.text) if text)
        assert one.token_ids == left.token_ids + right.token_ids
        assert one.score == pytest.approx(left.score + right.score, abs=1e-4)
        assert one.log_prob == pytest.approx(left.log_prob + right.log_prob, abs=1e-4)
        assert one.attention is None  # it has no one source


# Every option changes something


def mean_length(hypotheses) -> float:
    return float(np.mean([len(one.token_ids) for one in hypotheses]))


def test_beam_size(translator):
    lines = make_lines(20, seed=9)
    narrow, wide = (translator.translate(lines, beam_size=size, length_penalty=0.0) for size in (1, 3))
    assert np.mean([one.score for one in wide]) > np.mean([one.score for one in narrow])


def test_length_penalty(translator):
    lines = make_lines(20, seed=9)
    plain, long = (translator.translate(lines, length_penalty=alpha) for alpha in (0.0, 3.0))
    assert [one.score for one in plain] == [one.log_prob for one in plain]
    assert mean_length(long) > mean_length(plain)


def test_coverage_penalty(translator):
    lines = make_lines(5, seed=10)
    found = translator.translate(lines, coverage_penalty=0.7, with_attention=True)
    for one in found:
        covered = np.log(np.minimum(one.attention.sum(axis=0), 1)).sum()
        divisor = (5 + len(one.token_ids) + 1) / 6
        assert one.score == pytest.approx(one.log_prob / divisor + 0.7 * covered, rel=1e-3, abs=1e-3)


def test_lengths_are_ratios_of_the_source(translator, tokenizer):
    lines = make_lines(20, longest=20, seed=11)
    num_pieces = [len(ids) for ids in tokenizer.encode(lines)]
    free = translator.translate(lines)
    least = translator.translate(lines, min_length_ratio=0.9)
    most = translator.translate(lines, max_length_ratio=0.1)
    assert any(len(one.token_ids) < int(0.9 * size) for one, size in zip(free, num_pieces, strict=True))
    assert all(len(one.token_ids) >= int(0.9 * size) for one, size in zip(least, num_pieces, strict=True))
    assert any(
        len(one.token_ids) > 0.1 * size + 1 + EXTRA_TARGET_PIECES for one, size in zip(free, num_pieces, strict=True)
    )
    assert all(
        len(one.token_ids) < 0.1 * size + 1 + EXTRA_TARGET_PIECES for one, size in zip(most, num_pieces, strict=True)
    )


def test_no_repeat_ngram_size(translator):
    def has_repeat(token_ids: tuple[int, ...]) -> bool:
        bigrams = list(itertools.pairwise(token_ids))
        return len(set(bigrams)) < len(bigrams)

    lines = make_lines(20, seed=12)
    assert any(has_repeat(one.token_ids) for one in translator.translate(lines))
    assert not any(has_repeat(one.token_ids) for one in translator.translate(lines, no_repeat_ngram_size=2))


def test_the_defaults_are_the_models_own(tokenizer, translator):
    lines = make_lines(10, seed=13)
    own = Translator(
        translator.model, tokenizer, tokenizer, "en", "fr", DecodingConfig(beam_size=1, no_repeat_ngram_size=2)
    )
    assert own.translate(lines) == translator.translate(lines, beam_size=1, no_repeat_ngram_size=2)
