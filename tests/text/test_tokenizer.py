"""The tokenizer: what comes back, what never becomes a control piece, and models that are refused."""

from __future__ import annotations

import io
import json
import logging
import random
import re

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import TokenizerError
from nmt.text import tokenizer as module
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from nmt.text.tokenizer import Tokenizer, train_tokenizer

MODEL_TYPES = ("unigram", "bpe")
CONTROL_TEXTS = ["</s>", "<s>", "<pad>", "<unk>", "<0x41>", "<0x0A>", "⁇"]
_SYLLABLES = ["ba", "te", "ko", "li", "ru", "sch", "ön", "ça", "ny", "mo"]
WORDS = ["we", "see", "the", "sea", "Straße", "über", "Öl", "naïve"]
WORDS += ["".join(random.Random(number).choices(_SYLLABLES, k=1 + number % 4)) for number in range(120)]


def make_lines(num_lines=300, extra=()):
    generator = random.Random(5)
    words = WORDS + list(extra) * 5
    return [" ".join(generator.choices(words, k=generator.randint(2, 9))) for _ in range(num_lines)]


@pytest.fixture(scope="module", params=MODEL_TYPES)
def tokenizer(request) -> Tokenizer:
    return train_tokenizer(make_lines(), vocabulary_size=340, model_type=request.param)


@pytest.fixture(scope="module", params=MODEL_TYPES)
def tokenizer_of_control_texts(request) -> Tokenizer:
    """Trained on text that is full of what control pieces look like."""
    lines = make_lines(extra=[*CONTROL_TEXTS, "x</s>", "<pad><pad>"])
    return train_tokenizer(lines, vocabulary_size=400, model_type=request.param)


def without_extra_spaces(line: str) -> str:
    """What the module says of white space, written independently of SentencePiece."""
    return " ".join(part for part in re.split("[ ▁]+", line) if part)


# Round trip


@pytest.mark.parametrize(
    "line",
    [
        "the sea", "x", "", "emoji 😀 👩‍👩‍👧‍👦 🇫🇷 ❤️", "سلام\u200cعلیکم", "שָׁלוֹם", "क्\u200dष", "e\u0301 is not é",
        "你好，世界", "NUL \0 in it", "\0", "tab\tin it", "\t", "a\nb\r\nc\rd",
        "a\u2028b\u2029c\x85d", "\x0b\x0c\x1c\x7f\x01",
        "\u00a0x\u3000", "\ufeffx", "\ufffd \U0010ffff \ue000", "\u202eabc\u202c", "▅ reserved ▅▅", "ﬁ ⅷ Å №",
    ],
)  # fmt: skip
def test_every_character_comes_back(tokenizer, line):
    ids = tokenizer.encode([line])
    assert tokenizer.decode(ids) == [line]
    assert all(3 < token_id < tokenizer.vocabulary_size for token_id in ids[0])


@pytest.mark.parametrize(
    ("line", "expected"),
    [("  two  spaces ", "two spaces"), (" ", ""), ("▁", ""), ("a▁b", "a b"), ("▁a ▁ b▁▁", "a b"), ("a \t b", "a \t b")],
)
def test_white_space_as_documented(tokenizer, line, expected):
    assert tokenizer.decode(tokenizer.encode([line])) == [expected]
    assert tokenizer.encode([line]) == tokenizer.encode([expected])
    assert without_extra_spaces(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [("a\ud800b", "a\ufffdb"), ("\udc00\ud800", "\ufffd\ufffd"), ("\ud800", "\ufffd"), ("\ud83d\ude00", "😀")],
)
def test_half_surrogate_pairs(tokenizer, line, expected):
    assert tokenizer.decode(tokenizer.encode(["before", line, "after"])) == ["before", expected, "after"]


@given(lines=st.lists(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("  ▁▁ab<>/s\0\n\r\u200d")))))
def test_any_text_comes_back(tokenizer, lines):
    ids = tokenizer.encode(lines)
    assert tokenizer.decode(ids) == [without_extra_spaces(line) for line in lines]
    assert ids == [tokenizer.encode([line])[0] for line in lines]  # alone or among others: the same
    assert all(token_id > EOS_ID for line in ids for token_id in line)


@given(parts=st.lists(st.sampled_from([*CONTROL_TEXTS, "a", " ", "<", ">", "0x41"])))
def test_control_pieces_typed_are_text(tokenizer, tokenizer_of_control_texts, parts):
    line = "".join(parts)
    for each in (tokenizer, tokenizer_of_control_texts):
        ids = each.encode([line])
        assert each.decode(ids) == [without_extra_spaces(line)]
        assert all(token_id > EOS_ID for token_id in ids[0])


def test_long_lines(tokenizer, seed):
    generator = random.Random(seed)
    for alphabet in ("a", "abcdefgh", "你好世界", "😀"):
        line = "".join(generator.choices(alphabet, k=100_000))
        assert tokenizer.decode(tokenizer.encode([line])) == [line]


