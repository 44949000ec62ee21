"""A translator without a model or Keras: it writes in capitals. Same methods, same refusals, no seconds of start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nmt.config_decoding import DecodingConfig
from nmt.decoding.hypothesis import Counts, Hypothesis
from nmt.errors import InputError
from nmt.text.lines import single_line


@dataclass(frozen=True)
class FakeHypothesis(Hypothesis):
    token_ids: tuple[int, ...] = ()
    score: float = 0.0
    log_prob: float = 0.0


@dataclass(frozen=True)
class FakeScore:
    log_prob: float
    num_pieces: int


class FakeTranslator:
    """Translation number r (from 0) of a line is the line in capitals and r exclamation marks, with score -r.

    A line that holds "loop" gives a looping output, one that holds "again" a fallback.
    """

    def __init__(self, source_language: str = "en", target_language: str = "fr", too_long: int = 1000) -> None:
        self.source_language = source_language
        self.target_language = target_language
        self.options = DecodingConfig()
        self.too_long = too_long
        self.calls: list[tuple[list[str], dict[str, Any]]] = []
        self.paths: list[str] = []
        """What it was loaded from, where a test says so."""

    def translate(self, lines: Sequence[str], **options: Any) -> list[FakeHypothesis]:
        return [found[0] for found in self.translate_n_best(lines, n_best=1, **options)]

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
    ) -> list[list[FakeHypothesis]]:
        self.calls.append((list(lines), {"n_best": n_best, "with_attention": with_attention, **options}))
        self.workers = workers
        decoding = self.options.with_changes({name: value for name, value in options.items() if value is not None})
        if not 1 <= n_best <= decoding.beam_size:
            raise InputError(f"n_best must be from 1 to beam_size. Received: n_best={n_best}")
        if progress is not None:
            progress(len(lines))
        pools = [self._found(line, n_best, with_attention) for line in lines]
        if counts is not None:
            counts.add([pool[0] for pool in pools])
        return pools

    def _found(self, line: str, n_best: int, with_attention: bool) -> list[FakeHypothesis]:
        if not line.strip():
            return [FakeHypothesis("")]
        found = [
            FakeHypothesis(
                single_line(line).upper() + "!" * rank,
                (7,),
                float(-rank),
                float(-2 * rank),
                is_looping="loop" in line,
                is_fallback="again" in line,
            )
            for rank in range(n_best)
        ]
        if not with_attention or len(line) > self.too_long:
            return found
        num_pieces = len(line.split()) + 1
        return [replace(one, attention=np.eye(num_pieces)) for one in found]

    def score(
        self,
        sources: Sequence[str],
        targets: Sequence[str],
        *,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> list[FakeScore]:
        self.calls.append((list(sources), {"batch_size": batch_size, "workers": workers}))
        return [FakeScore(-float(len(target)), len(target.split()) + 1) for target in targets]

    def source_pieces(self, line: str) -> list[str]:
        return [*line.split(), "</s>"]

    def target_pieces(self, hypothesis: FakeHypothesis) -> list[str]:
        return [*hypothesis.text.split(), "</s>"]
