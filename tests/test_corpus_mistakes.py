"""Corpora as people have them: each mistake is one message with its place and its remedy, never a crash.

Every case is a whole `nmt train`, in this process: it ends with status 2 and one error, and leaves no run directory.
"""

# ruff: noqa: E501  (messages stand whole)

from __future__ import annotations

import gzip
import io
import json
import logging
import lzma
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
import zstandard

from nmt import cli, corpora, startup
from nmt.config_corpora import FilesCorpus, JSONLCorpus, TSVCorpus
from nmt.corpora import read_corpora, stream_corpora
from nmt.data import blocks
from nmt.text.corpus import SentencePair
from nmt.text.filters import PairFilter
from nmt.text.tokenizer import train_tokenizer

SENTENCES = [("the red house", "la maison rouge"), ("a dog sleeps", "un chien dort"), ("two cats run", "deux chats")]
ENGLISH = "".join(f"{source}\n" for source, _ in SENTENCES).encode()
FRENCH = "".join(f"{target}\n" for _, target in SENTENCES).encode()
ROW = json.dumps({"en": "a dog", "fr": "un chien"}).encode() + b"\n"


class Mistake(NamedTuple):
    """One broken corpus: its files by name, the section of the configuration, and the message; D is the folder."""

    message: str
    files: dict[str, bytes] = {}  # noqa: RUF012  (never changed)
    corpus: dict[str, Any] = {}  # noqa: RUF012
    words: tuple[str, ...] = ()


def sides(message: str, source: bytes, target: bytes, names: tuple[str, str] = ("a.en", "a.fr")) -> Mistake:
    corpus = {"type": "files", "source": f"D/{names[0]}", "target": f"D/{names[1]}"}
    return Mistake(message, dict(zip(names, (source, target), strict=True)), corpus)


def tsv(message: str, content: bytes, **options: Any) -> Mistake:
    return Mistake(message, {"a.tsv": content}, {"type": "tsv", "path": "D/a.tsv", **options})


def jsonl(message: str, content: bytes, **options: Any) -> Mistake:
    return Mistake(message, {"a.jsonl": content}, {"type": "jsonl", "path": "D/a.jsonl", **options})


def hub(message: str, content: bytes, **options: Any) -> Mistake:
    folder = {"type": "hub", "repository": "D/set", **options}
    return Mistake(message, {"set/train.jsonl": content}, folder)


