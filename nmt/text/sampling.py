"""Segmentations of sentences drawn at random, for training: subword regularisation.

A sentence comes as the ids of its best segmentation and goes as those of another one with the same text. SentencePiece
samples too, but from generators of threads that can't be told which sentence of which epoch they draw for. Pieces never
cross a space, so what words are split by is kept by word: few words make up most of a text.

Bytes and the unknown piece stay as they are; what lies between them is segmented on its own. This module knows nothing
of corpora, batches or files.
"""

from __future__ import annotations

import functools
import math
import random
from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nmt.errors import TokenizerError
from nmt.text.tokenizer import SPACE_PIECE, Tokenizer

CACHED_WORDS = 50_000
"""Words whose ways to be split are kept, the last that were met: some 2 kilobytes each."""

CACHED_STEPS = 100_000
"""Steps between the characters of a word and its pieces whose merges are kept: some 700 bytes each."""

CACHED_PIECES = 8
"""Words whose best segmentation has more pieces than this are not kept: they are long, and seldom the same."""

_SIDES = {"source": 0, "target": 1}

Uniform = Callable[[], float]
"""Gives numbers >= 0 and < 1, each independent of the others."""


class Segmentation(Protocol):
    """Draws a segmentation of a word that comes as the ids of any of its segmentations."""

    def __call__(self, word: tuple[int, ...], uniform: Uniform) -> Sequence[int]:
        """Returns ids whose pieces spell the same."""
        ...


