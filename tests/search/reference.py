"""Searches written plainly in Python and float64, to hold `nmt.decoding.search` to: all hypotheses, a beam, greedy.

The language model is a small automaton: a token leads from one state to the next, so that what comes next depends on
all that came before, and a hypothesis which is given another's state is found out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nmt.decoding.search import BeamSearch, Candidates, Finished, SearchOptions
from nmt.text.special import BOS_ID, EOS_ID, PAD_ID, UNK_ID

NEVER = {PAD_ID, UNK_ID, BOS_ID}
NUM_STATES = 13


@dataclass(frozen=True)
class Sentence:
    """What is searched for: where the automaton starts, how it is biased, and how long the output may be."""

    state: int
    bias: np.ndarray  # (V,)
    source_length: int
    max_length: int
    min_length: int = 1

    def __len__(self) -> int:
        return self.source_length


class Hypothesis(NamedTuple):
    tokens: tuple[int, ...]
    log_prob: float
    state: int
    coverage: np.ndarray  # (S,)


class Automaton:
    """A language model of `NUM_STATES` states, as a search wants it."""

    def __init__(self, rng: np.random.Generator, vocabulary_size: int = 8, source_length: int = 3) -> None:
        self.logits = rng.normal(scale=2, size=(NUM_STATES, vocabulary_size)).astype("float32")
        attention = rng.random((NUM_STATES, source_length)) ** 4
        self.attention = (attention / attention.sum(axis=1, keepdims=True)).astype("float32")

    def sentences(self, rng: np.random.Generator, limits: list[tuple[int, int]]) -> list[Sentence]:
        """Draws a sentence for each (fewest, most) tokens."""
        source_length, vocabulary_size = self.attention.shape[1], self.logits.shape[1]
        return [
            Sentence(
                state=int(rng.integers(NUM_STATES)),
                bias=rng.normal(size=vocabulary_size).astype("float32"),
                source_length=int(rng.integers(1, source_length + 1)),
                max_length=longest,
                min_length=shortest,
            )
            for shortest, longest in limits
        ]

    def encode(self, sentences: Any) -> tuple[Any, Any]:
        """Takes `Sentence`s for source ids: their automaton's first states, and what is added to their logits."""
        return np.stack([one.bias for one in sentences]), np.array([one.state for one in sentences])

    def advance(self, bias: Any, state: Any, parents: Any, token_ids: Any, counts: Any) -> tuple[Any, Any, Any]:
        state = (5 * state[parents] + token_ids) % NUM_STATES
        logits = self.logits[state] + np.repeat(bias, counts, axis=0)
        return log_softmax(logits), state, self.attention[state]

    def candidates(self, log_probs: Any, size: int, banned: Any = None) -> Candidates:
        return best(log_probs, size, banned)

    def extensions(
        self, hypothesis: Hypothesis, sentence: Sentence, ngram_size: int
    ) -> Iterator[tuple[int, Hypothesis]]:
        """Yields every token that may come next, and the hypothesis with it. EOS is not among its tokens."""
        last = hypothesis.tokens[-1] if hypothesis.tokens else BOS_ID
        state = (5 * hypothesis.state + last) % NUM_STATES
        logits = self.logits[state].astype("float64") + sentence.bias
        log_probs = logits - np.log(np.exp(logits).sum())
        length = len(hypothesis.tokens) + 1
        for token in set(range(len(logits))) - NEVER:
            if length < sentence.min_length if token == EOS_ID else length >= sentence.max_length:
                continue
            tokens = hypothesis.tokens if token == EOS_ID else (*hypothesis.tokens, token)
            if ngram_size and has_repeated_ngram(tokens, ngram_size):
                continue
            yield (
                token,
                Hypothesis(
                    tokens, hypothesis.log_prob + log_probs[token], state, hypothesis.coverage + self.attention[state]
                ),
            )

    def start(self, sentence: Sentence) -> Hypothesis:
        return Hypothesis((), 0.0, sentence.state, np.zeros(self.attention.shape[1]))


