"""The composition root of inference: text in, hypotheses out, in order.

Everything between a line of text and its translation is put together here: tokenizers, batches, search. This module
knows nothing of where the model came from, what it computes with or where the text goes.

Shape letters: B batch, S source length, T target length.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nmt.config_decoding import MAX_POSITIONS, DecodingConfig
from nmt.decoding.forced import ForcedModel, force
from nmt.decoding.hypothesis import Counts, Hypothesis, Score, fall_back, join, loops_last
from nmt.decoding.loops import is_looping
from nmt.decoding.search import BeamSearch, Finished, SearchOptions, StepModel
from nmt.decoding.workers import Stoppable, in_parallel
from nmt.errors import InputError, ModelFileError
from nmt.text.lines import single_line
from nmt.text.special import EOS_ID
from nmt.text.tokenizer import Tokenizer, holds_half_pair

logger = logging.getLogger(__name__)

MAX_BATCH_PIECES = 8192
"""Most source pieces of a batch, unless one line alone has more: bounds its memory, whatever the lines are."""

MAX_BATCH_HYPOTHESES = 4096
"""Most hypotheses of a batch, unless one beam alone has more: bounds its memory, however wide the beam."""

FALLBACK_BEAM_SIZE = 5
"""Narrowest beam in which another hypothesis is looked for where the best one loops: greedy search has no other."""


_INSIDE_CHARACTER = re.compile("<0x[89AB][0-9A-F]>")  # a byte piece that goes on with a UTF-8 character


@dataclass(frozen=True)
class _Part:
    """A stretch of a line that is translated in one go: the whole line, unless that is too long."""

    line: int
    token_ids: list[int]
    follows_space: bool
    """Whether it begins a word: its translation is then joined to the one before by a space."""


class Model(ForcedModel, Protocol):
    """What a translator translates with."""

    @property
    def workers(self) -> int:
        """How many batches are best worked on at a time, each in a thread."""

    @property
    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """The weights by name, as in a model file."""


class Translator:
    """Translates text with a model.

    Args:
        model: What is searched: `nmt.decoding.numpy_model.NumpyModel`, or `KerasModel` beside it.
        source_tokenizer: Its source tokenizer.
        target_tokenizer: Its target tokenizer; the same object where the vocabulary is joint.
        source_language: Code of the source language, for people to read.
        target_language: Code of the target language.
        options: The search that is made when a call says nothing else.

    Example:
        >>> import nmt
        >>> translator = nmt.load("runs/quickstart")  # doctest: +SKIP
        >>> translator.translate(["Where is the station?"])[0].text  # doctest: +SKIP
        'Où est la gare ?'
    """

    def __init__(
        self,
        model: Model,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        source_language: str,
        target_language: str,
        options: DecodingConfig | None = None,
    ) -> None:
        self.model = model
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.source_language = source_language
        self.target_language = target_language
        self.options = options or DecodingConfig()

    def translate(self, lines: Sequence[str], **options: Any) -> list[Hypothesis]:
        """Translates lines; one hypothesis a line, in order.

        A blank line gives a blank hypothesis. A line of more pieces than `max_source_pieces` is translated in parts,
        which are joined again, by a space where a word begins. Where the best hypothesis of a line loops, repeating
        itself as the source does not (`nmt.decoding.loops`), the next best that doesn't, has text and ends of itself
        takes its place, found in a beam of `FALLBACK_BEAM_SIZE` at least. Half a surrogate pair, which a Python string
        can hold, is read as U+FFFD.
        A hypothesis tells what befell it, and how many lines each befell is logged.

        Args:
            lines: Raw text, one sentence or so each.
            **options: `beam_size`, `length_penalty`, `coverage_penalty`, `min_length_ratio`, `max_length_ratio`,
                `no_repeat_ngram_size`, `max_source_pieces`, `batch_size` in place of the model's defaults
                (`DecodingConfig`); `with_attention=True` for the attention weights; `progress`, called with the number
                of lines done after each batch; `workers`, the batches worked on at a time, by default as many as suit
                the model; `counts`, a `Counts` that is added to in place of the log.

        Raises:
            InputError: `lines` is a single string, an option is unknown or out of range, or no output keeps both
                `min_length_ratio` and `no_repeat_ngram_size`.
            ModelFileError: The model has diverged: its probabilities are no numbers.
        """
        return [hypotheses[0] for hypotheses in self.translate_n_best(lines, n_best=1, **options)]

    def translate_n_best(
        self,
        lines: Sequence[str],
        *,
        n_best: int,
        with_attention: bool = False,
        progress: Callable[[int], None] | None = None,
        workers: int | None = None,
        counts: Counts | None = None,
        **options: Any,
    ) -> list[list[Hypothesis]]:
        """Translates lines; for each the `n_best` best hypotheses, best first (fewer where the search finds fewer).

        The first is the one that `translate` gives. Those that loop stand behind the others, whatever their scores,
        unless the first one loops and nothing may take its place. Arguments and errors are those of `translate`;
        `n_best` is from 1 to the beam size.
        """
        decoding = self._merge(options)
        if not 1 <= n_best <= decoding.beam_size:
            raise InputError(
                f"n_best must be from 1 to beam_size. Received: n_best={n_best}, beam_size={decoding.beam_size}. "
                "Ask for fewer hypotheses or widen the beam."
            )
        _check_lines(lines)
        workers = self._workers(workers)
        parts = self._parts(lines, decoding.max_source_pieces)
        stop = threading.Event()
        model = Stoppable(self.model, stop)
        by_part: list[list[Hypothesis]] = [[] for _ in parts]
        num_done = len(lines) - len({part.line for part in parts})
        last_part = {part.line: number for number, part in enumerate(parts)}

        def translate_batch(numbers: list[int]) -> list[list[Hypothesis]]:
            sources = [parts[number].token_ids for number in numbers]
            return self._translate_batch(sources, model, decoding, n_best, with_attention)

        longest = max((len(part.token_ids) for part in parts), default=1)
        size = min(decoding.batch_size, _batch_size(decoding, longest))
        batches = list(_batches([len(part.token_ids) for part in parts], size, workers))
        for numbers, pools in in_parallel(translate_batch, batches, workers, stop):
            for number, pool in zip(numbers, pools, strict=True):
                by_part[number] = pool
            if progress is not None:
                num_done += sum(last_part[parts[number].line] == number for number in numbers)
                progress(num_done)
        by_line: list[list[tuple[str, list[Hypothesis]]]] = [[] for _ in lines]
        for part, found in zip(parts, by_part, strict=True):
            by_line[part.line].append((" " if part.follows_space else "", found))
        pools = [join(found) for found in by_line]
        tally = Counts() if counts is None else counts
        tally.add([pool[0] for pool in pools])
        tally.num_surrogates += sum(map(holds_half_pair, lines))
        if counts is None:
            _log(tally)
        return pools

    def score(
        self,
        sources: Sequence[str],
        targets: Sequence[str],
        *,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> list[Score]:
        """Returns how probable the model finds each target, given its source: forced decoding, no search.

        Args:
            sources: Raw text.
            targets: Raw text, a translation of each source.
            batch_size: Most pairs scored at a time; by default several times those of the search.
            workers: Batches worked on at a time; by default as many as suit the model.

        Raises:
            InputError: The two have different lengths, one is a single string, or a number is out of range.
        """
        _check_lines(sources)
        _check_lines(targets)
        if len(sources) != len(targets):
            raise InputError(
                f"score takes one target a source. Received: {len(sources):,} sources, {len(targets):,} targets."
            )
        workers = self._workers(workers)
        source_ids = [[*ids, EOS_ID] for ids in self.source_tokenizer.encode(sources)]
        target_ids = [[*ids, EOS_ID] for ids in self.target_tokenizer.encode(targets)]
        decoding = self._merge({"batch_size": batch_size})
        # By default as many rows a product as a search has.
        size = decoding.batch_size if batch_size else decoding.batch_size * min(decoding.beam_size, 8)
        stop = threading.Event()
        model = Stoppable(self.model, stop)

        def score_batch(numbers: list[int]) -> list[Score]:
            forced = force(model, [source_ids[n] for n in numbers], [target_ids[n] for n in numbers])
            return [Score(float(each.log_probs.sum(dtype="float64")), len(each.log_probs)) for each in forced]

        lengths = [len(source) + len(target) for source, target in zip(source_ids, target_ids, strict=True)]
        scores: dict[int, Score] = {}
        for numbers, found in in_parallel(score_batch, list(_batches(lengths, size, workers)), workers, stop):
            scores.update(zip(numbers, found, strict=True))
        _log(Counts(num_surrogates=sum(holds_half_pair(line) for side in (sources, targets) for line in side)))
        return [scores[number] for number in range(len(sources))]

    def source_pieces(self, line: str) -> list[str]:
        """Returns the pieces of a line as the encoder sees them: the columns of `Hypothesis.attention`."""
        return [*self.source_tokenizer.pieces(self.source_tokenizer.encode([line])[0]), "</s>"]

    def target_pieces(self, hypothesis: Hypothesis) -> list[str]:
        """Returns the pieces of a hypothesis: the rows of `Hypothesis.attention`."""
        return [*self.target_tokenizer.pieces(hypothesis.token_ids), "</s>"]

    def _merge(self, options: dict[str, Any]) -> DecodingConfig:
        given = {name: value for name, value in options.items() if value is not None}
        return self.options.with_changes(given)

    def _workers(self, workers: int | None) -> int:
        if workers is None:
            return self.model.workers
        if workers < 1:
            raise InputError(
                f"there must be 1 worker or more. Received: workers={workers}. Leave it out for the default."
            )
        return workers

    def _parts(self, lines: Sequence[str], max_pieces: int) -> list[_Part]:
        parts: list[_Part] = []
        written = [number for number, line in enumerate(lines) if line.strip()]
        for number, ids in zip(written, self.source_tokenizer.encode([lines[n] for n in written]), strict=True):
            # A line of nothing but `▁`, which is read as a space, is blank too.
            stretches = list(self._split(ids, max_pieces)) if ids else []
            is_split = len(stretches) > 1
            parts.extend(_Part(number, stretch, is_split and self._begins_word(stretch)) for stretch in stretches)
        return parts

    def _split(self, token_ids: list[int], max_pieces: int) -> Iterator[list[int]]:
        """Cuts a long line after a sentence that ends in a stretch's second half, else before a word or a character."""
        start = 0
        while len(token_ids) - start > max_pieces:
            stretch = token_ids[start : start + max_pieces + 1]
            pieces = self.source_tokenizer.pieces(stretch)
            half = max_pieces // 2
            ends = range(half + 1, max_pieces + 1)
            words = [end for end in ends if pieces[end].startswith("\u2581")]
            sentences = [end for end in words if pieces[end - 1][-1:] in ".!?;:"]
            sentences += [end for end in ends if pieces[end - 1][-1:] in "\u3002\uff01\uff1f\uff1b"]
            characters = [end for end in ends if not _INSIDE_CHARACTER.fullmatch(pieces[end])]
            length = max(sentences or words or characters or [max_pieces])
            yield token_ids[start : start + length]
            start += length
        yield token_ids[start:]

    def _begins_word(self, token_ids: list[int]) -> bool:
        return self.source_tokenizer.pieces(token_ids[:1])[0].startswith("\u2581")

    def _translate_batch(
        self,
        sources: list[list[int]],
        model: StepModel,
        decoding: DecodingConfig,
        n_best: int,
        with_attention: bool,
    ) -> list[list[Hypothesis]]:
        lengths = np.array([len(ids) for ids in sources])
        source_ids = [[*ids, EOS_ID] for ids in sources]
        longest = np.array([decoding.longest_output(length) for length in lengths.tolist()])
        shortest = np.floor(lengths * decoding.min_length_ratio).astype(int)
        limits = shortest + 1, np.maximum(longest, shortest) + 1
        found = _search(model, decoding, n_best)(source_ids, *limits)
        if not all(found):
            if not (decoding.min_length_ratio or decoding.no_repeat_ngram_size):
                raise ModelFileError("the model gives no probabilities, only what is no number. Take another model.")
            raise InputError(
                f"no output of a line of {lengths[found.index([])]} pieces is long enough without repeating itself. "
                f"Received: min_length_ratio={decoding.min_length_ratio}, "
                f"no_repeat_ngram_size={decoding.no_repeat_ngram_size}. Lower the first or raise the second."
            )
        texts = self.source_tokenizer.decode(sources)

        def finish(number: int, pool: list[Finished]) -> list[Hypothesis]:
            return [self._hypothesis(one, texts[number], int(limits[1][number])) for one in pool]

        hypotheses = [finish(number, pool) for number, pool in enumerate(found)]
        # Whatever stands behind it, the best is what it is when nothing else is asked for.
        hypotheses = [pool if pool[0].is_looping else loops_last(pool) for pool in hypotheses]
        looping = [number for number, pool in enumerate(hypotheses) if pool[0].is_looping]
        # The search drops what can't be among the best `n_best`: for the few that need more it is made again.
        wide = decoding.with_changes({"beam_size": max(decoding.beam_size, FALLBACK_BEAM_SIZE)})
        again = _search(model, wide, wide.beam_size)
        for start in range(0, len(looping), size := _batch_size(wide, int(lengths.max()))):
            few = looping[start : start + size]
            wider = again([source_ids[number] for number in few], *(limit[few] for limit in limits))
            for number, pool in zip(few, wider, strict=True):
                hypotheses[number] = fall_back(hypotheses[number], finish(number, pool))[:n_best]
        return self._with_attention(source_ids, hypotheses) if with_attention else hypotheses

    def _hypothesis(self, found: Finished, source: str, max_length: int) -> Hypothesis:
        (text,) = self.target_tokenizer.decode([found.token_ids])
        is_capped = len(found.token_ids) + 1 >= max_length
        return Hypothesis(
            text=single_line(text),
            token_ids=found.token_ids,
            score=found.score,
            log_prob=found.log_prob,
            is_capped=is_capped,
            is_looping=is_looping(text, source, is_capped=is_capped),
        )

    def _with_attention(
        self, source_ids: list[list[int]], hypotheses: list[list[Hypothesis]]
    ) -> list[list[Hypothesis]]:
        # The winners are decoded once more, which is cheaper than to carry the weights of every hypothesis through the
        # search; rank by rank, so that the sources are encoded for as many sentences as in the search.
        looked: list[list[Hypothesis]] = [[] for _ in hypotheses]
        for rank in range(max(map(len, hypotheses))):
            having = [number for number, pool in enumerate(hypotheses) if len(pool) > rank]
            targets = [[*hypotheses[number][rank].token_ids, EOS_ID] for number in having]
            forced = force(self.model, [source_ids[number] for number in having], targets, with_attention=True)
            for number, each in zip(having, forced, strict=True):
                looked[number].append(dataclasses.replace(hypotheses[number][rank], attention=each.attention))
        return looked


