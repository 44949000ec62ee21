"""From the corpora that a configuration names to pairs of sentences.

This is the shell around `nmt.text.corpus` and `nmt.text.phrasebook`: it knows which reader a section of the
configuration asks for, says what was read, and refuses a corpus without a single pair to use. The readers know nothing
of it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import chain
from pathlib import Path

from nmt.config_corpora import Corpus, FilesCorpus, HubCorpus, JSONLCorpus, PhrasebookCorpus, TSVCorpus
from nmt.errors import CorpusError
from nmt.text import corpus as readers
from nmt.text.corpus import SentencePair

logger = logging.getLogger(__name__)

FEW_PAIRS = 1_000
"""Fewer training pairs than this teach a model little; it is said."""

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
        >>> from nmt.config_corpora import PhrasebookCorpus
        >>> len(read_corpora([PhrasebookCorpus(split="dev", num_pairs=5)], "en", "fr"))
        5
    """
    return [pair for corpus in corpora for pair in _Reading(corpus, source_language, target_language)]


def stream_corpora(
    corpora: Sequence[Corpus],
    source_language: str,
    target_language: str,
    *,
    max_held: int,
    held_out: Mapping[str, Sequence[SentencePair]] | None = None,
) -> PairStream:
    """Reads corpora to train on as `read_corpora` does, without holding more than `max_held` pairs in memory.

    Warns where they are few, and where they have pairs that are held out.

    Args:
        corpora: Sections of the configuration.
        source_language: Code of the source language.
        target_language: Code of the target language.
        max_held: Most pairs that are held in memory; of more none are.
        held_out: Pairs that are not to be trained on, by what they are for, such as `dev`.

    Raises:
        CorpusError: As for `read_corpora`, and before this function returns.
    """
    held_out = held_out or {}
    stream = PairStream(
        [_Reading(corpus, source_language, target_language) for corpus in corpora],
        max_held=max_held,
        watched={pair.digest() for pairs in held_out.values() for pair in pairs},
    )
    for name, pairs in held_out.items():
        if num_shared := sum(pair.digest() in stream.found for pair in pairs):
            logger.warning(
                "%s corpora: %s of %s pairs are among the training pairs too: what is scored on them says little of "
                "other text.",
                name, f"{num_shared:,}", f"{len(pairs):,}",
            )  # fmt: skip
    if len(stream) < FEW_PAIRS:
        logger.warning(
            "%s training pair%s: too few for a language. Some 5,000 are the least that is of use.",
            f"{len(stream):,}", "s" if len(stream) > 1 else "",
        )  # fmt: skip
    if len(stream) > max_held:
        for path in (path for corpus in corpora for path in _paths(corpus)):
            if not Path(path).is_file():
                raise CorpusError(
                    f"{path}: so many pairs, {len(stream):,}, are read several times, and this is no file that can be. "
                    "Write what comes through a pipe to a file."
                )
    return stream


def _paths(corpus: Corpus) -> list[str]:
    if isinstance(corpus, FilesCorpus):
        return [corpus.source, corpus.target]
    return [corpus.path] if isinstance(corpus, (TSVCorpus, JSONLCorpus)) else []


class PairStream:
    """Pairs that can be read again and again: from memory if they are few, and from where they came from otherwise.

    All are read once when the stream is made, so that every mistake in them shows then.

    Args:
        parts: Each gives its pairs anew whenever it is iterated over.
        max_held: Most pairs that are held in memory.
        watched: Digests of pairs to look out for.

    Attributes:
        found: Those of them that are among the pairs.

    Raises:
        CorpusError: When the stream is made, what the parts raise; later, that they no longer give the same pairs.

    Example:
        >>> stream = PairStream([[SentencePair("Yes.", "Oui.")], [SentencePair("No.", "Non.")]], max_held=1)
        >>> len(stream), [pair.target for pair in stream]
        (2, ['Oui.', 'Non.'])
    """

    def __init__(
        self, parts: Sequence[Iterable[SentencePair]], *, max_held: int, watched: AbstractSet[bytes] = frozenset()
    ) -> None:
        self._parts = parts
        self._num_pairs = 0
        self._held: list[SentencePair] | None = []
        self.found: set[bytes] = set()
        digest = hashlib.blake2b()
        for pair in chain.from_iterable(parts):
            self._num_pairs += 1
            of_pair = pair.digest()
            digest.update(of_pair)
            if of_pair in watched:
                self.found.add(of_pair)
            if self._num_pairs > max_held:
                self._held = None
            elif self._held is not None:
                self._held.append(pair)
        self._digest = digest.digest()

    @property
    def digest(self) -> bytes:
        """Tells streams of other pairs, or in another order, apart."""
        return self._digest

    def __len__(self) -> int:
        return self._num_pairs

    def __iter__(self) -> Iterator[SentencePair]:
        if self._held is not None:
            yield from self._held
            return
        num_pairs = 0
        digest = hashlib.blake2b()
        for pair in chain.from_iterable(self._parts):
            num_pairs += 1
            digest.update(pair.digest())
            yield pair
        if digest.digest() != self._digest:
            raise CorpusError(
                f"the training corpora have changed since they were first read. Received: {self._num_pairs:,} pairs, "
                f"now {num_pairs:,}. Rule: so many are read several times. Leave the files as they are; write what "
                "comes through a pipe to a file."
            )

    def release(self) -> None:
        """Frees the memory of pairs that are held; reading them once more would go to where they came from."""
        self._held = None


