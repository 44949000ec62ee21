"""The readers of parallel text: what they read, and the message of each corpus that breaks a rule."""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from nmt.errors import CorpusError
from nmt.text import corpus
from nmt.text.corpus import SentencePair, read_files, read_hub, read_jsonl, read_tsv
from nmt.text.parting import find_parting_line

PAIRS = [SentencePair("a house", "ein Haus"), SentencePair('he said "no"\u2028', "er sagte „nein“\t")]


def write(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(pairs) -> str:
    with pytest.raises(CorpusError) as caught:
        list(pairs)
    return str(caught.value)


# Two files


def test_files(tmp_path):
    source = write(tmp_path / "train.en.gz", gzip.compress('a house\r\nhe said "no"\u2028\r\n'.encode()))
    target = write(tmp_path / "train.de", "\ufeffein Haus\ner sagte „nein“\t")
    assert list(read_files(source, target)) == PAIRS
    assert list(read_files(str(source), str(target))) == PAIRS


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("num_missing", [1, 3])
def test_sides_of_unequal_length(tmp_path, seed, swapped, num_missing):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 120, size=1200)
    lines = [["x" * length, "y" * max(1, int(length * rng.uniform(1.1, 1.3)))] for length in lengths]
    parting = int(rng.integers(1, 1195))
    long = [source for source, _ in lines]
    short = [target for _, target in lines[: parting - 1] + lines[parting - 1 + num_missing :]]
    paths = [write(tmp_path / name, "\n".join(side) + "\n") for name, side in (("a", long), ("b", short))]
    counts = ["1,200", f"{1200 - num_missing:,}"]
    if swapped:
        paths, counts = paths[::-1], counts[::-1]
    message = refusal(read_files(*paths))
    start = f"{paths[0]} and {paths[1]}: both sides must have the same number of lines. Received: "
    assert message.startswith(f"{start}{counts[0]} and {counts[1]} lines. They seem to part at line ")
    named = int(message.split("at line ")[1].split(";")[0].replace(",", ""))
    assert abs(named - parting) <= 5


@pytest.mark.parametrize(
    ("source", "target", "line"),
    [
        ("a\nb\nc\n", "a\nb\n", 3),  # cut short: nothing speaks for an earlier line
        ("", "a\nb\n", 1),
        ("a\n", "", 1),
        ("short\n" + "a long sentence, very long\n" + "short\n" * 4, "short\n" * 5, 2),
    ],
)
def test_where_tiny_sides_part(tmp_path, source, target, line):
    message = refusal(read_files(write(tmp_path / "a", source), write(tmp_path / "b", target)))
    assert f"They seem to part at line {line};" in message


def test_a_pipe_is_not_read_twice_to_find_where_the_sides_part(tmp_path):
    """It has nothing more to give, and opening it again could wait for ever."""
    os.mkfifo(tmp_path / "a")
    writer = threading.Thread(target=(tmp_path / "a").write_bytes, args=(b"one\ntwo\n",))
    writer.start()
    message = refusal(read_files(tmp_path / "a", write(tmp_path / "b", "eins\n")))
    writer.join()
    assert message.endswith("Received: 2 and 1 lines. Compare the files.")


def test_digests_stand_for_the_whole_text_of_both_sides():
    sides = ["", "a", "b", "ab", "a\0", "1:a", "\ud800", "\ufffd", "é", "e\u0301"]
    pairs = [SentencePair(source, target) for source in sides for target in sides]
    assert len({pair.digest() for pair in pairs}) == len(pairs)
    # Which block of a corpus a pair lies in follows from it: it is the same in every process and release.
    assert SentencePair("Yes.", "Oui.").digest().hex() == "7602f15f68151cff6b93799164ddd4f3"


def test_the_parting_line_against_every_possibility(seed):
    rng = np.random.default_rng(seed)
    for _ in range(50):
        short = rng.integers(1, 9, size=rng.integers(1, 8)).tolist()
        long = rng.integers(1, 9, size=len(short) + rng.integers(1, 4)).tolist()
        scale = np.median(np.log1p(long)) - np.median(np.log1p(short))
        extra = len(long) - len(short)
        costs = []
        for parting in range(len(short) + 1):
            partners = long[:parting] + long[parting + extra :]
            costs.append(sum(abs(np.log1p(b) - np.log1p(a) - scale) for a, b in zip(short, partners, strict=True)))
        assert costs[find_parting_line(short, long) - 1] == pytest.approx(min(costs))


# TSV