def _check_lines(lines: Sequence[str]) -> None:
    if isinstance(lines, str):
        raise InputError("a translator takes a list of lines. Received: one string. Put it in a list: [line].")


def _log(counts: Counts) -> None:
    for message in counts.messages():
        logger.warning("%s.", message)


def _search(model: StepModel, decoding: DecodingConfig, n_best: int) -> BeamSearch:
    options = SearchOptions(
        beam_size=decoding.beam_size,
        n_best=n_best,
        length_penalty=decoding.length_penalty,
        coverage_penalty=decoding.coverage_penalty,
        no_repeat_ngram_size=decoding.no_repeat_ngram_size,
    )
    return BeamSearch(model, options)


def _batch_size(decoding: DecodingConfig, num_source_pieces: int) -> int:
    """Returns how many sentences of so many pieces at most may be searched at a time."""
    num_positions = decoding.beam_size * decoding.longest_output(num_source_pieces)
    return max(1, min(MAX_BATCH_HYPOTHESES // decoding.beam_size, MAX_POSITIONS // num_positions))


def _batches(lengths: Sequence[int], size: int, workers: int) -> Iterator[list[int]]:
    """Yields numbers, longest first: sentences of a batch end together, and too large a batch fails at once.

    A batch has at most `size` of them, and at most `MAX_BATCH_PIECES` pieces unless one alone has more. As far as that
    allows, their number is a multiple of the workers', so that no worker is left without one.
    """
    num_batches = -(-len(lengths) // (size * workers)) * workers
    size = -(-len(lengths) // max(num_batches, 1))
    batch: list[int] = []
    num_pieces = 0
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        if batch and (len(batch) == size or num_pieces + lengths[number] > MAX_BATCH_PIECES):
            yield batch
            batch, num_pieces = [], 0
        batch.append(number)
        num_pieces += lengths[number]
    if batch:
        yield batch
