"""Records, one JSON object a line: what is written is read, a torn line is told, a damaged one named."""

from __future__ import annotations

import errno
import json
import math
import os

import pytest

from nmt import files
from nmt.errors import FileError, RunDirectoryError
from nmt.json_lines import JSONLines


@pytest.fixture
def records(tmp_path):
    return JSONLines(tmp_path / "records.jsonl")


def test_round_trip(records):
    assert records.read() == []
    entries = [{"update": 1, "loss": 0.1 + 0.2, "note": "é\u2028x"}, {"update": 2, "loss": math.inf, "rate": math.nan}]
    for entry in entries:
        records.append(entry)
    expected = [entries[0], {"update": 2, "loss": None, "rate": None}]
    assert records.read() == expected
    lines = records.path.read_bytes().decode().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == expected
    assert lines[-1] == ""


def test_replace_goes_back(records):
    for update in range(5):
        records.append({"update": update})
    records.replace(records.read()[:2])
    records.append({"update": 9})
    assert records.read() == [{"update": 0}, {"update": 1}, {"update": 9}]
    records.replace([])
    assert records.read() == []


def test_an_unfinished_line_is_left_out_and_said(records, caplog):
    records.path.write_bytes(b'{"update": 1}\n{"upd')
    assert records.read() == [{"update": 1}]
    assert f"{records.path}: left out an unfinished last line." in caplog.text
    records.append({"update": 2})
    assert records.read() == [{"update": 1}, {"update": 2}]


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b"\xff", b'{"a": 1} {"b": 2}', b"[" * 100_000])
def test_a_damaged_line_is_named(records, line):
    records.path.write_bytes(b'{"update": 1}\n' + line + b'\n{"update": 3}\n')
    with pytest.raises(RunDirectoryError) as caught:
        records.read()
    assert str(caught.value) == (f"{records.path}: line 2 is damaged: it must be a JSON object. Restore or remove it.")


@pytest.mark.parametrize("write", ["append", "replace"])
def test_what_cannot_be_written_leaves_the_file_as_it_was(records, write, monkeypatch):
    records.append({"update": 1})
    before = records.path.read_bytes()

    real = os.write

    def write_a_part(descriptor, data):
        real(descriptor, bytes(data)[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "write", write_a_part)
    with pytest.raises(FileError, match=r"records\.jsonl.*No space left"):
        getattr(records, write)({"update": 2} if write == "append" else [{"update": 2}])
    monkeypatch.undo()
    assert records.path.read_bytes() == before
    assert [path.name for path in records.path.parent.iterdir()] == [records.path.name]