def test_tsv_columns_by_number(tmp_path):
    path = write(tmp_path / "a.tsv", 'a house\tein Haus\tCC-BY "x\n"quoted\t\'"\tlast\r\n\t\t\n')
    assert list(read_tsv(path)) == [("a house", "ein Haus"), ('"quoted', "'\""), ("", "")]
    assert [pair.source for pair in read_tsv(path, 2, 0)] == ['CC-BY "x', "last", ""]


def test_tsv_columns_by_name(tmp_path):
    path = write(tmp_path / "a.tsv", "\ufeffen\tid\tde\r\na house\t1\tein Haus\r\n")
    expected = [SentencePair("a house", "ein Haus")]
    assert list(read_tsv(path, "en", "de")) == expected
    assert list(read_tsv(path, 0, "de")) == expected  # one name is enough to make the first line a header
    assert [pair.source for pair in read_tsv(path, 0, 2)] == ["en", "a house"]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a\tb\nc\n", (0, 1), "{}, line 2: a row needs at least 2 columns, split by tabs. Received: 1."),
        ("a\tb\n\nc\td\n", (0, 1), "{}, line 2: a row needs at least 2 columns, split by tabs. Received: 1."),
        ("a\tb\n", (0, 2), "{}, line 1: a row needs at least 3 columns, split by tabs. Received: 2."),
        ("en\tde\nx\n", ("en", "de"), "{}, line 2: a row needs at least 2 columns, split by tabs. Received: 1."),
        ("english\tde\n", ("englsh", "de"), "{}, line 1: no column `englsh`. Did you mean `english`?"),
        ("en\tde\n", ("en", "xx"), "{}, line 1: no column `xx`. Known: de, en."),
        ("en\ten\tde\n", ("en", "de"), "{}, line 1: two columns are named `en`. Give the number of one, from 0."),
        ("", ("en", "de"), "{}: the first line must name the columns. Received: an empty file."),
        ("a\tb\n", (1, 1), "{}: source and target must be different columns. Received: 1 for both."),
        ("a\tb\n", (-1, 1), "{}, line 1: columns are numbered from 0. Received: -1."),
    ],
)
def test_tsv_refusals(tmp_path, text, columns, message):
    path = write(tmp_path / "a.tsv", text)
    assert refusal(read_tsv(path, *columns)).startswith(message.format(path))


# JSONL


def test_jsonl(tmp_path):
    rows = [
        {"translation": {"en": "a house", "de": "ein Haus"}},
        {"id": 7, "en": "two\nlines", "de": "zwei\nZeilen \u2028"},
        {"translation": {"en": "nested", "fr": "x"}, "de": "flat"},
        {"translation": "ein Wort", "en": "a word", "de": "not asked for"},
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(json.dumps(row, ensure_ascii=row.get("id") == 7) for row in rows))
    expected = [
        ("a house", "ein Haus"),
        ("two\nlines", "zwei\nZeilen \u2028"),
        ("nested", "flat"),
        ("a word", "not asked for"),
    ]
    assert list(read_jsonl(path, "en", "de")) == expected
    words = write(tmp_path / "b.jsonl", json.dumps(rows[3]))
    assert list(read_jsonl(words, "en", "translation")) == [("a word", "ein Wort")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "a line is one JSON object. Received: an empty line: Expecting value."),
        ("{'en': 1}", "a line is one JSON object. Received: {'en': 1}: Expecting property name"),
        ('["a", "b"]', 'a line is one JSON object. Received: ["a", "b"].'),
        ('"a"', 'a line is one JSON object. Received: "a".'),
        ('{"en": "a", "en": "b", "de": "c"}', "a line is one JSON object. Received: "),
        ('{"en": "a"}', "no column or language `de`. Known: en."),
        ('{"translation": {"english": "a", "german": "b"}}', "no column or language `en`. Known: english, german."),
        ('{"id": 1, "translation": {"en": "a", "dee": "b"}}', "no column or language `de`. Did you mean `dee`?"),
        ('{"translation": null}', "no column or language `en`. Known: translation."),
        ('{"en": "a", "de": null}', "`de` must be text. Received: None."),
        ('{"en": 5, "de": "b"}', "`en` must be text. Received: 5."),
        ('{"translation": {"en": ["a"], "de": "b"}}', "`en` must be text. Received: ['a']."),
        (r'{"en": "a\ud800", "de": "b"}', "`en` holds half a surrogate pair, which is no character."),
        ("[" * 100_000, "a line is one JSON object. Received: [[["),
        ('{"en": ' + "9" * 5000 + "}", 'a line is one JSON object. Received: {"en": 999'),
    ],
)
def test_jsonl_refusals(tmp_path, line, message):
    path = write(tmp_path / "a.jsonl", '{"en": "a", "de": "b"}\n' + line + "\n")
    text = refusal(read_jsonl(path, "en", "de"))
    assert text.startswith(f"{path}, line 2: {message}")
    assert len(text) < len(str(path)) + 300