MISTAKES = {
    # two files
    "target one line short": sides(
        "D/a.en and D/a.fr: both sides must have the same number of lines. Received: 3 and 2 lines. They seem to part at line 3; compare the files there.",
        ENGLISH,
        FRENCH[: FRENCH.index(b"deux")],
    ),
    "source one line short": sides(
        "D/a.en and D/a.fr: both sides must have the same number of lines. Received: 2 and 3 lines. They seem to part at line 3; compare the files there.",
        ENGLISH[: ENGLISH.index(b"two")],
        FRENCH,
    ),
    "sides far apart": sides(
        "D/a.en and D/a.fr: both sides must have the same number of lines. Received: 2,000 and 1 lines. They seem to part at line 2; compare the files there.",
        b"one two\n" * 2_000,
        b"un deux\n",
    ),
    "both files empty": sides(
        "D/a.en and D/a.fr: the corpus is empty. Give one with at least one pair of sentences.", b"", b""
    ),
    "source empty": sides(
        "D/a.en and D/a.fr: both sides must have the same number of lines. Received: 0 and 3 lines. They seem to part at line 1; compare the files there.",
        b"",
        FRENCH,
    ),
    "all blank": sides(
        "D/a.en and D/a.fr: each of its 3 pairs is blank on one side or both. Check the files and the columns.",
        b"\n \n\t\n",
        b"\n\n\xe3\x80\x80\n",
    ),
    "one side blank": sides(
        "D/a.en and D/a.fr: each of its 3 pairs is blank on one side or both. Check the files and the columns.",
        ENGLISH,
        b"\n\n\n",
    ),
    "UTF-16 with its mark": sides(
        "D/a.en, line 1: text must be UTF-8. Received: byte 0xFF at byte 1 of the line. It looks like UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW.",
        ENGLISH.decode().encode("utf-16"),
        FRENCH,
    ),
    "UTF-16 without its mark": sides(
        "D/a.fr, line 1: text must be UTF-8. Received: 15 NUL among 30 characters. It is no text, or UTF-16; convert that: iconv -f UTF-16LE -t UTF-8 FILE > NEW.",
        ENGLISH,
        FRENCH.decode().encode("utf-16-le"),
    ),
    "UTF-16, high byte first": sides(
        "D/a.en, line 1: text must be UTF-8. Received: 14 NUL among 27 characters. It is no text, or UTF-16; convert that: iconv -f UTF-16BE -t UTF-8 FILE > NEW.",
        ENGLISH.decode().encode("utf-16-be"),
        FRENCH,
    ),
    "UTF-16 without its mark, a short line first": sides(
        "D/a.fr, line 2: text must be UTF-8. Received: 16 NUL among 31 characters. It is no text, or UTF-16; convert that: iconv -f UTF-16BE -t UTF-8 FILE > NEW.",
        ENGLISH,
        "oui\nla maison rouge\ndeux\n".encode("utf-16-be"),
    ),
    "Latin-1": sides(
        "D/a.fr, line 2: text must be UTF-8. Received: byte 0xEA at byte 8 of the line. Convert the file, for example from Latin-1: iconv -f LATIN1 -t UTF-8 FILE > NEW.",
        ENGLISH,
        "la maison rouge\nune forêt\ndeux\n".encode("latin-1"),
    ),
    "binary": sides(
        "D/a.fr, line 1: text must be UTF-8. Received: 64 NUL among 71 characters. It is no text, or UTF-16; convert that: iconv -f UTF-16LE -t UTF-8 FILE > NEW.",
        ENGLISH,
        b"\x7fELF\x02\x01\x01" + bytes(64),
    ),
    "an executable full of zeros": sides(
        "D/a.en, line 1: text must be UTF-8. Received: 4,096 NUL among 4,096 characters. It is no text, or UTF-16; convert that: iconv -f UTF-16BE -t UTF-8 FILE > NEW.",
        bytes(4096),
        FRENCH,
    ),
    "an endless line": sides(
        "D/a.en, line 1: a line has at most 16,777,216 bytes. Is this a file of one sentence a line? Split the line, or give another file.",
        b"word " * 3_400_000,
        FRENCH,
    ),
    "truncated gzip": sides(
        "D/a.en.gz, after line 3: the archive is truncated or damaged: it ends too early. Make or download it again, or check its ending.",
        gzip.compress(ENGLISH)[:-9],
        FRENCH,
        ("a.en.gz", "a.fr"),
    ),
    "truncated xz": sides(
        "D/a.fr.xz, after line 3: the archive is truncated or damaged: it ends too early. Make or download it again, or check its ending.",
        ENGLISH,
        lzma.compress(FRENCH)[:-9],
        ("a.en", "a.fr.xz"),
    ),
    "truncated zst": sides(
        "D/a.fr.zst, after line 2: the archive is truncated or damaged: it ends too early. Make or download it again, or check its ending.",
        ENGLISH,
        zstandard.compress(FRENCH)[:-1],
        ("a.en", "a.fr.zst"),
    ),
    "damaged gzip": sides(
        "D/a.en.gz, after line 0: the archive is truncated or damaged: Error -3 while decompressing data: incorrect data check. Make or download it again, or check its ending.",
        gzip.compress(ENGLISH)[:-8] + b"damage!!",
        FRENCH,
        ("a.en.gz", "a.fr"),
    ),
    "damaged xz": sides(
        "D/a.en.xz, after line 0: the archive is truncated or damaged: Corrupt input data. Make or download it again, or check its ending.",
        lzma.compress(ENGLISH)[:-8] + b"damage!!",
        FRENCH,
        ("a.en.xz", "a.fr"),
    ),
    "text with the ending of an archive": sides(
        "D/a.en.gz, after line 0: the archive is truncated or damaged: Error -3 while decompressing data: incorrect header check. Make or download it again, or check its ending.",
        ENGLISH,
        FRENCH,
        ("a.en.gz", "a.fr"),
    ),
    "gzip without its ending": sides(
        "D/a.en, line 1: text must be UTF-8. Received: byte 0x8B at byte 2 of the line. It looks like a gzip archive; give its name the ending .gz, and it is unpacked while it is read.",
        gzip.compress(ENGLISH),
        FRENCH,
    ),
    "gzip with the ending of xz": sides(
        "D/a.en.xz, after line 0: the archive is truncated or damaged: Input format not supported by decoder. Make or download it again, or check its ending.",
        gzip.compress(ENGLISH),
        FRENCH,
        ("a.en.xz", "a.fr"),
    ),
    "a folder": Mistake(
        "D/a.en: a folder. Give the path of one file.",
        {"a.fr": FRENCH, "a.en/x": b""},
        {"type": "files", "source": "D/a.en", "target": "D/a.fr"},
    ),
    "no such file": Mistake(
        "D/a.fr: no such file. Check the path; a relative one starts from the current folder.",
        {"a.en": ENGLISH},
        {"type": "files", "source": "D/a.en", "target": "D/a.fr"},
    ),
    "a file below a file": Mistake(
        "D/a/b: can't be read: Not a directory. Check its permissions and its disk.",
        {"a": ENGLISH},
        {"type": "files", "source": "D/a/b", "target": "D/a"},
    ),
    "a name with NUL": Mistake(
        "'D/a\\x00b': not the name of a file: embedded null byte. Check the path.",
        {"a": ENGLISH},
        {"type": "files", "source": "D/a\0b", "target": "D/a"},
    ),
    # filters and vocabularies
    "all pairs too long": Mistake(
        "nothing is left of the corpus: kept 0 of 2 pairs; left out 2: 2 longer than 3 pieces. Rule: at least one sentence pair remains. Check that the files are the ones you mean, or loosen the limits on length.",
        {"a.tsv": b"a b c d e f g\th i j k l m n\n" * 2},
        {"type": "tsv", "path": "D/a.tsv"},
        ("data.max_length_pieces=3", "data.drop_duplicates=false"),
    ),
    "all pairs of unlike length": Mistake(
        "nothing is left of the corpus: kept 0 of 1 pairs; left out 1: 1 with a length ratio above 2. Rule: at least one sentence pair remains. Check that the files are the ones you mean, or loosen the limits on length.",
        {"a.tsv": b"a\th i j k l m n o p q r s t\n"},
        {"type": "tsv", "path": "D/a.tsv"},
        ("data.max_length_ratio=2",),
    ),
    "a vocabulary smaller than its characters": Mistake(
        "vocabulary_size must be at least 461 for this text: control pieces, bytes and a piece for each common character. Received: vocabulary_size=300. Raise it, or lower character_coverage.",
        {"a.tsv": "".join(f"{chr(0x4E00 + i)}\t{chr(0x5E00 + i)}\n" for i in range(100)).encode()},
        {"type": "tsv", "path": "D/a.tsv"},
    ),
    # TSV
    "a column missing in one row": tsv(
        "D/a.tsv, line 2: a row needs at least 2 columns, split by tabs. Received: 1. It has no tab; make tabs of what splits the columns, or mend the row.",
        b"a\tb\nc\n",
    ),
    "no tab at all": tsv(
        "D/a.tsv, line 1: a row needs at least 2 columns, split by tabs. Received: 1. It has no tab; make tabs of what splits the columns, or mend the row.",
        b"a,b\nc,d\n",
    ),
    "a column out of range": tsv(
        "D/a.tsv, line 1: a row needs at least 8 columns, split by tabs. Received: 2. Mend the row, or name other columns.",
        b"a\tb\n",
        target_column=7,
    ),
    "one column twice": tsv(
        "D/a.tsv: source and target must be different columns. Received: 1 for both. Name another one.",
        b"a\tb\n",
        source_column=1,
        target_column=1,
    ),
    "a header that names another column": tsv(
        "D/a.tsv, line 1: no column `en`. Known: english, french.",
        b"english\tfrench\na\tb\n",
        source_column="en",
        target_column="fr",
    ),
    "a header misspelt": tsv(
        "D/a.tsv, line 1: no column `englsh`. Did you mean `english`?",
        b"english\tfrench\na\tb\n",
        source_column="englsh",
        target_column="french",
    ),
    "two columns of one name": tsv(
        "D/a.tsv, line 1: two columns are named `en`. Give the number of one, from 0.",
        b"en\ten\tfr\na\tb\tc\n",
        source_column="en",
        target_column="fr",
    ),
    "a header alone": tsv(
        "D/a.tsv: the corpus is empty. Give one with at least one pair of sentences.",
        b"en\tfr\n",
        source_column="en",
        target_column="fr",
    ),
    "a header wanted of an empty file": tsv(
        "D/a.tsv: the first line must name the columns. Received: an empty file. Check the path and the file.",
        b"",
        source_column="en",
        target_column="fr",
    ),
    "a column of no text": tsv(
        "D/a.tsv: each of its 2 pairs is blank on one side or both. Check the files and the columns.", b"a\t\nb\t \n"
    ),
    # JSONL
    "JSON broken": jsonl(
        'D/a.jsonl, line 2: a line is one JSON object. Received: {"en": "a", "fr": "b": Expecting \',\' delimiter. Mend or remove the line.',
        ROW + b'{"en": "a", "fr": "b"\n',
    ),
    "JSON of single quotes": jsonl(
        "D/a.jsonl, line 2: a line is one JSON object. Received: {'en': 'a', 'fr': 'b'}: Expecting property name enclosed in double quotes. Mend or remove the line.",
        ROW + b"{'en': 'a', 'fr': 'b'}\n",
    ),
    "a blank line": jsonl(
        "D/a.jsonl, line 2: a line is one JSON object. Received: an empty line: Expecting value. Mend or remove the line.",
        ROW + b"\n" + ROW,
    ),
    "a key missing": jsonl("D/a.jsonl, line 2: no column or language `fr`. Known: en.", ROW + b'{"en": "a"}\n'),
    "a key misspelt": jsonl(
        "D/a.jsonl, line 1: no column or language `en`. Did you mean `eng`?", b'{"eng": "a", "fr": "b"}\n'
    ),
    "null for text": jsonl(
        "D/a.jsonl, line 2: `fr` must be text. Received: None. Mend or remove the row.",
        ROW + b'{"en": "a", "fr": null}\n',
    ),
    "a number for text": jsonl(
        "D/a.jsonl, line 2: `en` must be text. Received: 7. Mend or remove the row.", ROW + b'{"en": 7, "fr": "b"}\n'
    ),
    "a list for text": jsonl(
        "D/a.jsonl, line 1: `en` must be text. Received: ['a']. Mend or remove the row.",
        b'{"translation": {"en": ["a"], "fr": "b"}}\n',
    ),
    "a key twice": jsonl(
        'D/a.jsonl, line 1: a line is one JSON object. Received: {"en": "a", "en": "b", "fr": "c"}: duplicate key \'en\'. Mend it, or put each pair on a line of its own: jq -c . FILE, or jq -c \'.[]\' FILE.',
        b'{"en": "a", "en": "b", "fr": "c"}\n',
    ),
    "half a surrogate pair": jsonl(
        "D/a.jsonl, line 1: `en` holds half a surrogate pair, which is no character. Mend the row.",
        b'{"en": "a\\ud800", "fr": "b"}\n',
    ),
    "one JSON array": jsonl(
        "D/a.jsonl, line 1: a line is one JSON object. Received: [: Expecting value. Mend it, or put each pair on a line of its own: jq -c . FILE, or jq -c '.[]' FILE.",
        b'[\n{"en": "a", "fr": "b"}\n]\n',
    ),
    "one JSON array on a line": jsonl(
        'D/a.jsonl, line 1: a line is one JSON object. Received: [{"en": "a", "fr": "b"}]. Mend it, or put each pair on a line of its own: jq -c . FILE, or jq -c \'.[]\' FILE.',
        b'[{"en": "a", "fr": "b"}]\n',
    ),
    "one object over several lines": jsonl(
        "D/a.jsonl, line 1: a line is one JSON object. Received: {: Expecting property name enclosed in double quotes. Mend it, or put each pair on a line of its own: jq -c . FILE, or jq -c '.[]' FILE.",
        json.dumps({"en": "a", "fr": "b"}, indent=1).encode(),
    ),
    "a column for both sides": jsonl(
        "D/a.jsonl: source and target must be different columns. Received: fr for both. Name another one.",
        ROW,
        source_column="fr",
    ),
    "JSON nested without end": jsonl(
        "D/a.jsonl, line 1: a line is one JSON object. Received: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[...: nested too deeply. Mend it, or put each pair on a line of its own: jq -c . FILE, or jq -c '.[]' FILE.",
        b"[" * 100_000,
    ),
    # `datasets`
    "a split that is not there": hub(
        "D/set (split validation): `datasets` can't load it: Unknown split \"validation\". Should be one of ['train']. Check the files, config and split.",
        ROW,
        split="validation",
    ),
    "a column that is not there": hub(
        "D/set (split train): no column or language `english`. Known: en, fr.", ROW, source_column="english"
    ),
    "a folder that is not there": Mistake(
        "D/nowhere (split train): `hub` takes a Hub id such as `owner/name` or the path of a folder. Check the spelling and the current folder; for a single file use the type files, tsv or jsonl.",
        {},
        {"type": "hub", "repository": "D/nowhere"},
    ),
    # others
    "the phrasebook in German": Mistake(
        "the phrasebook (split train, seed 1): it has English and French alone. Received: source_language=en, target_language=de. Set them to en and fr, in either order, or give another corpus.",
        {},
        {"type": "phrasebook"},
        ("target_language=de",),
    ),
}


