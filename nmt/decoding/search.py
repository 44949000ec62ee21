"""Beam search over any model that decodes a step at a time; with a beam of one, greedy search.

The search knows nothing of weights or text, and runs on the host: a model gives the most probable next tokens of every
hypothesis, the search says which hypotheses go on from which. Scores are those of `scoring.py`.

Shape letters: B sentences, A sentences not done yet, K beam, N live hypotheses, S source length, L longest output,
C candidates of a hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nmt.decoding import scoring
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID, UNK_ID

NEVER_EMITTED = [PAD_ID, UNK_ID, BOS_ID]


class Candidates(NamedTuple):
    """What may come next: the C most probable tokens of each hypothesis, in any order."""

    token_ids: NDArray[np.intp]
    """(N, C). Tokens that are never emitted are not among them, or have a log-probability of -inf."""
    log_probs: NDArray[np.float32]
    """(N, C)."""
    eos_log_probs: NDArray[np.float32]
    """(N,), of the end of sentence, whether it is among the candidates or not, and be it banned."""


class Banned(NamedTuple):
    """Tokens that single hypotheses may not have next."""

    rows: NDArray[np.intp]
    """Ascending."""
    token_ids: NDArray[np.integer[Any]]


class StepModel(Protocol):
    """One decode position of every hypothesis: the seam between a model and a search.

    Hypotheses are rows, those of a sentence together and in the order of the sentences; a sentence may have none.
    """

    def encode(self, source_ids: Sequence[Sequence[int]], /) -> tuple[Any, Any]:
        """Returns what decoding needs of a batch of sentences, and the state of one hypothesis for each of them."""

    def advance(
        self,
        encoded: Any,
        state: Any,
        parents: NDArray[np.intp],
        token_ids: NDArray[np.integer[Any]],
        counts: Sequence[int],
        /,
    ) -> tuple[Any, Any, NDArray[np.float32]]:
        """Returns readout vectors, for `candidates`; the state after; attention (N, S), zero beyond a sentence's end.

        Args:
            encoded: What `encode` made of the sentences.
            state: The state before.
            parents: (N,), which row of `state` each hypothesis goes on from.
            token_ids: (N,), the last token of each.
            counts: For each of the B sentences, how many of the N hypotheses are its own.
        """

    def candidates(self, readout: Any, size: int, banned: Banned | None = None, /) -> Candidates:
        """Returns at least the `size` most probable next tokens, or all that there are."""


@dataclass(frozen=True)
class SearchOptions:
    """What a search looks for. Lengths are given with each batch."""

    beam_size: int = 5
    n_best: int = 1
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    no_repeat_ngram_size: int = 0


@dataclass(frozen=True)
class Finished:
    """A hypothesis that ended: its tokens without the end of sentence, and its scores with it."""

    token_ids: tuple[int, ...]
    score: float
    log_prob: float


@dataclass
class _Pools:
    """The hypotheses of the sentences that are not done; each pool is sorted with the best first."""

    sentences: NDArray[np.intp]
    """(A,), their numbers in the batch, ascending."""
    log_probs: NDArray[np.float32]
    """(A, K), of the live hypotheses; -inf where there is none."""
    tokens: NDArray[np.int32]
    """(A, K, L), of the live hypotheses, then padding."""
    coverage: NDArray[np.float32]
    """(A, K, S), attention that each source position had, summed over the steps."""
    finished_scores: NDArray[np.float32]
    """(A, n_best), normalised; -inf where there is none."""
    finished_log_probs: NDArray[np.float32]
    """(A, n_best)."""
    finished_tokens: NDArray[np.int32]
    """(A, n_best, L), without the end of sentence, then padding."""

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Leaves out the other sentences."""
        self.sentences = self.sentences[rows]
        self.log_probs, self.tokens, self.coverage = self.log_probs[rows], self.tokens[rows], self.coverage[rows]
        self.finished_scores = self.finished_scores[rows]
        self.finished_log_probs = self.finished_log_probs[rows]
        self.finished_tokens = self.finished_tokens[rows]


