"""The stream: one line out for each line in, whatever the lines hold, and no wait for a line that has been written."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from nmt import stream
from nmt.errors import CorpusError, FileError, InputError
from nmt.text.corpus import SentencePair
from nmt.text.lines import MAX_LINE_BYTES
from tests.fake_translator import FakeTranslator

PACKERS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress}


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.booleans())
def test_a_reader_gives_one_line_for_each_line_feed(lines: list[bytes], ends: bool) -> None:
    content = b"\n".join(lines) + (b"\n" if ends else b"")
    found = list(stream.LineReader(io.BytesIO(content), "input", stream.BadLines()))
    expected = content.split(b"\n")
    assert len(found) == len(expected) - (expected[-1] == b"")
    decoded = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in expected[: len(found)]]
    if len(lines) and content.endswith(b"\r") and not ends:
        decoded[-1] = expected[-1].decode("utf-8", "replace")  # a carriage return before no line feed is text
    if decoded:
        decoded[0] = decoded[0].removeprefix("\ufeff")
    assert found == decoded


def test_lines_that_are_not_utf_8_are_counted_and_kept() -> None:
    content, bad = "ok\n\ufffd typed\n".encode() + b"caf\xe9\nok\n\xff\xfe", stream.BadLines()
    found = list(stream.LineReader(io.BytesIO(content), "input", bad))
    assert found == ["ok", "\ufffd typed", "caf\ufffd", "ok", "\ufffd\ufffd"]
    assert bad == stream.BadLines(number=2, first=3)


def test_a_reader_refuses_an_endless_line() -> None:
    reader = stream.LineReader(io.BytesIO(b"x" * (MAX_LINE_BYTES + 1)), "input", stream.BadLines())
    with pytest.raises(CorpusError, match="input, line 1: a line has at most"):
        list(reader)


def test_a_reader_tells_whether_a_line_is_there() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as source, os.fdopen(write_end, "wb", buffering=0) as sink:
        reader = stream.LineReader(source, "pipe", stream.BadLines())
        assert not reader.is_next_ready()
        sink.write(b"half a line")
        assert not reader.is_next_ready()
        sink.write(b", whole\nnext")
        assert reader.is_next_ready()
        assert next(iter(reader)) == "half a line, whole"
        assert not reader.is_next_ready()
        sink.close()
        assert reader.is_next_ready(), "the end is as good as a line: nothing more is to be waited for"


def test_a_block_ends_when_the_input_makes_it_wait() -> None:
    ready = iter([True, False, True, True])
    assert list(stream.blocks("abcd", is_next_ready=lambda: next(ready))) == [["a", "b"], ["c", "d"]]


def test_a_block_ends_when_it_is_full() -> None:
    assert list(stream.blocks(["x"] * 5, max_lines=2)) == [["x", "x"], ["x", "x"], ["x"]]
    long_lines = ["x" * 400_000] * 4
    assert [len(block) for block in stream.blocks(long_lines)] == [3, 1]
    assert list(stream.blocks([])) == []


def translated(content: str, **options: object) -> tuple[list[str], FakeTranslator]:
    translator, written, bad = FakeTranslator(), [], stream.BadLines()
    reader = stream.LineReader(io.BytesIO(content.encode()), "input", bad)
    source = stream.Input(reader, lambda: True, "input", bad)
    stream.translate(translator, source, stream.Output(written.append, is_terminal=False), **options)  # type: ignore[arg-type]
    return "".join(written).splitlines(), translator


def test_text_has_one_line_for_each_line() -> None:
    lines, _ = translated("one\n\n \ntwo")
    assert lines == ["ONE", "", "", "TWO"]


def test_jsonl_has_an_object_for_each_line() -> None:
    lines, _ = translated("été\n\n", n_best=2, output_format="jsonl")
    assert [json.loads(line) for line in lines] == [
        {
            "translations": [
                {"text": "ÉTÉ", "score": 0.0, "log_prob": 0.0, "flags": []},
                {"text": "ÉTÉ!", "score": -1.0, "log_prob": -2.0, "flags": []},
            ]
        },
        {"translations": [{"text": "", "score": 0.0, "log_prob": 0.0, "flags": []}]},
    ]
    assert "ÉTÉ" in lines[0]


def test_moses_numbers_the_lines_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BLOCK_LINES", 2)
    lines, translator = translated("a\nb\nc\n", n_best=2, output_format="moses", batch_size=1)
    numbers = [line.split(" ||| ")[0] for line in lines]
    assert numbers == ["0", "0", "1", "1", "2", "2"]
    assert lines[1] == "0 ||| A! ||| -1.000000"
    assert [call[0] for call in translator.calls] == [["a", "b"], ["c"]]


def test_a_block_is_never_smaller_than_a_batch() -> None:
    _, translator = translated("x\n" * 5000, batch_size=4000)
    assert [len(lines) for lines, _ in translator.calls] == [4000, 1000]
    assert translator.calls[0][1]["batch_size"] == 4000


def test_options_reach_the_search() -> None:
    _, translator = translated("x", beam_size=7, length_penalty=0.5)
    assert translator.calls[0][1].items() >= {"beam_size": 7, "length_penalty": 0.5, "batch_size": 128}.items()


def test_several_translations_need_a_format_that_holds_them() -> None:
    stream.check_format("text", 1)
    stream.check_format("moses", 2)
    with pytest.raises(InputError, match=r"n_best=2.*--format moses or --format jsonl"):
        stream.check_format("text", 2)


def test_a_compressed_file_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "input.gz"
    path.write_bytes(gzip.compress(b"one\r\ntwo"))
    with stream.open_input(path) as source:
        assert list(source.lines) == ["one", "two"]
        assert source.is_next_ready()


@pytest.mark.parametrize("ending", PACKERS)
def test_lines_that_are_not_utf_8_are_translated_and_told_of(
    ending: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # In an archive they were refused.
    path, written = tmp_path / f"input{ending}", []
    path.write_bytes(PACKERS[ending](b"ok\n\xff\n\xfe\n"))
    with stream.open_input(path) as source:
        stream.translate(FakeTranslator(), source, stream.Output(written.append, is_terminal=False))  # type: ignore[arg-type]
    assert written == ["OK\n\ufffd\n\ufffd\n"]
    assert caplog.messages == [
        f"{path}: 2 lines were not UTF-8, the first of them line 2; each bad byte was read as U+FFFD."
    ]


def test_what_was_odd_is_counted_over_all_blocks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Each block had a message of its own.
    monkeypatch.setattr(stream, "BLOCK_LINES", 2)
    lines, _ = translated("loop\nx\nloop\nagain\nloop\n", batch_size=1, output_format="jsonl")
    assert [json.loads(line)["translations"][0]["flags"] for line in lines] == [
        ["looping"], [], ["looping"], ["fallback"], ["looping"],
    ]  # fmt: skip
    assert caplog.messages == [
        "input: 1 output repeated itself, and the next best one that does not stands in its place.",
        "input: 3 outputs repeat themselves, and no other hypotheses of their lines were better.",
    ]
    caplog.clear()
    translated("nothing\nodd\n")
    assert not caplog.messages


def test_a_missing_file_and_a_closed_standard_input_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileError, match="nothing: can't read: No such file"), stream.open_input(tmp_path / "nothing"):
        pass
    with pytest.raises(FileError, match="can't read: Is a directory"), stream.open_input(tmp_path):
        pass
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="no standard input"), stream.open_input(None):
        pass


def test_an_output_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "output"

    def fail() -> None:
        with stream.open_output(path) as target:
            target.write("one\n")
            raise InputError("a mistake")

    with pytest.raises(InputError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with stream.open_output(path) as target:
        target.write("été\n")
        target.write("two\n")
        assert not path.exists()
    assert path.read_bytes() == "été\ntwo\n".encode()


def test_a_terminal_gets_inert_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with stream.open_output(None) as target:
        target.write("\x1b[31mred\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with stream.open_output(None) as target:
        target.write("\x1b[31mred\n")
        assert target.is_terminal
    assert capsys.readouterr().out == "\x1b[31mred\n\\x1b[31mred\n"


def test_scores_are_written_with_their_average_and_totals(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="nmt")
    written: list[str] = []
    pairs = [SentencePair("a", "bb cc"), SentencePair("x", "y")]
    stream.score_pairs(FakeTranslator(), pairs, written.append, batch_size=3)  # type: ignore[arg-type]
    # "bb cc" has 5 characters and 3 pieces, "y" 1 and 2: -6 for 5 pieces; e ** 1.2 = 3.32
    assert "".join(written) == "-5.000000\t-1.666667\n-1.000000\t-0.500000\n"
    assert caplog.messages == ["2 lines, 5 pieces: log-probability -6.00, -1.2000 a piece, perplexity 3.32"]
