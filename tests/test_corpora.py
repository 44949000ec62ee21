"""From the configuration's corpora to pairs: which reader is asked, what is said, what is refused."""

from __future__ import annotations

import json
import logging
import os
import threading

import pytest

from nmt import corpora
from nmt.config_corpora import FilesCorpus, HubCorpus, JSONLCorpus, PhrasebookCorpus, TSVCorpus
from nmt.corpora import PairStream, read_corpora, stream_corpora
from nmt.errors import CorpusError
from nmt.text import phrasebook
from nmt.text.corpus import SentencePair


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The same two pairs in every form, under names relative to the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.en").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "a.de").write_text("eins\nzwei\n", encoding="utf-8")
    (tmp_path / "a.tsv").write_text("id\tde\ten\n1\teins\tone\n2\tzwei\ttwo\n", encoding="utf-8")
    rows = [{"en": "one", "de": "eins", "fr": "un"}, {"en": "two", "de": "zwei", "fr": "deux"}]
    (tmp_path / "flat.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    nested = [json.dumps({"translation": row}) for row in rows]
    (tmp_path / "nested.jsonl").write_text("\n".join(nested), encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "train.jsonl").write_text("\n".join(nested), encoding="utf-8")
    return tmp_path


CORPORA = {
    "a.en and a.de": FilesCorpus(source="a.en", target="a.de"),
    "a.tsv": TSVCorpus(path="a.tsv", source_column="en", target_column="de"),
    "flat.jsonl": JSONLCorpus(path="flat.jsonl"),
    "nested.jsonl": JSONLCorpus(path="nested.jsonl"),
    "folder (split train[:2])": HubCorpus(repository="folder", split="train[:2]"),
}
PAIRS = [("one", "eins"), ("two", "zwei")]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("name", CORPORA)
def test_each_type(files, cache, name, caplog):
    caplog.set_level(logging.INFO, "nmt")
    assert read_corpora([CORPORA[name]], "en", "de") == PAIRS
    assert caplog.messages == [f"read 2 pairs from {name}"]


def test_corpora_are_concatenated_in_order(files, cache, caplog):
    caplog.set_level(logging.INFO, "nmt")
    (files / "b.tsv").write_text("three\tdrei\n", encoding="utf-8")
    assert read_corpora([*CORPORA.values(), TSVCorpus(path="b.tsv")], "en", "de") == PAIRS * 5 + [("three", "drei")]
    assert caplog.messages == [*(f"read 2 pairs from {name}" for name in CORPORA), "read 1 pair from b.tsv"]


def test_columns_default_to_the_languages(files, cache):
    for corpus in (JSONLCorpus(path="flat.jsonl"), HubCorpus(repository="folder")):
        assert read_corpora([corpus], "de", "fr") == [("eins", "un"), ("zwei", "deux")]
        named = corpus.model_copy(update={"source_column": "fr"})
        assert read_corpora([named], "de", "en") == [("un", "one"), ("deux", "two")]


def test_unknown_languages_name_the_known_ones(files, cache):
    for corpus in (JSONLCorpus(path="nested.jsonl"), HubCorpus(repository="folder")):
        with pytest.raises(CorpusError, match=r"no column or language `pt`. Known: de, en, fr."):
            read_corpora([corpus], "en", "pt")


def test_hub_options_reach_the_reader(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "nmt")
    calls = []
    pairs = [SentencePair(*pair) for pair in PAIRS]
    monkeypatch.setattr(
        corpora.readers, "open_hub", lambda *arguments: calls.append(arguments) or (lambda: pairs * 600)
    )
    read_corpora([HubCorpus(repository="o/n", config="c", split="dev", revision="v1", target_column="x")], "en", "de")
    assert calls == [("o/n", "c", "dev", "v1", "en", "x")]
    assert caplog.messages == ["read 1,200 pairs from o/n (config c, split dev, revision v1)"]


def test_phrasebook(caplog):
    caplog.set_level(logging.INFO, "nmt")
    corpus = PhrasebookCorpus(split="dev", num_pairs=40, seed=3)
    pairs = read_corpora([corpus], "en", "fr")
    assert pairs == phrasebook.generate("dev", 40, 3)
    assert len(pairs) == 40
    assert caplog.messages == ["read 40 pairs from the phrasebook (split dev, seed 3)"]
    assert read_corpora([corpus], "fr", "en") == [(pair.target, pair.source) for pair in pairs]


@pytest.mark.parametrize("languages", [("en", "de"), ("fr", "fr"), ("de", "en")])
def test_phrasebook_of_other_languages(languages):
    with pytest.raises(CorpusError, match=rf"English and French alone. Received: source_language={languages[0]}, "):
        read_corpora([PhrasebookCorpus()], *languages)


@pytest.mark.parametrize("content", ["", "en\tde\n"])
def test_an_empty_corpus(files, content):
    (files / "empty.tsv").write_text(content, encoding="utf-8")
    columns = {"source_column": "en", "target_column": "de"} if content else {}
    with pytest.raises(CorpusError, match=r"^empty.tsv: the corpus is empty. Give one with at least one pair"):
        read_corpora([CORPORA["a.tsv"], TSVCorpus(path="empty.tsv", **columns)], "en", "de")


def test_a_corpus_of_blanks(files):
    (files / "blank.tsv").write_text("a\t\n \tb\n\t\u3000\n", encoding="utf-8")
    with pytest.raises(
        CorpusError, match=r"^blank.tsv: each of its 3 pairs is blank on one side or both. Check the files"
    ):
        read_corpora([TSVCorpus(path="blank.tsv")], "en", "de")
    (files / "blank.tsv").write_text("a\t\n \tb\nc\td\n", encoding="utf-8")
    assert len(read_corpora([TSVCorpus(path="blank.tsv")], "en", "de")) == 3  # nothing is left out here


class TestStream:
    @pytest.mark.parametrize("max_held", [0, 1, 9, 10, 100])
    def test_is_the_list_as_often_as_it_is_read(self, files, cache, max_held, caplog):
        caplog.set_level(logging.INFO, "nmt")
        stream = stream_corpora([*CORPORA.values()], "en", "de", max_held=max_held)
        assert len(stream) == 10
        assert list(stream) == list(stream) == PAIRS * 5
        stream.release()
        assert list(stream) == PAIRS * 5
        few = "10 training pairs: too few for a language. Some 5,000 are the least that is of use."
        assert caplog.messages == [*(f"read 2 pairs from {name}" for name in CORPORA), few]  # told of once

    @pytest.mark.parametrize("name", CORPORA)
    def test_few_pairs_are_read_once(self, files, cache, name, monkeypatch):
        """So a pipe can be read, and a corpus that is slow to parse is parsed once."""
        stream = stream_corpora([CORPORA[name]], "en", "de", max_held=2)
        for path in files.iterdir():
            path.rename(files.parent / f"{files.name}-{path.name}")
        assert list(stream) == list(stream) == PAIRS

    def test_a_data_set_is_loaded_once(self, files, cache, monkeypatch):
        loaded = []
        load = corpora.readers._load_dataset
        monkeypatch.setattr(corpora.readers, "_load_dataset", lambda *names: loaded.append(names) or load(*names))
        stream = stream_corpora([HubCorpus(repository="folder")], "en", "de", max_held=0)
        assert list(stream) == list(stream) == PAIRS
        assert len(loaded) == 1

    def test_mistakes_show_before_the_first_pair_is_taken(self, files):
        (files / "a.de").write_text("eins\n", encoding="utf-8")
        with pytest.raises(CorpusError, match="both sides must have the same number of lines"):
            stream_corpora([CORPORA["a.tsv"], CORPORA["a.en and a.de"]], "en", "de", max_held=0)

    def test_as_many_other_pairs_are_seen_too(self, files):
        # Two lines of one side changed places: as many pairs, and each of them wrong.
        stream = stream_corpora([CORPORA["a.en and a.de"]], "en", "de", max_held=1)
        lines = (files / "a.de").read_text(encoding="utf-8").splitlines(keepends=True)
        (files / "a.de").write_text("".join(reversed(lines)), encoding="utf-8")
        with pytest.raises(CorpusError, match="have changed since"):
            list(stream)

    def test_a_pipe_with_many_pairs_is_refused_at_once(self, files):
        # A second reading waited for a writer that never came.
        os.mkfifo(files / "pipe")
        writer = threading.Thread(target=lambda: (files / "pipe").write_text("a\tb\nc\td\n", encoding="utf-8"))
        writer.start()
        corpus = TSVCorpus(path=str(files / "pipe"), source_column=0, target_column=1)
        with pytest.raises(CorpusError, match="2, are read several times"):
            stream_corpora([corpus], "en", "de", max_held=1)
        writer.join()

    @pytest.mark.parametrize("content", ["", "one\n", "one\ntwo\nthree\n"])
    def test_a_corpus_that_changes_meanwhile(self, files, content):
        stream = stream_corpora([CORPORA["a.en and a.de"]], "en", "de", max_held=1)
        for name in ("a.en", "a.de"):
            (files / name).write_text(content, encoding="utf-8")
        num_pairs = content.count("\n")
        with pytest.raises(CorpusError, match=rf"have changed since .* Received: 2 pairs, now {num_pairs}\. .* a pipe"):
            list(stream)

    def test_no_more_than_asked_for_is_held(self):
        class Watched(SentencePair):
            alive = 0
            most = 0

            def __new__(cls, number):
                cls.alive += 1
                cls.most = max(cls.most, cls.alive)
                return super().__new__(cls, str(number), "x")

            def __del__(self):
                Watched.alive -= 1

        class Part:
            def __iter__(self):
                return (Watched(number) for number in range(100))

        stream = PairStream([Part(), Part()], max_held=5)
        assert Watched.most <= 5 + 3
        assert sum(1 for _ in stream) == len(stream) == 200
        assert Watched.most <= 5 + 3
