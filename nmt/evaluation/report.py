r"""What a person or a script reads of an evaluation: scores, intervals, signatures, a paired test, how to repeat it.

`evaluate` scores one system, or two on the same text, and returns a `Report` that renders itself as text or JSON. Each
report carries the command line with which sacreBLEU's own program gives the same figures. This module knows names of
files, to quote them, but opens none.

The JSON form is one object:

    {
      "format": "nmt-evaluation", "version": 1,
      "reference": "test.de", "hypotheses": "ours.de", "baseline": "theirs.de" or null,   names as given
      "num_sentences": 1000, "num_blank_references": 0, "num_blank_hypotheses": 2,
      "num_resamples": 1000, "seed": 12345,
      "scores": [                                          one for each metric
        {
          "metric": "bleu", "name": "BLEU", "score": 36.4217, "higher_is_better": true, "signature": "nrefs:1|...",
          "confidence": {"level": 0.95, "mean": 36.4, "half_width": 1.2, "low": 35.2, "high": 37.6}    or null
        }
      ],
      "comparisons": [                                     one for each metric; null without a baseline
        {"metric": "bleu", "baseline": {as in "scores"}, "difference": 1.32, "p_value": 0.012}
      ],
      "notes": ["2 blank hypotheses ..."],
      "command": "SACREBLEU_SEED=12345 sacrebleu test.de -i theirs.de ours.de ..."
    }

A key is never renamed or removed without a new version; new keys may come.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nmt.evaluation.metrics import METRICS, SACREBLEU_SEED, Comparison, MetricScore, compare_systems, score_corpus
from nmt.terminal import printable

JSON_VERSION = 1
SIGNIFICANCE_LEVEL = 0.05
_DECOMPRESSORS = {".xz": "xz -dc", ".zst": "zstd -dc"}  # sacreBLEU reads .gz as it is


@dataclass(frozen=True)
class Report:
    """An evaluation of one system, or of two on the same text.

    Attributes:
        reference: Name of the reference file.
        hypotheses: Name of the file of translations.
        baseline: Name of the other system's file, or None.
        num_sentences: Number of sentences scored.
        num_blank_references: References of no words; they are scored as they stand.
        num_blank_hypotheses: Translations of no words; they are scored as they stand.
        num_resamples: Bootstrap resamples, 0 for none.
        seed: Seed of the resampling.
        scores: One score for each metric.
        comparisons: One comparison for each metric, in the same order, or None without a baseline.
        notes: What a reader should know before trusting the figures.
        command: Shell command by which sacreBLEU's own program gives the same figures.
    """

    reference: str
    hypotheses: str
    baseline: str | None
    num_sentences: int
    num_blank_references: int
    num_blank_hypotheses: int
    num_resamples: int
    seed: int
    scores: tuple[MetricScore, ...]
    comparisons: tuple[Comparison, ...] | None
    notes: tuple[str, ...]
    command: str

    def to_text(self) -> str:
        """Returns the report as lines of text that are safe to print."""
        plural = "" if self.num_sentences == 1 else "s"
        lines = [f"{self.num_sentences:,} sentence{plural} of {self.hypotheses}, against {self.reference}"]
        lines += ["", *_align(self._score_rows())]
        if self.comparisons is not None:
            lines += ["", f"compared with {self.baseline}", "", *_align(_comparison_rows(self.comparisons))]
            test = f"paired bootstrap resampling, {self.num_resamples:,} resamples"
            lines += ["", f"p: {test}; * the systems differ, p < {SIGNIFICANCE_LEVEL}"]
        if self.notes:
            lines += ["", *(f"note: {note}" for note in self.notes)]
        lines += ["", "signatures", *_align([[f"  {score.name}", score.signature] for score in self.scores], left=2)]
        lines += ["", "the same figures by sacreBLEU's own command", f"  {self.command}"]
        return "\n".join(map(printable, lines))

    def to_json(self) -> str:
        """Returns the report as JSON, in the form that this module's documentation gives."""
        comparisons = None
        if self.comparisons is not None:
            comparisons = [
                {
                    "metric": comparison.system.metric,
                    "baseline": _score_record(comparison.baseline),
                    "difference": comparison.difference,
                    "p_value": comparison.p_value,
                }
                for comparison in self.comparisons
            ]
        record = {
            "format": "nmt-evaluation",
            "version": JSON_VERSION,
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
            "scores": [_score_record(score) for score in self.scores],
            "comparisons": comparisons,
        }
        return json.dumps(record, indent=2, ensure_ascii=True, allow_nan=False)

    def _score_rows(self) -> list[list[str]]:
        header = ["metric", "score", "95 % interval", "mean", ""]
        rows = [header if self.num_resamples else [*header[:2], ""]]
        for score in self.scores:
            row = [score.name, f"{score.score:.2f}"]
            if score.confidence is not None:
                interval = score.confidence
                row.append(f"{interval.low:.2f} to {interval.high:.2f}")
                row.append(f"{interval.mean:.2f} ± {interval.half_width:.2f}")
            rows.append([*row, "" if score.higher_is_better else "lower is better"])
        return rows