def has_repeated_ngram(tokens: tuple[int, ...], size: int) -> bool:
    ngrams = [tokens[start : start + size] for start in range(len(tokens) - size + 1)]
    return len(ngrams) > len(set(ngrams))


def finished(hypothesis: Hypothesis, sentence: Sentence, options: SearchOptions) -> Finished:
    """Scores a hypothesis that has just ended, by the formulas of Wu et al. 2016, eq. 14."""
    divisor = ((5 + len(hypothesis.tokens) + 1) / 6) ** options.length_penalty
    coverage = np.clip(hypothesis.coverage[: sentence.source_length], 1e-10, 1)
    score = hypothesis.log_prob / divisor + options.coverage_penalty * np.log(coverage).sum()
    return Finished(hypothesis.tokens, score, hypothesis.log_prob)


def by_score(pool: list[Finished]) -> list[Finished]:
    return sorted(pool, key=lambda one: -one.score)


def search_exhaustively(model: Automaton, sentence: Sentence, options: SearchOptions) -> list[Finished]:
    """Returns every hypothesis that keeps the rules, best first."""
    found = []
    live = [model.start(sentence)]
    while live:
        hypothesis = live.pop()
        for token, longer in model.extensions(hypothesis, sentence, options.no_repeat_ngram_size):
            if token == EOS_ID:
                found.append(finished(longer, sentence, options))
            else:
                live.append(longer)
    return by_score(found)


def search_with_beam(model: Automaton, sentence: Sentence, options: SearchOptions) -> list[Finished]:
    """Returns what a beam of K finds that never stops before the greatest length, best first."""
    size = options.beam_size
    live, found = [model.start(sentence)], []
    while live:
        candidates = [
            (token, longer)
            for hypothesis in live
            for token, longer in model.extensions(hypothesis, sentence, options.no_repeat_ngram_size)
        ]
        candidates.sort(key=lambda candidate: -candidate[1].log_prob)
        found += [finished(one, sentence, options) for token, one in candidates[:size] if token == EOS_ID]
        found = by_score(found)[:size]
        live = [one for token, one in candidates if token != EOS_ID][:size]
    return found[: options.n_best]


def search_greedily(model: Automaton, sentence: Sentence, options: SearchOptions) -> list[Finished]:
    """Returns the one hypothesis made of the most probable token at each step; none where the rules leave no token."""
    hypothesis = model.start(sentence)
    while candidates := list(model.extensions(hypothesis, sentence, options.no_repeat_ngram_size)):
        token, hypothesis = max(candidates, key=lambda candidate: candidate[1].log_prob)
        if token == EOS_ID:
            return [finished(hypothesis, sentence, options)]
    return []


def log_softmax(logits: np.ndarray) -> np.ndarray:
    highest = logits.max(axis=-1, keepdims=True)
    return logits - highest - np.log(np.exp(logits - highest).sum(axis=-1, keepdims=True))


def best(log_probs: np.ndarray, size: int, banned: Any) -> Candidates:
    """Returns the candidates of a table of log-probabilities (N, V), by sorting."""
    allowed = log_probs.copy()
    allowed[:, list(NEVER)] = -np.inf
    if banned is not None:
        allowed[banned.rows, banned.token_ids] = -np.inf
    token_ids = np.argsort(-allowed, axis=1, kind="stable")[:, :size]
    return Candidates(token_ids, np.take_along_axis(allowed, token_ids, axis=1), log_probs[:, EOS_ID])


def run(model: Automaton, sentences: list[Sentence], options: SearchOptions) -> list[list[Finished]]:
    """Runs the search under test."""
    limits = (np.array([getattr(one, name) for one in sentences]) for name in ("min_length", "max_length"))
    return BeamSearch(model, options)(sentences, *limits)
