"""From the corpora that a configuration names to pairs of sentences.

This is the shell around `nmt.text.corpus` and `nmt.text.phrasebook`: it knows which reader a section of the
configuration asks for, says what was read, and refuses a corpus without a single pair to use. The readers know nothing
of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from nmt.config import Corpus, FilesCorpus, HubCorpus, JSONLCorpus, PhrasebookCorpus, TSVCorpus
from nmt.errors import CorpusError
from nmt.text import corpus as readers
from nmt.text.corpus import SentencePair

logger = logging.getLogger(__name__)

PHRASEBOOK_LANGUAGES = ("en", "fr")


def read_corpora(corpora: Sequence[Corpus], source_language: str, target_language: str) -> list[SentencePair]:
    """Reads corpora one after the other and logs how many pairs each one has.

    Args:
        corpora: Sections of the configuration, such as `config.data.train`.
        source_language: Code of the source language; the column read where a corpus names none.
        target_language: Code of the target language, likewise.

    Returns:
        The pairs of all corpora, in order, exactly as they stand there. Nothing is left out.

    Raises:
        CorpusError: A corpus can't be read, breaks a rule of its format, is empty or has no pair with text on both
            sides.

    Example:
        >>> from nmt.config import PhrasebookCorpus
        >>> len(read_corpora([PhrasebookCorpus(split="dev", num_pairs=5)], "en", "fr"))
        5
    """
    pairs: list[SentencePair] = []
    for corpus in corpora:
        name = _describe(corpus)
        read = list(_read(corpus, source_language, target_language))
        if not read:
            raise CorpusError(f"{name}: the corpus is empty. Give one with at least one pair of sentences.")
        if not any(pair.source.strip() and pair.target.strip() for pair in read):
            raise CorpusError(
                f"{name}: each of its {len(read):,} pairs is blank on one side or both. Check the columns."
            )
        logger.info("read %s pair%s from %s", f"{len(read):,}", "s" if len(read) > 1 else "", name)
        pairs += read
    return pairs


def _read(corpus: Corpus, source_language: str, target_language: str) -> Iterator[SentencePair]:
    match corpus:
        case FilesCorpus():
            return readers.read_files(corpus.source, corpus.target)
        case TSVCorpus():
            return readers.read_tsv(corpus.path, corpus.source_column, corpus.target_column)
        case JSONLCorpus():
            columns = corpus.source_column or source_language, corpus.target_column or target_language
            return readers.read_jsonl(corpus.path, *columns)
        case HubCorpus():
            columns = corpus.source_column or source_language, corpus.target_column or target_language
            return readers.read_hub(corpus.repository, corpus.config, corpus.split, corpus.revision, *columns)
        case PhrasebookCorpus():
            return iter(_generate(corpus, source_language, target_language))


def _generate(corpus: PhrasebookCorpus, source_language: str, target_language: str) -> list[SentencePair]:
    from nmt.text import phrasebook  # builds its grammar when it is imported

    languages = (source_language, target_language)
    if languages not in (PHRASEBOOK_LANGUAGES, PHRASEBOOK_LANGUAGES[::-1]):
        raise CorpusError(
            f"{_describe(corpus)}: it has English and French alone. Received: source_language={source_language}, "
            f"target_language={target_language}. Set them to en and fr, in either order, or give another corpus."
        )
    pairs = phrasebook.generate(corpus.split, corpus.num_pairs, corpus.seed)
    return pairs if languages == PHRASEBOOK_LANGUAGES else [SentencePair(*pair[::-1]) for pair in pairs]


def _describe(corpus: Corpus) -> str:
    match corpus:
        case FilesCorpus():
            return f"{corpus.source} and {corpus.target}"
        case HubCorpus():
            config = f"config {corpus.config}, " if corpus.config else ""
            revision = f", revision {corpus.revision}" if corpus.revision else ""
            return f"{corpus.repository} ({config}split {corpus.split}{revision})"
        case PhrasebookCorpus():
            return f"the phrasebook (split {corpus.split}, seed {corpus.seed})"
        case _:
            return corpus.path
