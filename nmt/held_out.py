"""The text that a model is evaluated on: two files, or a corpus and split that a configuration names.

This module knows where source and reference come from, nothing of models or scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from nmt import config
from nmt.corpora import read_corpora
from nmt.errors import CorpusError, InputError
from nmt.text.corpus import read_files


class HeldOutText(NamedTuple):
    """Source lines and what their translations should be."""

    sources: list[str]
    references: list[str]
    reference_name: str | None
    """File that holds exactly the references; None where there is no such file."""


def read_pair_of_files(source: Path, reference: Path) -> HeldOutText:
    """Reads two parallel files.

    Raises:
        CorpusError: A file can't be read, both are empty, or their numbers of lines differ.
    """
    pairs = list(read_files(source, reference))
    if not pairs:
        raise CorpusError(f"{source} and {reference}: both are empty. Give files with at least one line.")
    return HeldOutText([pair.source for pair in pairs], [pair.target for pair in pairs], str(reference))


def read_split(
    path: Path, split: Literal["train", "dev", "test"], *, source_language: str, target_language: str
) -> HeldOutText:
    """Reads a split that a configuration names.

    Args:
        path: The configuration file.
        split: Which of its corpora.
        source_language: What the model translates from; the configuration must say the same.
        target_language: What it translates to; likewise.

    Raises:
        ConfigError: The configuration can't be read or breaks the schema.
        CorpusError: A corpus can't be read or is empty.
        InputError: The configuration has no such split, or is for other languages.
    """
    run = config.load(path)
    if (run.source_language, run.target_language) != (source_language, target_language):
        raise InputError(
            f"the text must be in the languages of the model, {source_language} to {target_language}. "
            f"Received: {path}, which is {run.source_language} to {run.target_language}."
        )
    corpora = {"train": run.data.train, "dev": run.data.dev, "test": run.data.test}[split]
    if corpora is None:
        raise InputError(f"{path}: names no data.{split}. Add it, or choose another --split.")
    pairs = read_corpora(corpora, run.source_language, run.target_language)
    is_file = len(corpora) == 1 and isinstance(corpora[0], config.FilesCorpus)
    reference_name = corpora[0].target if is_file and isinstance(corpora[0], config.FilesCorpus) else None
    return HeldOutText([pair.source for pair in pairs], [pair.target for pair in pairs], reference_name)