def test_real_lines_keep_their_order(tokenizer):
    lines = [f"{number} {line}" for number, line in enumerate(make_lines(2000))]
    assert tokenizer.decode(tokenizer.encode(lines)) == lines
    assert tokenizer.encode([]) == []
    assert tokenizer.decode([]) == []


# Ids and pieces


def test_special_ids(tokenizer):
    assert (PAD_ID, UNK_ID, BOS_ID, EOS_ID) == (0, 1, 2, 3)
    assert tokenizer.pieces([0, 1, 2, 3, 4, 259]) == ["<pad>", "<unk>", "<s>", "</s>", "<0x00>", "<0xFF>"]
    assert tokenizer.vocabulary_size == 340


def test_decoding_drops_control_pieces(tokenizer):
    ids = tokenizer.encode(["the sea"])[0]
    noisy = [BOS_ID, *ids[:1], PAD_ID, *ids[1:], EOS_ID, PAD_ID, PAD_ID]
    assert tokenizer.decode([noisy, [], [EOS_ID], [UNK_ID]]) == ["the sea", "", "", "⁇"]
    assert tokenizer.decode(np.array([noisy], np.int32)) == ["the sea"]
    assert tokenizer.pieces(np.array(ids, np.int32)) == tokenizer.pieces(ids)


def test_bytes_that_make_no_character(tokenizer):
    assert tokenizer.decode([[4 + 0xE2, 4 + 0x41], [4 + 0x0A]]) == ["\ufffdA", "\n"]


@pytest.mark.parametrize("token_id", [-1, 340, 10**6])
def test_ids_outside_the_vocabulary(tokenizer, token_id):
    with pytest.raises(IndexError):
        tokenizer.decode([[token_id]])
    with pytest.raises(IndexError):
        tokenizer.pieces([token_id])


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_without_byte_fallback(model_type):
    tokenizer = train_tokenizer(make_lines(), vocabulary_size=80, model_type=model_type, byte_fallback=False)
    ids = tokenizer.encode(["the 😀 sea"])
    assert ids[0].count(UNK_ID) == 1
    assert tokenizer.decode(ids) == ["the ⁇ sea"]
    assert tokenizer.vocabulary_size == 80


# Training


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_same_text_gives_the_same_bytes(model_type):
    lines = make_lines(2000)
    first, second = (train_tokenizer(iter(lines), vocabulary_size=340, model_type=model_type) for _ in range(2))
    assert first.model_bytes == second.model_bytes
    other = train_tokenizer(make_lines(2000, extra=["other"]), vocabulary_size=340, model_type=model_type)
    assert other.model_bytes != first.model_bytes


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("lines", [["hello"], ["a"], ["a", "", "b"], ["😀"], ["\t"], make_lines(20)])
def test_a_vocabulary_too_large_is_lowered_and_said_so(model_type, lines, caplog):
    tokenizer = train_tokenizer(lines, vocabulary_size=8000, model_type=model_type)
    assert 260 < tokenizer.vocabulary_size < 8000
    expected = (
        f"vocabulary lowered from 8,000 to {tokenizer.vocabulary_size:,} pieces: the training text yields no more"
    )
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.WARNING, expected)]
    lines = [without_extra_spaces(line) for line in lines]
    assert tokenizer.decode(tokenizer.encode(lines)) == lines
    # The largest size that SentencePiece itself accepts is the one that was reached.
    with pytest.raises(RuntimeError, match=f"set it to a value <= {tokenizer.vocabulary_size}"):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=io.BytesIO(), vocab_size=8000, model_type=model_type,
            byte_fallback=True, normalization_rule_name="identity", character_coverage=0.9995, pad_id=0, unk_id=1,
            bos_id=2, eos_id=3, minloglevel=2,
        )  # fmt: skip


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_vocabulary_too_small(model_type):
    line = "".join(chr(0x4E00 + number) for number in range(500))
    with pytest.raises(TokenizerError, match=r"must be at least 761 for this text.*Received: vocabulary_size=300"):
        train_tokenizer([line], vocabulary_size=300, model_type=model_type, character_coverage=1.0)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("lines", [[], [""], ["", " ", "▁"]])
def test_no_text(model_type, lines):
    with pytest.raises(TokenizerError, match="no line with a visible character"):
        train_tokenizer(lines, vocabulary_size=300, model_type=model_type)


@pytest.mark.parametrize("coverage", [0.5, 1.01, float("nan")])
def test_character_coverage_out_of_range(coverage):
    with pytest.raises(TokenizerError, match=f"must be >= 0.98 and <= 1. Received: character_coverage={coverage}"):
        train_tokenizer(["a"], vocabulary_size=300, character_coverage=coverage)


