"""Beam search over any step function; with a beam of one, greedy search.

The search knows nothing of models or text: a step function takes the last token and the state of every hypothesis and
gives the logits of the next. Scores are those of `scoring.py`.

Shape letters: B batch, K beam, N = B x K (or B) hypotheses, S source length, L longest output, V vocabulary size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from keras import ops, tree

from nmt.backend import Structure, Tensor
from nmt.decoding import scoring
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID, UNK_ID

NEVER_EMITTED = (PAD_ID, UNK_ID, BOS_ID)


class StepFunction(Protocol):
    """One decode position of every hypothesis: the seam between a model and a search."""

    def __call__(self, token_ids: Tensor, state: Any, encoded: Any, /) -> tuple[Tensor, Any, Tensor]:
        """Returns logits (N, V), the state after, and attention weights (N, S).

        Args:
            token_ids: (N,), the last token of each hypothesis.
            state: The state before; axis 0 of every leaf is N.
            encoded: What the search was given of the source, untouched; axis 0 of every leaf is B.
        """


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


class Source(NamedTuple):
    """What a search is given of a batch of sentences."""

    encoded: Structure
    """Handed to the step function as it is."""
    mask: Tensor
    """(B, S), True on real positions."""
    min_length: Tensor
    """(B,), fewest tokens of an output, the end of sentence counted."""
    max_length: Tensor
    """(B,), most tokens of an output, the end of sentence counted."""


class BeamState(NamedTuple):
    """Two pools of K hypotheses a sentence, each sorted with the best first."""

    length: Tensor
    """Scalar, the number of tokens of every live hypothesis."""
    tokens: Tensor
    """(B, K, L), live hypotheses, then padding."""
    log_probs: Tensor
    """(B, K), of the live hypotheses; -inf where there is none."""
    coverage: Tensor
    """(B, K, S), attention that each source position had, summed over the steps."""
    model: Structure
    """State of the step function for the live hypotheses; axis 0 of every leaf is B x K."""
    finished_tokens: Tensor
    """(B, K, L), finished hypotheses without the end of sentence, then padding."""
    finished_log_probs: Tensor
    """(B, K)."""
    finished_scores: Tensor
    """(B, K), normalised; -inf where there is none."""


class BeamSearch:
    """Beam search with a live and a finished pool.

    Each step extends the K live hypotheses by every token and keeps the 2K best extensions. Those of the first K that
    end the sentence compete, by normalised score, for the finished pool: the others would have fallen out of an
    ordinary beam. The best K of the rest live on. There are always K of them, because each live hypothesis can end in
    one way only. Tokens that may not be emitted keep their probability; it is not given to the others. Scores of
    finished hypotheses are never compared with those of live ones, save by the bound below.

    A log-probability only falls, the length penalty's divisor only grows, and the coverage penalty is at most 0: the
    best that a live hypothesis can still reach is `log_prob / length_penalty(max_length)`. The search of a sentence
    ends when the worst of the `n_best` finished hypotheses that are asked for has reached that bound, so within the
    beam nothing better is missed. With K = 1 it ends with the first finished hypothesis instead: greedy search.

    Args:
        step: The step function.
        options: What to look for.
        compiler: Compiles one step of the search; called once, with a function of tensors.

    Raises:
        ValueError: `n_best` exceeds `beam_size`, or a number is out of range.
    """

    def __init__(
        self,
        step: StepFunction,
        options: SearchOptions,
        compiler: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function,
    ) -> None:
        if not 1 <= options.n_best <= options.beam_size:
            raise ValueError(
                f"`n_best` must be from 1 to `beam_size`. Received: n_best={options.n_best}, "
                f"beam_size={options.beam_size}"
            )
        if min(options.length_penalty, options.coverage_penalty, options.no_repeat_ngram_size) < 0:
            raise ValueError(f"Penalties and n-gram size must be >= 0. Received: {options}")
        self.options = options
        self._step = step
        self._advance = compiler(self.advance)

    def __call__(self, model_state: Structure, source: Source) -> list[list[Finished]]:
        """Searches a batch.

        Args:
            model_state: State of the step function before the first token; axis 0 of every leaf is B.
            source: The sentences and the limits of their outputs.

        Returns:
            For each sentence its finished hypotheses, best first: at most `n_best`, and none where the limits of length
            and repetition leave none.
        """
        beam = self.start(model_state, source)
        for _ in range(int(ops.max(source.max_length))):
            beam, is_done = self._advance(beam, source)
            if is_done:
                break
        return [
            [
                Finished(_pieces(tokens), float(score), float(log_prob))
                for tokens, score, log_prob in list(zip(*pool, strict=True))[: self.options.n_best]
                if np.isfinite(score)
            ]
            for pool in zip(
                ops.convert_to_numpy(beam.finished_tokens),
                ops.convert_to_numpy(beam.finished_scores),
                ops.convert_to_numpy(beam.finished_log_probs),
                strict=True,
            )
        ]

    def start(self, model_state: Structure, source: Source) -> BeamState:
        """Returns pools with one live hypothesis a sentence, the empty one, and none finished."""
        batch_size, source_length = source.mask.shape
        beam_size = self.options.beam_size
        tokens = ops.full((batch_size, beam_size, _width(source)), PAD_ID, dtype="int32")
        nothing = ops.full((batch_size, beam_size), -np.inf, dtype="float32")
        return BeamState(
            length=ops.convert_to_tensor(0, dtype="int32"),
            tokens=tokens,
            log_probs=ops.where(np.arange(beam_size) == 0, 0.0, nothing),
            coverage=ops.zeros((batch_size, beam_size, source_length), dtype="float32"),
            model=tree.map_structure(lambda leaf: ops.repeat(leaf, beam_size, axis=0), model_state),
            finished_tokens=tokens,
            finished_log_probs=nothing,
            finished_scores=nothing,
        )

    def advance(self, beam: BeamState, source: Source) -> tuple[BeamState, Tensor]:
        """Extends every live hypothesis by one token; returns the new pools and whether all sentences are done."""
        beam_size, options = self.options.beam_size, self.options
        log_probs, model_state, attention = self._next_log_probs(beam, source)
        coverage = beam.coverage + ops.reshape(ops.cast(attention, "float32"), ops.shape(beam.coverage))

        # The 2K best extensions of each sentence: (B, K, V) -> (B, 2K).
        vocabulary_size = log_probs.shape[-1]
        totals = ops.expand_dims(beam.log_probs, -1) + log_probs
        totals, flat = ops.top_k(ops.reshape(totals, (-1, beam_size * vocabulary_size)), 2 * beam_size)
        parents, token_ids = flat // vocabulary_size, flat % vocabulary_size
        ends = ops.equal(token_ids, EOS_ID)
        parent_tokens, coverage = _choose(beam.tokens, parents), _choose(coverage, parents)

        # Those of the first K that end the sentence join the finished pool, whose best K stay: (B, K + 2K) -> (B, K).
        scores = totals / scoring.length_penalty(beam.length + 1, options.length_penalty)
        if options.coverage_penalty:
            scores = scores + scoring.coverage_penalty(coverage, source.mask, options.coverage_penalty)
        scores = ops.where(ops.logical_and(ends, np.arange(2 * beam_size) < beam_size), scores, -np.inf)
        finished_scores, kept = ops.top_k(ops.concatenate([beam.finished_scores, scores], axis=1), beam_size)

        # The best K of the others live on: (B, 2K) -> (B, K).
        live_log_probs, living = ops.top_k(ops.where(ends, -np.inf, totals), beam_size)
        tokens = _write(parent_tokens, token_ids, beam.length)
        parent_rows = ops.reshape(_rows(_choose(parents, living), beam_size), (-1,))
        after = BeamState(
            length=beam.length + 1,
            tokens=_choose(tokens, living),
            log_probs=live_log_probs,
            coverage=_choose(coverage, living),
            model=tree.map_structure(lambda leaf: ops.take(leaf, parent_rows, axis=0), model_state),
            finished_tokens=_choose(ops.concatenate([beam.finished_tokens, parent_tokens], axis=1), kept),
            finished_log_probs=_choose(ops.concatenate([beam.finished_log_probs, totals], axis=1), kept),
            finished_scores=finished_scores,
        )
        # A sentence that is done stays as it is, whatever the others of its batch still do.
        is_done = self.is_done(after, source)
        after = after._replace(log_probs=ops.where(is_done[:, None], -np.inf, after.log_probs))
        return after, ops.all(is_done)

    def is_done(self, beam: BeamState, source: Source) -> Tensor:
        """Returns (B,): True where no live hypothesis can still enter the `n_best` finished ones."""
        if self.options.beam_size == 1:
            return ops.greater(beam.finished_scores[:, 0], -np.inf)
        bound = beam.log_probs[:, 0] / scoring.length_penalty(source.max_length, self.options.length_penalty)
        return ops.greater_equal(beam.finished_scores[:, self.options.n_best - 1], bound)

    def _next_log_probs(self, beam: BeamState, source: Source) -> tuple[Tensor, Structure, Tensor]:
        """Returns log-probabilities (B, K, V) of what may come next, the state after, and attention (B x K, S)."""
        last = ops.take(beam.tokens, ops.maximum(beam.length - 1, 0), axis=-1)
        token_ids = ops.reshape(ops.where(beam.length > 0, last, BOS_ID), (-1,))
        logits, model_state, attention = self._step(token_ids, beam.model, source.encoded)
        log_probs = ops.log_softmax(ops.cast(logits, "float32"))
        log_probs = ops.reshape(log_probs, (-1, self.options.beam_size, logits.shape[-1]))
        log_probs = scoring.forbid(log_probs, NEVER_EMITTED)
        if self.options.no_repeat_ngram_size:
            size = self.options.no_repeat_ngram_size
            log_probs = scoring.forbid_repeated_ngrams(log_probs, beam.tokens, beam.length, size)
        log_probs = scoring.limit_length(log_probs, beam.length + 1, source.min_length, source.max_length, EOS_ID)
        return log_probs, model_state, attention


def _width(source: Source) -> int:
    # Rounded up, so that few widths occur: JAX compiles anew for each.
    return -(-int(ops.max(source.max_length)) // 16) * 16


def _rows(choices: Tensor, pool_size: int) -> Tensor:
    """Turns (B, Q) positions in each sentence's pool into rows of the flattened (B x pool_size, ...)."""
    return choices + pool_size * ops.expand_dims(ops.arange(ops.shape(choices)[0], dtype=choices.dtype), 1)


def _choose(pool: Tensor, choices: Tensor) -> Tensor:
    """Returns the chosen hypotheses: (B, P, ...) and positions (B, Q) give (B, Q, ...)."""
    flat = ops.reshape(pool, (-1, *ops.shape(pool)[2:]))
    return ops.take(flat, _rows(choices, ops.shape(pool)[1]), axis=0)


def _write(tokens: Tensor, token_ids: Tensor, position: Tensor) -> Tensor:
    """Returns tokens (B, Q, L) with `token_ids` (B, Q) at one position."""
    here = ops.equal(ops.arange(ops.shape(tokens)[-1], dtype=position.dtype), position)
    return ops.where(here, ops.cast(ops.expand_dims(token_ids, -1), tokens.dtype), tokens)


def _pieces(tokens: np.ndarray) -> tuple[int, ...]:
    return tuple(int(token_id) for token_id in tokens if token_id != PAD_ID)