def make_files(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def train(tmp_path, monkeypatch, capfd):
    """Trains on a corpus, in this process; returns the status and what stood on standard error."""
    monkeypatch.setenv(startup.LOG_LEVEL, "3")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    make_files(tmp_path, {"dev.en": ENGLISH, "dev.fr": FRENCH})

    def run(corpus: dict[str, Any], *words: str) -> tuple[int, str]:
        dev = {"type": "files", "source": str(tmp_path / "dev.en"), "target": str(tmp_path / "dev.fr")}
        tree = {"source_language": "en", "target_language": "fr", "data": {"train": corpus, "dev": dev}}
        tree["tokenizer"] = {"vocabulary_size": 300}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
        changes = [part for word in words for part in ("--set", word)]
        with pytest.raises(SystemExit) as stopped:
            cli.main(["train", str(tmp_path / "config.yaml"), "--run-dir", str(tmp_path / "run"), *changes])
        assert not (tmp_path / "run").exists()
        out, err = capfd.readouterr()
        assert out == ""
        return stopped.value.code, err

    return run


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_message(name, train, tmp_path):
    mistake = MISTAKES[name]
    make_files(tmp_path, mistake.files)
    corpus = json.loads(json.dumps(mistake.corpus).replace("D/", f"{tmp_path}/"))
    status, err = train(corpus, *mistake.words)
    assert status == 2
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: {mistake.message.replace('D/', f'{tmp_path}/')}"]
    assert "Traceback" not in err


def test_a_bomb_is_one_message(train, tmp_path):
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress((b"a word " * 30 + b"\tun mot\n") * 80_000))
    status, err = train({"type": "tsv", "path": str(tmp_path / "a.tsv.gz")})
    assert status == 2
    problem = "the archive unpacks to more than 250 times its size, as hardly any text does"
    remedy = "If it is yours, unpack it first and give the unpacked file"
    assert re.search(
        rf"^error: {re.escape(str(tmp_path))}/a\.tsv\.gz, after line [\d,]+: {problem}\. {remedy}\.$", err, re.MULTILINE
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_that_may_not_be_read_is_one_message(train, tmp_path):
    (tmp_path / "a.tsv").touch(mode=0)
    status, err = train({"type": "tsv", "path": str(tmp_path / "a.tsv")})
    assert (status, err) == (
        2, f"error: {tmp_path}/a.tsv: can't be read: Permission denied. Check its permissions and its disk.\n"
    )  # fmt: skip


def test_a_pipe_with_many_pairs_is_one_message(train, tmp_path, monkeypatch):
    # It is read several times, which a pipe can't be: the second reading waited for ever.
    monkeypatch.setattr(blocks, "BLOCK_PAIRS", 2)
    os.mkfifo(tmp_path / "a.tsv")
    content = b"".join(b"%d\tun %d\n" % (number, number) for number in range(3))
    writer = threading.Thread(target=(tmp_path / "a.tsv").write_bytes, args=(content,))
    writer.start()
    status, err = train({"type": "tsv", "path": str(tmp_path / "a.tsv")})
    writer.join()
    assert status == 2
    assert err.splitlines()[-1] == (
        f"error: {tmp_path}/a.tsv: so many pairs, 3, are read several times, and this is no file that can be. "
        "Write what comes through a pipe to a file."
    )


SAME = "D/{}: {} pairs are the same on both sides. Check that the target is a translation."
HEADER = "D/{}: the first pair, `{}` and `{}`, looks like the names of columns. {}."
REMEDY = "Give source_column and target_column by name, or remove it"
SWAPPED = (
    "D/{}: the source is named `{}` and the target `{}`, but the languages are en to fr. "
    "Check that the sides are not swapped."
)
# Files, the corpus, and what is said of it beside the few pairs.
SUSPICIONS = {
    "a good corpus": ({"a.en": ENGLISH, "a.fr": FRENCH}, FilesCorpus(source="D/a.en", target="D/a.fr"), []),
    "one file for both sides": (
        {"a.en": ENGLISH},
        FilesCorpus(source="D/a.en", target="D/a.en"),
        [SAME.format("a.en and D/a.en", "3 of 3")],
    ),
    "a target that is not translated": (
        {"a.tsv": b"one\tone\ntwo\tdeux\nthree\tthree\n"},
        TSVCorpus(path="D/a.tsv"),
        [SAME.format("a.tsv", "2 of 3")],
    ),
    "half of it names": ({"a.tsv": b"Paris\tParis\none\tun\n"}, TSVCorpus(path="D/a.tsv"), []),
    "a header that is read as a pair": (
        {"a.tsv": b"en\tfr\none\tun\n"},
        TSVCorpus(path="D/a.tsv"),
        [HEADER.format("a.tsv", "en", "fr", REMEDY)],
    ),
    "a header of columns the other way round": (
        {"a.tsv": b"Target\tSource\none\tun\n"},
        TSVCorpus(path="D/a.tsv"),
        [HEADER.format("a.tsv", "Target", "Source", REMEDY)],
    ),
    "a header in two files": (
        {"a.en": b"source\none\n", "a.fr": b"target\nun\n"},
        FilesCorpus(source="D/a.en", target="D/a.fr"),
        [HEADER.format("a.en and D/a.fr", "source", "target", "If it is no pair, remove it")],
    ),
    "files the other way round": (
        {"a.en.gz": gzip.compress(ENGLISH), "a.fr": FRENCH},
        FilesCorpus(source="D/a.fr", target="D/a.en.gz"),
        [SWAPPED.format("a.fr and D/a.en.gz", "fr", "en")],
    ),
    "columns the other way round": (
        {"a.jsonl": ROW},
        JSONLCorpus(path="D/a.jsonl", source_column="fr", target_column="en"),
        [SWAPPED.format("a.jsonl", "fr", "en")],
    ),
    "NUL characters": (
        {"a.tsv": b"o\0ne\tun\ntwo\tde\0ux\nthree\ttrois\n"},
        TSVCorpus(path="D/a.tsv"),
        ["D/a.tsv: NUL characters in 2 pairs. Check that the files are text."],
    ),
    "a NUL character": (
        {"a.tsv": b"o\0\tun\ntwo\tdeux\nthree\ttrois\n"},
        TSVCorpus(path="D/a.tsv"),
        ["D/a.tsv: NUL characters in 1 pair. Check that the files are text."],
    ),
}


@pytest.mark.parametrize("name", SUSPICIONS)
def test_what_looks_wrong_but_may_be_meant_is_a_warning(name, tmp_path, monkeypatch, caplog):
    files, corpus, expected = SUSPICIONS[name]
    make_files(tmp_path, files)
    monkeypatch.setattr(corpora, "FEW_PAIRS", 0)
    paths = {key: value.replace("D/", f"{tmp_path}/") for key, value in corpus if isinstance(value, str)}
    caplog.set_level(logging.WARNING, "nmt")
    stream = stream_corpora([corpus.model_copy(update=paths)], "en", "fr", max_held=0)
    list(stream)
    assert [message.replace(f"{tmp_path}/", "D/") for message in caplog.messages] == expected


def test_a_name_of_the_one_language_is_no_header(tmp_path, caplog):
    # From a language to itself any first pair of its code alone was taken for the names of columns.
    make_files(tmp_path, {"a.tsv": b"en\ten\none\tan\ntwo\ttu\n"})
    caplog.set_level(logging.WARNING, "nmt")
    assert len(corpora.read_corpora([TSVCorpus(path=str(tmp_path / "a.tsv"))], "en", "en")) == 3
    assert not caplog.messages


@pytest.mark.parametrize(("num_pairs", "is_few"), [(1, True), (999, True), (1000, False)])
def test_few_pairs_to_train_on_are_a_warning(num_pairs, is_few, tmp_path, caplog):
    make_files(tmp_path, {"a.tsv": b"".join(b"%d\tun %d\n" % (number, number) for number in range(num_pairs))})
    caplog.set_level(logging.WARNING, "nmt")
    corpus = TSVCorpus(path=str(tmp_path / "a.tsv"))
    stream_corpora([corpus], "en", "fr", max_held=10_000)
    few = f"{num_pairs} training pair{'s' * (num_pairs > 1)}: too few for a language. Some 5,000 are the least that is of use."
    assert caplog.messages == [few] * is_few
    caplog.clear()
    read_corpora([corpus], "en", "fr")  # to be translated: one line is enough
    assert caplog.messages == []


@pytest.mark.parametrize("max_held", [0, 100])
def test_pairs_that_are_trained_and_scored_on_are_a_warning(max_held, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(corpora, "FEW_PAIRS", 0)
    make_files(tmp_path, {"a.tsv": b"one\tun\ntwo\tdeux\ntwo\tdeux\nthree\ttrois\n"})
    shared, other = SentencePair("two", "deux"), SentencePair("two", "DEUX")
    held_out = {"dev": [shared, other, shared], "test": [other], "none": []}
    caplog.set_level(logging.WARNING, "nmt")
    stream = stream_corpora([TSVCorpus(path=str(tmp_path / "a.tsv"))], "en", "fr", max_held=max_held, held_out=held_out)
    assert len(list(stream)) == 4
    assert caplog.messages == [
        "dev corpora: 2 of 3 pairs are among the training pairs too: what is scored on them says little of other text."
    ]


def test_duplicates_alone_are_counted(tmp_path):
    pair_filter = PairFilter(max_length_pieces=100, max_length_ratio=9.0, drop_duplicates=True)
    assert [pair_filter.keeps_text(SentencePair("one", "un")) for _ in range(50)] == [True] + [False] * 49
    assert pair_filter.report() == (
        "kept 1 of 50 pairs; left out 49: 49 duplicates. Most are left out: check the corpora and the limits"
    )


def test_a_vocabulary_larger_than_the_corpus_allows_is_lowered_and_said(caplog):
    caplog.set_level(logging.WARNING, "nmt")
    tokenizer = train_tokenizer([source for source, _ in SENTENCES], vocabulary_size=8000)
    assert tokenizer.vocabulary_size < 320
    assert caplog.messages == [
        f"vocabulary lowered from 8,000 to {tokenizer.vocabulary_size:,} pieces: the training text yields no more"
    ]