def test_character_coverage():
    lines = ["aaaaabbbbb"] * 100 + ["q"]
    pieces = [
        set(tokenizer.pieces(range(tokenizer.vocabulary_size)))
        for tokenizer in (
            train_tokenizer(lines, vocabulary_size=264, character_coverage=share) for share in (0.99, 1.0)
        )
    ]
    assert ["q" in each for each in pieces] == [False, True]


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_no_training_line_is_passed_over(model_type):
    # SentencePiece on its own drops lines of more than 4,192 bytes and lines with U+2585, without a word.
    lines = ["long" * 2000, "block ▅ mark", "plain"]
    tokenizer = train_tokenizer(lines, vocabulary_size=280, model_type=model_type, character_coverage=1.0)
    known = set("".join(tokenizer.pieces(range(260, tokenizer.vocabulary_size))))
    assert set("longblckmarkpin") <= known
    assert "▅" not in known


@pytest.mark.parametrize(
    ("normalization", "expected"), [("identity", "ﬁ Ａ\u200bx"), ("nfkc", "fi A\u200bx"), ("nmt_nfkc", "fi A x")]
)
def test_normalization(normalization, expected):
    tokenizer = train_tokenizer(make_lines(), vocabulary_size=340, normalization=normalization)
    assert tokenizer.decode(tokenizer.encode(["ﬁ Ａ\u200bx"])) == [expected]
    assert Tokenizer(tokenizer.model_bytes).encode(["ﬁ"]) == tokenizer.encode(["ﬁ"])


def test_large_text_is_thinned_out_by_seed(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "MAX_TRAINING_BYTES", 20_000)
    lines = make_lines(5000)
    models = [train_tokenizer(lines, vocabulary_size=340, seed=seed).model_bytes for seed in (1, 1, 2)]
    assert models[0] == models[1] != models[2]
    said = re.fullmatch(r"training the tokenizer on ([\d,]+) of 5,000 lines, drawn with seed 1", caplog.messages[0])
    kept = module._sample(lines, seed=1)
    assert int(said[1].replace(",", "")) == len(kept)
    assert 5_000 < sum(map(len, kept)) <= 20_000
    positions = [index for index, line in enumerate(lines) if line.encode() in set(kept)]
    assert positions[0] < 1000 < 4000 < positions[-1]  # from everywhere


def test_training_is_silent(capfd):
    train_tokenizer(["", "\0", "a</s>b", "▅"], vocabulary_size=300)
    assert capfd.readouterr() == ("", "")


# Models


def test_saved_and_loaded(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(tokenizer.model_bytes)
    lines = make_lines(50)
    for loaded in (
        Tokenizer.from_file(path),
        Tokenizer.from_file(str(path)),
        Tokenizer.from_bytes(tokenizer.model_bytes),
    ):
        assert loaded.encode(lines) == tokenizer.encode(lines)
        assert loaded.model_bytes == tokenizer.model_bytes
        assert loaded.vocabulary_size == tokenizer.vocabulary_size


def test_every_truncated_model_is_refused(tokenizer, capfd):
    whole = tokenizer.model_bytes
    for size in range(len(whole)):
        with pytest.raises(TokenizerError, match="not a whole SentencePiece model"):
            Tokenizer(whole[:size])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"\0", b"garbage" * 20, b"\xff" * 100, b"\n" * 64, json.dumps({}).encode()])
def test_what_is_no_model_is_refused(content, tmp_path):
    path = tmp_path / "a.model"
    path.write_bytes(content)
    with pytest.raises(TokenizerError) as caught:
        Tokenizer.from_file(path)
    assert str(caught.value).startswith(f"{path}: not a whole SentencePiece model: ")


def test_changed_models_are_refused_or_work(tokenizer, seed):
    generator = random.Random(seed)
    for _ in range(500):
        changed = bytearray(tokenizer.model_bytes)
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
        try:
            other = Tokenizer(bytes(changed))
        except TokenizerError:
            continue
        assert isinstance(other.decode(other.encode(["the sea </s> 你"]))[0], str)
        assert other.pieces(range(4)) == tokenizer.pieces(range(4))


def test_models_of_other_programs_are_refused(tmp_path):
    options = {"sentence_iterator": iter(make_lines()), "vocab_size": 80, "minloglevel": 2}
    with (tmp_path / "other.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(model_writer=file, **options)
    with pytest.raises(TokenizerError, match=r"has the pieces <pad>=0, <unk>=1, <s>=2, </s>=3. Train one"):
        Tokenizer.from_file(tmp_path / "other.model")


def test_missing_files(tmp_path):
    with pytest.raises(TokenizerError, match="can't read the tokenizer: No such file"):
        Tokenizer.from_file(tmp_path / "none.model")
    with pytest.raises(TokenizerError, match="can't read the tokenizer: Is a directory"):
        Tokenizer.from_file(tmp_path)