def test_jsonl_wants_two_columns(tmp_path):
    assert "Received: en for both" in refusal(read_jsonl(tmp_path / "a.jsonl", "en", "en"))


# Hugging Face `datasets`, from folders in the formats of the Hub

TRANSLATIONS = [{"id": i, "translation": {"en": pair.source, "de": pair.target}} for i, pair in enumerate(PAIRS)]
FLAT = [{"id": i, "en": pair.source, "de": pair.target} for i, pair in enumerate(PAIRS)]


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return datasets


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    return path


def to_jsonl(rows):
    return "\n".join(map(json.dumps, rows)) + "\n"


def read(folder, columns=("en", "de"), config=None, split="train", revision=None):
    return read_hub(str(folder), config, split, revision, *columns)


@pytest.mark.parametrize("rows", [TRANSLATIONS, FLAT], ids=["translation", "flat"])
def test_hub_formats(datasets, folder, rows, capfd):
    features = None
    if rows is TRANSLATIONS:
        features = datasets.Features(id=datasets.Value("int64"), translation=datasets.Translation(["en", "de"]))
    table = datasets.Dataset.from_list(rows, features=features)
    (folder / "parquet").mkdir()
    table.to_parquet(folder / "parquet" / "train.parquet")
    (folder / "jsonl").mkdir()
    write(folder / "jsonl" / "train.jsonl", to_jsonl(rows))
    table.save_to_disk(folder / "saved")
    datasets.DatasetDict(train=table, test=table.select([1])).save_to_disk(folder / "saved_splits")
    capfd.readouterr()
    for name in ("parquet", "jsonl", "saved", "saved_splits"):
        assert list(read(folder / name)) == PAIRS, name
    assert list(read(folder / "saved_splits", split="test")) == PAIRS[1:]
    assert list(read(folder / "parquet", split="train[:1]")) == PAIRS[:1]
    assert capfd.readouterr() == ("", "")
    assert not datasets.are_progress_bars_disabled()
    assert logging.getLogger("datasets").handlers


def test_hub_csv_splits_and_configs(datasets, folder):
    write(folder / "a.csv", 'source,target\n"a, b",c\n')
    write(folder / "b.csv", "source,target\nd,e\n")
    write(folder / "README.md", "---\nconfigs:\n- config_name: one\n  data_files: a.csv\n- config_name: two\n"
          "  data_files:\n  - split: dev\n    path: b.csv\n---\n")  # fmt: skip
    columns = ("source", "target")
    assert list(read(folder, columns, config="one")) == [("a, b", "c")]
    assert list(read(folder, columns, config="two", split="dev")) == [("d", "e")]
    assert "available configs: ['one', 'two']" in refusal(read(folder, columns))
    assert "Available: ['one', 'two']" in refusal(read(folder, columns, config="three"))


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"en": None, "de": "x"}], {}, "row 1: `en` must be text. Received: None."),
        ([{"en": "a", "de": "x"}] * 1500 + [{"en": "a", "de": None}], {}, "row 1501: `de` must be text."),
        ([{"translation": {"en": "a", "de": "b"}}, {"translation": None}], {}, "row 2: no column or language `en`."),
        ([{"en": "a", "de": 1}, {"en": "a", "de": "b"}], {}, "row 1: `de` must be text. Received: 1."),
        (FLAT, {"columns": ("id", "de")}, "row 1: `id` must be text. Received: 0."),
        (FLAT, {"columns": ("eng", "de")}, "no column or language `eng`. Did you mean `en`?"),
        (TRANSLATIONS, {"columns": ("fr", "de")}, "no column or language `fr`. Known: de, en, id."),
        (FLAT, {"columns": ("de", "de")}, "source and target must be different columns."),
        (FLAT, {"split": "test"}, "Unknown split \"test\". Should be one of ['train']."),
        (FLAT, {"split": "train[:"}, "Unrecognized instruction format: train[:."),
        (FLAT, {"config": "x"}, "BuilderConfig 'x' not found. Available: ['default']."),
        (FLAT, {"revision": "v1"}, "a folder has no revisions. Received: revision=v1."),
    ],
)
def test_hub_refusals(datasets, folder, rows, options, message):
    write(folder / "train.jsonl", to_jsonl(rows))
    text = refusal(read(folder, **options))
    assert text.startswith(f"{folder} (split ")
    assert message in text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.jsonl", b'{"en": 1', "`datasets` can't load it: An error occurred while generating the dataset: JSON"),
        ("train.parquet", b"PAR1 and no more", "`datasets` can't load it: Parquet"),
        ("notes.bin", b"", "No (supported) data files found"),
        ("data.py", b"print('ran')", "Dataset scripts are no longer supported"),
    ],
)
def test_hub_folders_that_cannot_be_loaded(datasets, folder, name, content, message, capfd):
    write(folder / name, content)
    text = refusal(read(folder))
    assert message in text
    assert text.endswith(" Check the files, config and split.")
    assert capfd.readouterr() == ("", "")


