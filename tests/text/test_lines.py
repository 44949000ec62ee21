"""The exact line reader: where lines end, archives, and the message of each unreadable file."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import os
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.errors import CorpusError
from nmt.text import lines
from nmt.text.lines import decode_lines, read_lines, single_line

ODD_CHARACTERS = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\0\ufeff\u200b\u200d\u202e"
PACKERS = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r", ["a\r"]),
        (b"a\r\r\nb", ["a\r", "b"]),
        (b"\r\n", [""]),
        (b"a\rb\x0bc\x0cd\x1ce\n", ["a\rb\x0bc\x0cd\x1ce"]),
        ("a\x85b\u2028c\u2029d\n".encode(), ["a\x85b\u2028c\u2029d"]),
        (b"a\0b\n\0\n", ["a\0b", "\0"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", ["a", "\ufeffb"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfa", ["\ufeffa"]),
        (b"\xef\xbb\xbf", [""]),
        ("👩‍👩‍👧 سلام\u200cعلیکم e\u0301\n".encode(), ["👩‍👩‍👧 سلام\u200cعلیکم e\u0301"]),
    ],
)
def test_where_lines_end(tmp_path, content, expected):
    assert list(read_lines(write(tmp_path / "a.txt", content))) == expected
    assert list(decode_lines(io.BytesIO(content), "stdin")) == expected


@given(
    st.lists(
        st.tuples(st.text(st.sampled_from("ab é😀" + ODD_CHARACTERS)), st.sampled_from(["\n", "\r\n"])), min_size=1
    )
)
def test_lines_joined_come_back(pairs):
    # A `\r` before `\n` belongs to the end of the line, and one mark at the very start is not text.
    pairs = [(line.rstrip("\r"), end) for line, end in pairs]
    content = "\ufeff" + "".join(line + end for line, end in pairs)
    expected = [line for line, _ in pairs]
    assert list(decode_lines(io.BytesIO(content.encode()), "generated")) == expected


@given(st.binary(max_size=60))
def test_any_bytes_give_as_many_lines_as_newlines(content):
    decoded = list(decode_lines(io.BytesIO(content), "generated", on_bad_line=lambda _: None))
    assert len(decoded) == content.count(b"\n") + (content[-1:] not in (b"", b"\n"))


def test_a_line_is_handed_on_before_the_stream_ends():
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", buffering=0) as pipe:
        decoded = decode_lines(stream, "pipe")
        pipe.write(b"first\nsec")
        assert next(decoded) == "first"
        pipe.write(b"ond\n")
        assert next(decoded) == "second"


@pytest.mark.parametrize("ending", PACKERS)
def test_archives(tmp_path, ending):
    pack = PACKERS[ending]
    text = "".join(f"line {number} é\n" for number in range(20_000)).encode()
    expected = text.decode().split("\n")[:-1]
    assert list(read_lines(write(tmp_path / f"a{ending}", pack(text)))) == expected
    assert list(read_lines(write(tmp_path / f"b{ending.upper()}", pack(text)))) == expected
    two_members = pack(text[:1001]) + pack(b"") + pack(text[1001:])
    assert list(read_lines(write(tmp_path / f"c{ending}", two_members))) == expected
    assert list(read_lines(write(tmp_path / f"d{ending}", pack(b"")))) == []
    if ending != ".zst":  # the other formats allow zero bytes between and behind their parts
        padded = pack(text[:1001]) + bytes(8) + pack(text[1001:]) + bytes(8000)
        assert list(read_lines(write(tmp_path / f"e{ending}", padded))) == expected


@pytest.mark.parametrize("ending", PACKERS)
@settings(deadline=None)  # files are written: a busy disk is no fault of the code
@given(data=st.data())
def test_parts_of_any_size(ending, data):
    # Against the text itself: archives whose parts end anywhere, before and behind the unpacker's own boundaries.
    parts = data.draw(st.lists(st.binary(max_size=20).map(lambda part: part * 700), min_size=1, max_size=4))
    file = io.BytesIO(b"".join(map(PACKERS[ending], parts)))
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: file)
        assert lines._open(Path(f"a{ending}"), stack).read() == b"".join(parts)


@pytest.mark.parametrize("ending", PACKERS)
def test_every_truncation_of_an_archive_is_refused(tmp_path, ending):
    whole = PACKERS[ending](b"one line\nand another line, and another\n" * 3)
    path = tmp_path / f"cut{ending}"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CorpusError, match="archive is truncated or damaged") as caught:
            list(read_lines(path))
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", PACKERS)
def test_what_is_no_archive_is_refused(tmp_path, ending):
    for content in (b"plain text\n", b"\xff" * 100, PACKERS[ending](b"text\n") + b"garbage behind it"):
        with pytest.raises(CorpusError, match="archive is truncated or damaged"):
            list(read_lines(write(tmp_path / f"a{ending}", content)))


@pytest.mark.parametrize("ending", PACKERS)
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100_000)
    path = write(tmp_path / f"bomb{ending}", PACKERS[ending](bytes(10_000_000)))
    with pytest.raises(CorpusError, match="line 1: a line has at most 100,000 bytes"):
        list(read_lines(path))


def test_the_longest_line(monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 4)
    assert list(decode_lines(io.BytesIO(b"abc\nabcd"), "s")) == ["abc", "abcd"]
    with pytest.raises(CorpusError, match="s, line 2: "):
        list(decode_lines(io.BytesIO(b"abc\nabcde"), "s"))


@pytest.mark.parametrize(
    ("content", "place", "hint"),
    [
        (b"fine\ncaf\xe9 here\n", "line 2: text must be UTF-8. Received: byte 0xE9 at byte 4 of the line", "LATIN1"),
        (b"\xc3\xa9\xc3(\n", "line 1: text must be UTF-8. Received: byte 0xC3 at byte 3 of the line", "LATIN1"),
        (
            b"\xed\xa0\x80\n",
            "byte 0xED at byte 1 of the line",
            "LATIN1",
        ),  # a surrogate half, written as if it were text
        ("hello\n".encode("utf-16"), "line 1: text must be UTF-8. Received: byte 0xFF at byte 1", "iconv -f UTF-16"),
        ("\ufeffhello\n".encode("utf-16-be"), "byte 0xFE at byte 1", "iconv -f UTF-16"),
        (gzip.compress(b"text"), "byte 0x8B at byte 2", "looks like a gzip archive; give its name the ending .gz"),
        (lzma.compress(b"text"), "byte 0xFD at byte 1", "ending .xz"),
        (zstandard.compress(b"text"), "byte 0xB5 at byte 2", "ending .zst"),
        (b"BZh91AY&SY\xff\xff\n", "byte 0xFF at byte 11", "bzip2 archive; unpack it first"),
    ],
)
def test_what_is_not_utf8(tmp_path, content, place, hint):
    path = write(tmp_path / "a.txt", content)
    with pytest.raises(CorpusError) as caught:
        list(read_lines(path))
    message = str(caught.value)
    assert message.startswith(f"{path}, line ")
    assert place in message
    assert hint in message
    assert list(decode_lines(io.BytesIO(content), "stdin", on_bad_line=lambda _: None))


def test_bytes_after_a_byte_order_mark_are_counted_from_it():
    with pytest.raises(CorpusError, match="at byte 4 of the line"):
        list(decode_lines(io.BytesIO(b"\xef\xbb\xbf\xff"), "s"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.txt", "{}: no such file. Check the path"),
        ("missing.gz", "{}: no such file. Check the path"),
        ("folder", "{}: a folder. Give the path of one file."),
        ("file/below", "{}: can't be read: Not a directory"),
        ("x" * 300, "{}: can't be read: File name too long"),
    ],
)
def test_files_that_cannot_be_opened(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    write(tmp_path / "file", b"")
    with pytest.raises(CorpusError) as caught:
        list(read_lines(tmp_path / name))
    assert str(caught.value).startswith(message.format(tmp_path / name))


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_names_that_no_file_can_have(name):
    with pytest.raises(CorpusError, match=r"not the name of a file|no such file"):
        list(read_lines(name))


def test_an_error_of_the_disk_names_the_file(tmp_path, monkeypatch):
    class Failing(io.BytesIO):
        def readline(self, *_):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", lambda *_: Failing(b"text"))
    with pytest.raises(CorpusError, match=r"^corpus.en: can't be read: Input/output error. Check its permissions"):
        list(read_lines("corpus.en"))


@given(st.text(st.sampled_from("ab " + ODD_CHARACTERS + "\n")))
def test_a_single_line(text):
    line = single_line(text)
    assert len(line.splitlines()) <= 1
    assert not line or line.splitlines() == [line]
    assert [c for c in line if c != " "] == [c for c in text if c not in " \n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"]