class UnigramSampling:
    """Draws segmentations x of a word with probability P(x)^alpha / sum of P(x')^alpha over all segmentations x'.

    P is the unigram model's: the product of the probabilities of the pieces. Drawn exactly, by the sums of all
    segmentations of the word's beginnings forwards and one piece after the other backwards (Kudo 2018,
    https://arxiv.org/abs/1804.10959, section 3.3, with l unbounded).

    Args:
        tokenizer: A unigram model.
        alpha: Smoothness, at least 0: 0 makes all segmentations equally likely, the larger the more likely is the best.

    Example:
        >>> from nmt.text.tokenizer import train_tokenizer
        >>> tokenizer = train_tokenizer(["we see the sea", "the sea sees me"], vocabulary_size=300)
        >>> [word] = tokenizer.encode(["sees"])
        >>> sampled = UnigramSampling(tokenizer, alpha=0.0)(tuple(word), random.Random(1).random)
        >>> tokenizer.decode([sampled])
        ['sees']
    """

    def __init__(self, tokenizer: Tokenizer, alpha: float) -> None:
        self._texts, self._ids, scores = _ordinary_pieces(tokenizer)
        self._log_weights = {token_id: alpha * score for token_id, score in scores.items()}
        self._longest = max(map(len, self._ids), default=0)
        self._kept_lattice = functools.lru_cache(CACHED_WORDS)(self._lattice)

    def __call__(self, word: tuple[int, ...], uniform: Uniform) -> list[int]:
        """Returns ids whose pieces spell the same."""
        lattice = (self._kept_lattice if len(word) <= CACHED_PIECES else self._lattice)(word)
        sampled = []
        end = len(lattice)
        while end:
            token_ids, bounds = lattice[end - 1]
            token_id = token_ids[bisect(bounds, uniform())] if bounds else token_ids[0]
            sampled.append(token_id)
            end -= len(self._texts[token_id])
        sampled.reverse()
        return sampled

    def _lattice(self, word: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
        """Returns, for each beginning of the word, what its last piece may be and where [0, 1) is divided by them."""
        text = "".join(self._texts[token_id] for token_id in word)
        totals = [0.0]  # log of the sum of P^alpha over the segmentations of each beginning
        lattice = []
        for end in range(1, len(text) + 1):
            token_ids, log_weights = [], []
            for start in range(max(0, end - self._longest), end):
                token_id = self._ids.get(text[start:end])
                if token_id is not None and totals[start] > -math.inf:
                    token_ids.append(token_id)
                    log_weights.append(totals[start] + self._log_weights[token_id])
            highest = max(log_weights, default=-math.inf)
            sums = list(accumulate(math.exp(weight - highest) for weight in log_weights))
            totals.append(highest + math.log(sums[-1]) if sums else -math.inf)
            lattice.append((tuple(token_ids), tuple(value / sums[-1] for value in sums[:-1])))
        return lattice


class MergeSampling:
    """Draws segmentations of a word by leaving out merges of byte-pair encoding: BPE-dropout.

    At each step every merge that is possible is left out with probability `dropout_rate`, and the first of the others
    in the order of the vocabulary is made, until none is left (Provilkov et al. 2020,
    https://arxiv.org/abs/1910.13267, algorithm 1). Of equal merges the leftmost is made, one a step, as SentencePiece
    does it: without dropout its segmentation is found. A merge that was left out may be made at a later step, so the
    longer a word the less is left out of it: text without spaces has little of this.

    Args:
        tokenizer: A BPE model.
        dropout_rate: At least 0 and less than 1.

    Raises:
        TokenizerError: The vocabulary lacks a character of one of its pieces.
    """

    def __init__(self, tokenizer: Tokenizer, dropout_rate: float) -> None:
        self._texts, self._ids, scores = _ordinary_pieces(tokenizer)
        if missing := {character for text in self._ids for character in text} - self._ids.keys():
            raise TokenizerError(
                f"merges are left out of a vocabulary that has a piece for each character. Received: none for "
                f"{min(missing)!a}, which other pieces have. Train the tokenizer with this program."
            )
        self._dropout_rate = dropout_rate
        self._pairs = {
            (self._ids[text[:cut]], self._ids[text[cut:]]): (-scores[token_id], token_id)
            for token_id, text in self._texts.items()
            for cut in range(1, len(text))
            if text[:cut] in self._ids and text[cut:] in self._ids
        }
        self._kept_characters = functools.lru_cache(CACHED_WORDS)(self._characters)
        self._kept_merges = functools.lru_cache(CACHED_STEPS)(self._merges)

    def __call__(self, word: tuple[int, ...], uniform: Uniform) -> tuple[int, ...]:
        """Returns ids whose pieces spell the same."""
        is_kept = len(word) <= CACHED_PIECES
        merges = self._kept_merges if is_kept else self._merges
        pieces = (self._kept_characters if is_kept else self._characters)(word)
        rate = self._dropout_rate
        while True:
            for position, token_id in merges(pieces):
                if uniform() >= rate:
                    pieces = (*pieces[:position], token_id, *pieces[position + 2 :])
                    break
            else:
                return pieces

    def _characters(self, word: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self._ids[character] for token_id in word for character in self._texts[token_id])

    def _merges(self, pieces: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """Returns the merges that are possible, best first: where the left piece stands, and what the two become."""
        found = [
            (*self._pairs[pair], position) for position, pair in enumerate(pairwise(pieces)) if pair in self._pairs
        ]
        return tuple((position, token_id) for _, token_id, position in sorted(found))


class SentenceSampler:
    """Draws a segmentation of a sentence: a pure function of seed, side, epoch and the sentence's number.

    Args:
        tokenizer: What the sentences are encoded with.
        segmentation: Draws those of a word.
        seed: At least 0.
        side: `source` or `target`: the same numbers there are other sentences.

    Example:
        >>> from nmt.text.tokenizer import train_tokenizer
        >>> tokenizer = train_tokenizer(["we see the sea", "the sea sees me"], vocabulary_size=300)
        >>> sampler = SentenceSampler(tokenizer, UnigramSampling(tokenizer, alpha=0.0), seed=1, side="source")
        >>> [best] = tokenizer.encode(["we see the sea"])
        >>> tokenizer.decode([sampler(np.array(best), epoch=0, number=1)])
        ['we see the sea']
    """

    def __init__(
        self, tokenizer: Tokenizer, segmentation: Segmentation, *, seed: int, side: Literal["source", "target"]
    ) -> None:
        texts, _, _ = _ordinary_pieces(tokenizer)
        self._inner = {token_id for token_id, text in texts.items() if not text.startswith(SPACE_PIECE)}
        self._kept = set(range(tokenizer.vocabulary_size)) - texts.keys()
        self._segmentation = segmentation
        self._stream = seed << 1 | _SIDES[side]
        self._generator = random.Random()

    def __call__(self, token_ids: NDArray[np.int32], epoch: int, number: int) -> list[int]:
        """Returns the ids of a segmentation with the same text.

        Args:
            token_ids: Ids of a segmentation, without begin and end of the sentence.
            epoch: Less than 2^32.
            number: Of the sentence in its corpus, less than 2^32.
        """
        # `random()` after a seed of integers is the same in every version of Python.
        self._generator.seed(self._stream << 64 | epoch << 32 | number)
        uniform = self._generator.random
        sampled: list[int] = []
        word: list[int] = []
        for token_id in token_ids.tolist():
            if token_id in self._inner:
                word.append(token_id)
                continue
            if word:
                sampled += self._segmentation(tuple(word), uniform)
            if token_id in self._kept:
                sampled.append(token_id)
                word = []
            else:
                word = [token_id]
        if word:
            sampled += self._segmentation(tuple(word), uniform)
        return sampled


def _ordinary_pieces(tokenizer: Tokenizer) -> tuple[dict[int, str], dict[str, int], dict[int, float]]:
    """Returns texts by id, ids by text and scores by id of the pieces that spell characters."""
    scores = tokenizer.scores()
    texts = dict(zip(scores, tokenizer.pieces(list(scores)), strict=True))
    return texts, {text: token_id for token_id, text in texts.items()}, scores