def evaluate(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    baseline: Sequence[str] | None = None,
    metrics: Sequence[str] = METRICS,
    tokenize: str = "13a",
    lowercase: bool = False,
    num_resamples: int = 1000,
    seed: int = SACREBLEU_SEED,
    hypotheses_name: str = "HYPOTHESES",
    reference_name: str = "REFERENCE",
    baseline_name: str = "BASELINE",
) -> Report:
    """Scores a system, compares it with another if there is one, and reports.

    Args:
        hypotheses: Translations, one sentence each.
        references: What each should be, in the same order.
        baseline: Translations by another system, or None.
        metrics: As for `score_corpus`, and so `tokenize`, `lowercase`, `num_resamples` and `seed`.
        tokenize: Tokenizer for BLEU.
        lowercase: Whether BLEU and chrF2 ignore case.
        num_resamples: Bootstrap resamples; 0, without a baseline, switches them off.
        seed: Seed of the resampling.
        hypotheses_name: File that holds the translations. The default stands in the command for a file to be saved.
        reference_name: File that holds the references; it may be compressed.
        baseline_name: File that holds the other system's translations.

    Returns:
        The report.

    Raises:
        InputError: The numbers of lines differ, there are none, or an option breaks its rule.

    Example:
        >>> report = evaluate(["a cat sat"], ["a cat sat"], metrics=["ter"], num_resamples=0)
        >>> report.scores[0].score, report.command
        (0.0, 'sacrebleu REFERENCE -i HYPOTHESES -m ter -w 2 -f text')
    """
    scoring: dict[str, Any] = {
        "metrics": metrics,
        "tokenize": tokenize,
        "lowercase": lowercase,
        "num_resamples": num_resamples,
        "seed": seed,
    }
    if baseline is None:
        comparisons = None
        scores = tuple(score_corpus(hypotheses, references, **scoring))
    else:
        comparisons = tuple(compare_systems(hypotheses, baseline, references, **scoring))
        scores = tuple(comparison.system for comparison in comparisons)
    systems = [hypotheses_name] if baseline is None else [baseline_name, hypotheses_name]
    return Report(
        reference=reference_name,
        hypotheses=hypotheses_name,
        baseline=None if baseline is None else baseline_name,
        num_sentences=len(references),
        num_blank_references=_count_blank(references),
        num_blank_hypotheses=_count_blank(hypotheses),
        num_resamples=num_resamples,
        seed=seed,
        scores=scores,
        comparisons=comparisons,
        notes=tuple(_notes(hypotheses, references, tokenized=tokenize == "none" or "bleu" not in metrics)),
        command=sacrebleu_command(reference_name, systems, **scoring),
    )