class BeamSearch:
    """Beam search with a live and a finished pool.

    Each step extends the K live hypotheses by every token. Of the K best extensions those that end the sentence
    compete, by normalised score, for the finished pool: others that end would have fallen out of an ordinary beam. The
    K best that do not end live on. Scores of finished hypotheses are never compared with those of live ones, save by
    the bound below.

    A log-probability only falls, the length penalty's divisor only grows, and the coverage penalty is at most 0: the
    best that a live hypothesis can still reach is `log_prob / length_penalty(max_length)`. One that can't get above the
    worst of the `n_best` finished hypotheses that are asked for is dropped. It ranks below all that are kept, and so do
    its extensions below theirs that can still win; what moves up into the places it leaves is as hopeless, and is
    dropped in its turn or, where it ends, enters no pool. Within the beam nothing better is missed. A sentence is done
    when no hypothesis is left. With K = 1 it ends with the first finished hypothesis instead: greedy search.

    Args:
        model: What is searched.
        options: What to look for.

    Raises:
        ValueError: `n_best` exceeds `beam_size`, or a number is out of range.
    """

    def __init__(self, model: StepModel, options: SearchOptions) -> None:
        if not 1 <= options.n_best <= options.beam_size:
            raise ValueError(
                f"`n_best` must be from 1 to `beam_size`. Received: n_best={options.n_best}, "
                f"beam_size={options.beam_size}"
            )
        if min(options.length_penalty, options.coverage_penalty, options.no_repeat_ngram_size) < 0:
            raise ValueError(f"Penalties and n-gram size must be >= 0. Received: {options}")
        self.model = model
        self.options = options

    def __call__(
        self,
        source_ids: Sequence[Sequence[int]],
        min_length: NDArray[np.integer[Any]],
        max_length: NDArray[np.integer[Any]],
    ) -> list[list[Finished]]:
        """Searches a batch.

        Args:
            source_ids: The sentences, each of one piece or more.
            min_length: (B,), fewest tokens of an output, the end of sentence counted.
            max_length: (B,), most tokens of an output, the end of sentence counted.

        Returns:
            For each sentence its finished hypotheses, best first: at most `n_best`, and none where the limits of length
            and repetition leave none.
        """
        found: list[list[Finished]] = [[] for _ in source_ids]
        if not found:
            return found
        encoded, state = self.model.encode(source_ids)
        source_lengths = np.array([len(ids) for ids in source_ids])
        pools = self._start(source_lengths, int(max_length.max()))
        parents, token_ids = pools.sentences, np.full(len(found), BOS_ID)
        for length in range(1, int(max_length.max()) + 1):
            is_live = pools.log_probs > -np.inf
            counts = np.zeros(len(found), np.intp)
            counts[pools.sentences] = is_live.sum(axis=1)
            readout, state, attention = self.model.advance(encoded, state, parents, token_ids, counts.tolist())
            banned = None
            if self.options.no_repeat_ngram_size:
                so_far = pools.tokens[is_live][:, : length - 1]
                banned = Banned(*scoring.repeated_ngrams(so_far, self.options.no_repeat_ngram_size))
            candidates = self.model.candidates(readout, self.options.beam_size + 1, banned)
            if self.options.coverage_penalty:
                pools.coverage[is_live] += attention[:, : pools.coverage.shape[2]]
            limits = min_length[pools.sentences], max_length[pools.sentences]
            columns, token_ids = self._extend(pools, candidates, length, limits, source_lengths[pools.sentences])
            # Which row of `state` each of the new live hypotheses goes on from.
            row_of = np.full(is_live.shape, -1)
            row_of[is_live] = np.arange(is_live.sum())
            parents = np.take_along_axis(row_of, columns, axis=1)

            is_live = pools.log_probs > -np.inf
            is_done = np.asarray(~is_live.any(axis=1))
            for row in np.flatnonzero(is_done).tolist():
                found[pools.sentences[row]] = _finished(pools, row)
            if is_done.all():
                break
            parents, token_ids = parents[is_live], token_ids[is_live]
            if is_done.any():
                pools.keep(~is_done)
        return found

    def _start(self, source_lengths: NDArray[Any], longest: int) -> _Pools:
        """Returns pools with one live hypothesis a sentence, the empty one, and none finished."""
        size, (beam_size, n_best) = len(source_lengths), (self.options.beam_size, self.options.n_best)
        log_probs = np.full((size, beam_size), -np.inf, "float32")
        log_probs[:, 0] = 0.0
        with_coverage = source_lengths.max() if self.options.coverage_penalty else 0
        return _Pools(
            sentences=np.arange(size),
            log_probs=log_probs,
            tokens=np.full((size, beam_size, longest), PAD_ID, "int32"),
            coverage=np.zeros((size, beam_size, with_coverage), "float32"),
            finished_scores=np.full((size, n_best), -np.inf, "float32"),
            finished_log_probs=np.full((size, n_best), -np.inf, "float32"),
            finished_tokens=np.full((size, n_best, longest), PAD_ID, "int32"),
        )

    def _extend(
        self,
        pools: _Pools,
        candidates: Candidates,
        length: int,
        limits: tuple[NDArray[Any], NDArray[Any]],
        source_lengths: NDArray[Any],
    ) -> tuple[NDArray[np.intp], NDArray[Any]]:
        """Extends every live hypothesis by one token, to `length` of them.

        Returns:
            For the new live pools, (A, K) each: the place of the hypothesis that it goes on from, and the new token.
        """
        beam_size, options = self.options.beam_size, self.options
        totals, token_ids = self._totals(pools, candidates, length, *limits)
        order = np.argsort(-totals, axis=1, kind="stable")
        totals, token_ids = np.take_along_axis(totals, order, axis=1), np.take_along_axis(token_ids, order, axis=1)
        columns = order // (totals.shape[1] // beam_size)
        ends = token_ids == EOS_ID

        # Those of the first K that end the sentence join the finished pool, whose best stay.
        if ends[:, :beam_size].any():
            scores = totals[:, :beam_size] / scoring.length_penalty(length, options.length_penalty)
            if options.coverage_penalty:
                mask = np.arange(pools.coverage.shape[2]) < source_lengths[:, None]
                penalty = scoring.coverage_penalty(pools.coverage, mask, options.coverage_penalty)
                scores = scores + np.take_along_axis(penalty, columns[:, :beam_size], axis=1)
            scores = np.where(ends[:, :beam_size], scores, -np.inf)
            self._finish(pools, scores, totals[:, :beam_size], _choose(pools.tokens, columns[:, :beam_size]))

        # The best K of the others live on.
        living = np.argsort(ends, axis=1, kind="stable")[:, :beam_size]
        columns, token_ids = np.take_along_axis(columns, living, axis=1), np.take_along_axis(token_ids, living, axis=1)
        totals, ends = np.take_along_axis(totals, living, axis=1), np.take_along_axis(ends, living, axis=1)
        best_possible = totals / scoring.length_penalty(limits[1], options.length_penalty)[:, None]
        is_hopeless = best_possible <= pools.finished_scores[:, -1:]
        if beam_size == 1:
            is_hopeless = pools.finished_scores > -np.inf
        pools.log_probs = np.where(ends | is_hopeless, -np.inf, totals)
        pools.tokens = _choose(pools.tokens, columns)
        pools.tokens[:, :, length - 1] = token_ids
        pools.coverage = _choose(pools.coverage, columns)
        return columns, token_ids

    def _totals(
        self,
        pools: _Pools,
        candidates: Candidates,
        length: int,
        min_length: NDArray[Any],
        max_length: NDArray[Any],
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Returns log-probabilities and last tokens (A, K x C) of all extensions that the limits of length permit."""
        is_live = pools.log_probs > -np.inf
        (num_sentences, beam_size), size = is_live.shape, candidates.log_probs.shape[1]
        log_probs = np.full((num_sentences, beam_size, size), -np.inf, "float32")
        token_ids = np.full((num_sentences, beam_size, size), PAD_ID)
        log_probs[is_live], token_ids[is_live] = candidates.log_probs, candidates.token_ids
        log_probs[(token_ids == EOS_ID) & (length < min_length)[:, None, None]] = -np.inf
        is_last = (length >= max_length)[:, None] & is_live
        if is_last.any():
            eos_log_probs = np.full((num_sentences, beam_size), -np.inf, "float32")
            eos_log_probs[is_live] = candidates.eos_log_probs
            log_probs[is_last], token_ids[is_last] = -np.inf, PAD_ID
            log_probs[is_last, 0], token_ids[is_last, 0] = eos_log_probs[is_last], EOS_ID
        totals = (pools.log_probs[:, :, None] + log_probs).reshape(num_sentences, -1)
        # A model that has diverged says NaN, and no comparison with it comes out true.
        return np.where(totals > -np.inf, totals, -np.inf), token_ids.reshape(num_sentences, -1)

    def _finish(self, pools: _Pools, scores: NDArray[Any], log_probs: NDArray[Any], tokens: NDArray[np.int32]) -> None:
        """Lets hypotheses (A, K) into the finished pools where they are good enough."""
        scores = np.concatenate([pools.finished_scores, scores], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self.options.n_best]
        log_probs = np.concatenate([pools.finished_log_probs, log_probs], axis=1)
        pools.finished_scores = np.take_along_axis(scores, best, axis=1)
        pools.finished_log_probs = np.take_along_axis(log_probs, best, axis=1)
        pools.finished_tokens = _choose(np.concatenate([pools.finished_tokens, tokens], axis=1), best)


def _choose(pool: NDArray[Any], choices: NDArray[np.intp]) -> NDArray[Any]:
    """Returns the chosen hypotheses: (A, P, ...) and places (A, Q) give (A, Q, ...)."""
    return pool[np.arange(len(pool))[:, None], choices]


def _finished(pools: _Pools, row: int) -> list[Finished]:
    return [
        Finished(tuple(tokens[tokens != PAD_ID].tolist()), float(score), float(log_prob))
        for tokens, score, log_prob in zip(
            pools.finished_tokens[row], pools.finished_scores[row], pools.finished_log_probs[row], strict=True
        )
        if score > -np.inf
    ]
