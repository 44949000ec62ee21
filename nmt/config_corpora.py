"""The sections of the configuration that name parallel text: a kind of corpus each.

This module knows pydantic, nothing of how a corpus is read.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from nmt.config_problems import shown


class Section(BaseModel):
    """Keys with typed values; no other key is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _check_column(value: object) -> object:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | str)
        or value == ""
        or (isinstance(value, int) and value < 0)
    ):
        raise ValueError(f"must be a column's number from 0 or its name. Received: {shown(value)}")
    return value


Column = Annotated[int | str, pydantic.BeforeValidator(_check_column)]


class FilesCorpus(Section):
    """Two parallel plain-text files, one sentence a line; `.gz`, `.xz` and `.zst` are read as they are."""

    type: Literal["files"] = "files"
    source: str = Field(min_length=1, description="Path of the source-language file.")
    target: str = Field(min_length=1, description="Path of the target-language file.")


class TSVCorpus(Section):
    """A tab-separated file; quotes are ordinary characters."""

    type: Literal["tsv"] = "tsv"
    path: str = Field(min_length=1, description="Path of the file; may be compressed.")
    source_column: Column = Field(0, description="Column of the source: its number from 0, or its name in the header.")
    target_column: Column = Field(1, description="Column of the target: its number from 0, or its name in the header.")


class JSONLCorpus(Section):
    """One JSON object a line: `{"translation": {"en": ..., "de": ...}}` or flat columns."""

    type: Literal["jsonl"] = "jsonl"
    path: str = Field(min_length=1, description="Path of the file; may be compressed.")
    source_column: str | None = Field(None, description="Column of the source; by default the source language's code.")
    target_column: str | None = Field(None, description="Column of the target; by default the target language's code.")


class HubCorpus(Section):
    """A data set of the Hugging Face Hub, or a local folder in the same formats."""

    type: Literal["hub"] = "hub"
    repository: str = Field(min_length=1, description="Repository id (`owner/name`), or path of a local folder.")
    config: str | None = Field(None, description="Configuration (subset) of the data set.")
    split: str = Field("train", min_length=1, description="Split to read, such as `train` or `train[:1000]`.")
    revision: str | None = Field(None, description="Branch, tag or commit; fix it to make a run repeatable.")
    source_column: str | None = Field(None, description="Column of the source; by default the source language's code.")
    target_column: str | None = Field(None, description="Column of the target; by default the target language's code.")


class PhrasebookCorpus(Section):
    """The built-in English-French corpus, generated from a grammar."""

    type: Literal["phrasebook"] = "phrasebook"
    split: Literal["train", "dev", "test"] = Field("train", description="Splits share no sentence.")
    num_pairs: int = Field(20_000, ge=1, le=100_000, description="Number of distinct sentence pairs to generate.")
    seed: int = Field(1, ge=0, description="Seed of the generator.")


Corpus = Annotated[FilesCorpus | TSVCorpus | JSONLCorpus | HubCorpus | PhrasebookCorpus, Field(discriminator="type")]


def _as_list(value: object) -> object:
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise ValueError(f"must be a corpus or a list of corpora. Received: {shown(value)}")
    return value


Corpora = Annotated[list[Corpus], pydantic.BeforeValidator(_as_list), Field(min_length=1)]