def sacrebleu_command(
    reference: str,
    systems: Sequence[str],
    *,
    metrics: Sequence[str],
    tokenize: str,
    lowercase: bool,
    num_resamples: int,
    seed: int,
) -> str:
    """Returns the shell command by which sacreBLEU's own program gives the figures of a report.

    The seed is always set, so that a `SACREBLEU_SEED` in the reader's environment changes nothing. References in `.xz`
    or `.zst` files, which sacreBLEU does not read, are decompressed by process substitution (bash, zsh). The output is
    text: sacreBLEU 2.6 fails to write a paired test as JSON, its default.

    Args:
        reference: Path of the reference.
        systems: Path of the translations; with a baseline its path comes first.
        metrics: Metrics to compute.
        tokenize: Tokenizer for BLEU.
        lowercase: Whether BLEU and chrF2 ignore case.
        num_resamples: Bootstrap resamples, 0 for none.
        seed: Seed of the resampling.

    Example:
        >>> sacrebleu_command("my test.de", ["out"], metrics=["chrf"], tokenize="13a", lowercase=False,
        ...                   num_resamples=500, seed=7)
        "SACREBLEU_SEED=7 sacrebleu 'my test.de' -i out -m chrf -w 2 -f text --confidence --confidence-n 500"
    """
    words = [f"SACREBLEU_SEED={seed}"] if num_resamples else []
    words += ["sacrebleu", _as_input(reference), "-i", *map(_as_input, systems), "-m", *metrics, "-w 2 -f text"]
    if "bleu" in metrics:
        words += ["--tokenize", shlex.quote(tokenize)] + (["--lowercase"] if lowercase else [])
    if "chrf" in metrics and lowercase:
        words.append("--chrf-lowercase")
    if len(systems) > 1:
        words.append(f"--paired-bs --paired-bs-n {num_resamples}")
    elif num_resamples:
        words.append(f"--confidence --confidence-n {num_resamples}")
    return " ".join(words)


def _as_input(path: str) -> str:
    quoted = shlex.quote(f"./{path}" if path.startswith("-") else path)
    for suffix, decompressor in _DECOMPRESSORS.items():
        if path.endswith(suffix):
            return f"<({decompressor} {quoted})"
    return quoted


def _count_blank(lines: Sequence[str]) -> int:
    return sum(not line.strip() for line in lines)


def _notes(hypotheses: Sequence[str], references: Sequence[str], *, tokenized: bool) -> list[str]:
    notes = []
    for lines, side in ((references, "reference"), (hypotheses, "hypothesis")):
        num_blank = _count_blank(lines)
        if num_blank:
            verb = "line is" if num_blank == 1 else "lines are"
            notes.append(f"{num_blank:,} {side} {verb} blank, and scored as such.")
    num_separate = sum(line.rstrip().endswith(" .") for line in hypotheses)
    if not tokenized and num_separate > len(hypotheses) / 10:
        notes.append(
            f"{num_separate:,} hypotheses end in a space and a period, as tokenized text does. BLEU is comparable on "
            "text as people write it: detokenize it, or score tokens as they stand with the tokenizer `none`."
        )
    return notes


def _score_record(score: MetricScore) -> dict[str, Any]:
    interval = score.confidence
    confidence = None
    if interval is not None:
        confidence = {
            "level": 0.95,
            "mean": interval.mean,
            "half_width": interval.half_width,
            "low": interval.low,
            "high": interval.high,
        }
    return {
        "metric": score.metric,
        "name": score.name,
        "score": score.score,
        "higher_is_better": score.higher_is_better,
        "signature": score.signature,
        "confidence": confidence,
    }


def _comparison_rows(comparisons: Sequence[Comparison]) -> list[list[str]]:
    rows = [["metric", "system", "baseline", "difference", "p", ""]]
    for comparison in comparisons:
        system, baseline = comparison.system, comparison.baseline
        verdict = ""
        if comparison.p_value < SIGNIFICANCE_LEVEL:
            better = (comparison.difference > 0) == system.higher_is_better
            verdict = f"* {'better' if better else 'worse'}"
        scores = [f"{system.score:.2f}", f"{baseline.score:.2f}", f"{comparison.difference:+.2f}"]
        rows.append([system.name, *scores, f"{comparison.p_value:.3f}", verdict])
    return rows


def _align(rows: list[list[str]], *, left: int = 1) -> list[str]:
    """Lays rows out in columns; the first `left` columns and the last are flush left, the others flush right."""
    num_columns = max(len(row) for row in rows)
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(num_columns)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < left or column == num_columns - 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("   ".join(cells).rstrip())
    return lines