class _Reading:
    """The pairs of one corpus, checked and told of when they are first read."""

    def __init__(self, corpus: Corpus, source_language: str, target_language: str) -> None:
        self._corpus = corpus
        self._languages = source_language, target_language
        self._read: Callable[[], Iterator[SentencePair]] | None = None

    def __iter__(self) -> Iterator[SentencePair]:
        is_first = self._read is None
        if self._read is None:
            self._read = _reader(self._corpus, *self._languages)
        name = _describe(self._corpus)
        if not is_first:
            yield from self._read()
            return
        num_pairs = num_same = num_null = 0
        has_text = False
        for pair in self._read():
            if not num_pairs:
                self._warn_of_sides(name, pair)
            num_pairs += 1
            has_text = has_text or bool(pair.source.strip() and pair.target.strip())
            num_same += pair.source == pair.target
            num_null += "\0" in pair.source or "\0" in pair.target
            yield pair
        if not num_pairs:
            raise CorpusError(f"{name}: the corpus is empty. Give one with at least one pair of sentences.")
        if not has_text:
            raise CorpusError(
                f"{name}: each of its {num_pairs:,} pairs is blank on one side or both. "
                "Check the files and the columns."
            )
        logger.info("read %s pair%s from %s", f"{num_pairs:,}", "s" if num_pairs > 1 else "", name)
        if 2 * num_same > num_pairs:
            logger.warning(
                "%s: %s of %s pairs are the same on both sides. Check that the target is a translation.",
                name, f"{num_same:,}", f"{num_pairs:,}",
            )  # fmt: skip
        if num_null:
            logger.warning(
                "%s: NUL characters in %s pair%s. Check that the files are text.",
                name, f"{num_null:,}", "s" if num_null > 1 else "",
            )  # fmt: skip

    def _warn_of_sides(self, name: str, first: SentencePair) -> None:
        """Warns where the languages in names of files, of columns or in a first row speak against the sides."""
        source, target = (code.casefold() for code in self._languages)
        named = tuple(side.casefold() for side in _side_names(self._corpus))
        if source != target and named == (target, source):
            logger.warning(
                "%s: the source is named `%s` and the target `%s`, but the languages are %s to %s. "
                "Check that the sides are not swapped.",
                name, *named, *self._languages,
            )  # fmt: skip
        header = {side.strip().casefold() for side in first}
        if len(header) > 1 and header in ({source, target}, {"source", "target"}, {"src", "tgt"}):
            by_name = "Give source_column and target_column by name, or remove it"
            logger.warning(
                "%s: the first pair, `%s` and `%s`, looks like the names of columns. %s.",
                name, *first,
                by_name if isinstance(self._corpus, TSVCorpus) else "If it is no pair, remove it",
            )  # fmt: skip


def _side_names(corpus: Corpus) -> tuple[str, str]:
    """Returns what stands for the languages in the names of the sides, empty where nothing does."""
    if isinstance(corpus, FilesCorpus):
        source, target = (re.sub(r"\.(gz|xz|zst)$", "", path, flags=re.IGNORECASE) for path in _paths(corpus))
        return Path(source).suffix.removeprefix("."), Path(target).suffix.removeprefix(".")
    if isinstance(corpus, PhrasebookCorpus):
        return "", ""
    source_column, target_column = corpus.source_column, corpus.target_column
    return str(source_column or ""), str(target_column or "")


def _reader(corpus: Corpus, source_language: str, target_language: str) -> Callable[[], Iterator[SentencePair]]:
    """Returns what reads a corpus from its start, at each call."""
    match corpus:
        case FilesCorpus():
            return partial(readers.read_files, corpus.source, corpus.target)
        case TSVCorpus():
            return partial(readers.read_tsv, corpus.path, corpus.source_column, corpus.target_column)
        case JSONLCorpus():
            columns = corpus.source_column or source_language, corpus.target_column or target_language
            return partial(readers.read_jsonl, corpus.path, *columns)
        case HubCorpus():
            columns = corpus.source_column or source_language, corpus.target_column or target_language
            return readers.open_hub(corpus.repository, corpus.config, corpus.split, corpus.revision, *columns)
        case PhrasebookCorpus():
            return partial(_generate, corpus, source_language, target_language)


def _generate(corpus: PhrasebookCorpus, source_language: str, target_language: str) -> Iterator[SentencePair]:
    from nmt.text import phrasebook  # builds its grammar when it is imported

    languages = (source_language, target_language)
    if languages not in (PHRASEBOOK_LANGUAGES, PHRASEBOOK_LANGUAGES[::-1]):
        raise CorpusError(
            f"{_describe(corpus)}: it has English and French alone. Received: source_language={source_language}, "
            f"target_language={target_language}. Set them to en and fr, in either order, or give another corpus."
        )
    pairs = phrasebook.generate(corpus.split, corpus.num_pairs, corpus.seed)
    return (pair if languages == PHRASEBOOK_LANGUAGES else SentencePair(*pair[::-1]) for pair in pairs)


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
