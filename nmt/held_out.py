"""Evaluation on held-out text: where the text and its translations come from, and what is kept of them.

How translations are scored is decided in `nmt.evaluation`, which validation calls too. This module knows nothing of
metrics.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nmt import config, config_corpora, files
from nmt.console import progress
from nmt.corpora import read_corpora
from nmt.decoding.hypothesis import Counts
from nmt.errors import CorpusError, InputError
from nmt.evaluation import report
from nmt.text.corpus import SentencePair, read_files
from nmt.text.lines import read_lines, single_line

if TYPE_CHECKING:  # NumPy comes with it: the one who has a translator has imported it
    from nmt.decoding.translator import Translator

_UNSAVED, _UNSAVED_REFERENCE, _UNSAVED_BASELINE = "HYPOTHESES", "REFERENCE", "BASELINE"


@dataclass(frozen=True)
class Text:
    """What is translated: two files, or a split of the corpora that a configuration names."""

    source: Path | None = None
    reference: Path | None = None
    config: Path | None = None
    split: Literal["train", "dev", "test"] = "test"


@dataclass(frozen=True)
class Systems:
    """Who translates it: a model, and perhaps another one or a file of translations to compare it with."""

    model: Path
    baseline: Path | None = None
    baseline_file: Path | None = None
    others: tuple[Path, ...] = ()
    """Models that decode together with the first, as an ensemble."""

    @property
    def name(self) -> str:
        """The paths of the models."""
        return " ".join(map(str, (self.model, *self.others)))


@dataclass(frozen=True)
class Outputs:
    """Files that an evaluation writes, all of them or none."""

    translations: Path | None = None
    """The translations, one a line."""
    references: Path | None = None
    """The references, one a line: for a corpus that is no such file itself."""
    json: Path | None = None
    """The report as JSON."""


@dataclass(frozen=True)
class _Lines:
    sources: list[str]
    references: list[str]
    reference_path: str | None
    """File that holds exactly the references, if there is one."""
    languages: tuple[str, str] | None
    """Source and target language, if anything says them."""


def evaluate(
    text: Text,
    systems: Systems,
    outputs: Outputs,
    *,
    load: Callable[..., Translator],
    scoring: Mapping[str, Any],
    options: Mapping[str, Any],
) -> report.Report:
    """Translates a text, scores the translations, and writes what is to be kept.

    Everything that can be refused is refused before the first model is loaded.

    Args:
        text: What to translate.
        systems: What with.
        outputs: Files to write.
        load: Loads a model, or several as an ensemble.
        scoring: Options of `nmt.evaluation.report.evaluate`.
        options: Options of the search; see `Translator.translate`.

    Returns:
        The report.

    Raises:
        InputError: The text or the baseline is named twice or not at all, lines don't belong together, the languages
            are others, or an option breaks its rule.
        ConfigError: The configuration can't be read or breaks the schema.
        CorpusError: A file or corpus can't be read or is empty, or its sides differ in length.
        FileError: A file can't be written.
    """
    if systems.baseline and systems.baseline_file:
        raise InputError("one baseline at a time: --baseline or --baseline-file. Received: both.")
    has_baseline = bool(systems.baseline or systems.baseline_file)
    report.evaluate(["a"], ["a"], baseline=["a"] if has_baseline else None, **scoring)  # a misspelt metric ends here
    lines = _read(text)
    theirs = _read_translations(systems.baseline_file, lines) if systems.baseline_file else None
    with contextlib.ExitStack() as stack:
        paths = (outputs.translations, outputs.references, outputs.json)
        opened = [stack.enter_context(files.new_file(path)) if path else None for path in paths]
        ours, odd = _translate(load(systems.model, *systems.others), systems.name, lines, options)
        if systems.baseline:
            theirs, more = _translate(load(systems.baseline), str(systems.baseline), lines, options)
            odd += more
        result = report.evaluate(
            ours,
            lines.references,
            baseline=theirs,
            hypotheses_name=str(outputs.translations or _UNSAVED),
            reference_name=str(outputs.references or lines.reference_path or _UNSAVED_REFERENCE),
            baseline_name=str(systems.baseline_file or _UNSAVED_BASELINE),
            **scoring,
        )
        result = dataclasses.replace(result, notes=(*result.notes, *odd, *_notes(systems, result)))
        contents = (_joined(ours), _joined(lines.references), result.to_json() + "\n")
        for file, content in zip(opened, contents, strict=True):
            if file is not None:
                file.write(content.encode("utf-8"))
    return result


def _read(text: Text) -> _Lines:
    if text.config and not text.source and not text.reference:
        return _read_split(text.config, text.split)
    if text.source and text.reference and not text.config:
        pairs = list(read_files(text.source, text.reference))
        if not pairs:
            raise CorpusError(f"{text.source} and {text.reference}: both are empty. Give files with a line or more.")
        return _Lines(*_sides(pairs), str(text.reference), None)
    options = {"--source": text.source, "--reference": text.reference, "--config": text.config}
    received = " and ".join(name for name, path in options.items() if path) or "none of them"
    raise InputError(f"a test set is named by --source and --reference, or by --config alone. Received: {received}.")


def _read_split(path: Path, split: Literal["train", "dev", "test"]) -> _Lines:
    run = config.load(path)
    corpora = {"train": run.data.train, "dev": run.data.dev, "test": run.data.test}[split]
    if corpora is None:
        raise InputError(f"{path}: it names no data.{split}. Add it there, or choose another split: --split dev.")
    pairs = read_corpora(corpora, run.source_language, run.target_language)
    first = corpora[0]
    reference_path = first.target if len(corpora) == 1 and isinstance(first, config_corpora.FilesCorpus) else None
    return _Lines(*_sides(pairs), reference_path, (run.source_language, run.target_language))


def _read_translations(path: Path, lines: _Lines) -> list[str]:
    translations = list(read_lines(path))
    if len(translations) != len(lines.references):
        raise InputError(
            f"{path}: must hold one translation for each line of the test set. Received: {len(translations):,} "
            f"translations of {len(lines.references):,} lines. Check that they belong together."
        )
    return translations


def _translate(
    translator: Translator, name: str, lines: _Lines, options: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Returns the translations, and what a reader should know of how they came about."""
    languages = (translator.source_language, translator.target_language)
    if lines.languages is not None and lines.languages != languages:
        raise InputError(
            f"the test set must be in the languages of the model, {' to '.join(languages)}. "
            f"Received: {' to '.join(lines.languages)}. Choose the configuration that belongs to the model."
        )
    counts = Counts()
    with progress("lines", len(lines.sources)) as show_done:
        found = translator.translate(lines.sources, progress=show_done, counts=counts, **options)
    return [one.text for one in found], [f"{name}: {message}." for message in counts.messages()]


def _notes(systems: Systems, result: report.Report) -> list[str]:
    """Returns what the names in the report stand for, where they are no files."""
    notes = []
    if result.hypotheses == _UNSAVED:
        notes.append(f"{_UNSAVED} stands for the translations by {systems.name}: save them with --output FILE.")
    if result.baseline == _UNSAVED_BASELINE:
        notes.append(
            f"{_UNSAVED_BASELINE} stands for the translations by {systems.baseline}: nmt translate makes them."
        )
    if result.reference == _UNSAVED_REFERENCE:
        notes.append(f"{_UNSAVED_REFERENCE} stands for the references: save them with --reference-output FILE.")
    return notes


def _sides(pairs: list[SentencePair]) -> tuple[list[str], list[str]]:
    return [pair.source for pair in pairs], [pair.target for pair in pairs]


def _joined(lines: list[str]) -> str:
    return "".join(f"{single_line(line)}\n" for line in lines)