def test_hub_text_that_is_not_utf8(datasets, folder):
    import pyarrow
    import pyarrow.parquet

    broken = pyarrow.array([b"a", b"caf\xe9"]).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"en": broken, "de": ["x", "y"]}), folder / "train.parquet")
    assert "below row 0: text must be UTF-8: 'utf-8' codec can't decode byte 0xe9" in refusal(read(folder))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tets"}, "whole splits alone. Did you mean `test`?"),
        ({"split": "test[:1]"}, "whole splits alone. Did you mean `test`?"),
        ({"config": "x"}, "has no configurations. Received: config=x."),
    ],
)
def test_hub_saved_folders_refuse(datasets, folder, options, message):
    table = datasets.Dataset.from_list(FLAT)
    datasets.DatasetDict(test=table).save_to_disk(folder / "saved")
    assert message in refusal(read(folder / "saved", **options))


@pytest.mark.parametrize("repository", ["json", "a b", "../x/y", "/no/such/folder", "a/b/c", "x/../y"])
def test_hub_names_that_are_neither_folder_nor_repository(datasets, repository):
    message = refusal(read_hub(repository, None, "train", None, "en", "de"))
    assert "`hub` takes a Hub id such as `owner/name` or the path of a folder." in message


def test_hub_folders_that_cannot_be_looked_at(datasets):
    assert "can't load it: [Errno 36] File name too long" in refusal(read("x" * 5000))


def test_a_folder_is_no_loader_of_the_same_name(datasets, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    folder.rename("json")
    write(folder.parent / "json" / "train.csv", "en,de\na,b\n")
    assert list(read("json")) == [("a", "b")]


def test_hub_offline(datasets):
    message = refusal(read_hub("owner/name", None, "train", None, "en", "de"))
    assert "the Hugging Face Hub was not reached (HF_HUB_OFFLINE is set)" in message
    assert str(datasets.config.HF_DATASETS_CACHE) in message
    assert "--set 'data.train={type: files, source: train.en, target: train.de}'" in message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("Couldn't reach 'owner/name' on the Hub"), "was not reached (Couldn't reach 'owner/name'"),
        (
            FileNotFoundError("Revision 'v9' doesn't exist."),
            "can't load it: Revision 'v9' doesn't exist. Check repository",
        ),
        (OSError(28, "No space left on device"), "can't load it: [Errno 28] No space left on device. Check"),
        (KeyError("x"), "can't load it: 'x'. Check repository, config, split and revision; a private"),
    ],
)
def test_hub_online(datasets, monkeypatch, caplog, error, message):
    calls = []

    def fail(*arguments, **options):
        calls.append((arguments, options))
        logging.getLogger("datasets.load").error("what is raised anyway")
        logging.getLogger("datasets.load").warning("using a copy of last year")
        raise error

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets, "load_dataset", fail)
    caplog.set_level(logging.INFO)
    assert message in refusal(read_hub("owner/name", "small", "train", "v9", "en", "de"))
    assert calls == [(("owner/name", "small"), {"split": "train", "revision": "v9"})]
    assert [record.getMessage() for record in caplog.records] == [
        "asking the Hugging Face Hub for owner/name (split train); without a connection this takes half a minute",
        "datasets.load: using a copy of last year",
    ]


def test_reading_files_imports_no_datasets_library(tmp_path):
    write(tmp_path / "a.tsv", "a\tb\n")
    code = "import sys, nmt.corpora as c; list(c.readers.read_tsv(sys.argv[1])); print('datasets' in sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path / "a.tsv")]
    done = subprocess.run(command, cwd=Path(corpus.__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
