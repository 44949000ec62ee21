"""A folder that vouches for itself: its `manifest.json` gives the size and sha256 of each other file in it.

    {"format_version": 1, "files": {"NAME": {"size": 12, "sha256": "..."}, ...}}

What is written is hashed on its way to the system, so reading the folder back finds what went wrong behind it. Every
byte of the folder is accounted for: no file may be missing, and none be there that is not named. Models and checkpoints
are such folders; this module knows nothing of what is in them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Generic, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from nmt import files, strict_json
from nmt.errors import NMTError
from nmt.weights_file import listed

MANIFEST = "manifest.json"

_MAX_MANIFEST_BYTES = 1_000_000
_BLOCK_BYTES = 1 << 20
_NUM_PROBLEMS = 5


class Closed(BaseModel):
    """A schema that knows all its fields, converts nothing, and takes finite numbers alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class FileEntry(Closed):
    """What the manifest says of one file."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


_Name = TypeVar("_Name", bound=str)
_Schema = TypeVar("_Schema", bound=Closed)


class Manifest(Closed, Generic[_Name]):
    """What `manifest.json` holds. A kind of folder names its files by a `Literal`, and may add fields."""

    format_version: int = Field(ge=1)
    files: dict[_Name, FileEntry]


def write_file(path: Path, parts: Iterable[Any]) -> FileEntry:
    """Writes a file whole or not at all, part by part, and hashes it on the way.

    Args:
        path: The file.
        parts: Its content: bytes, or arrays in C order, which are not copied.

    Returns:
        What the manifest is to say of it.

    Raises:
        FileError: It can't be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_file(Path(folder, "file"), [b"Hello ", b"world"]).size
        11
    """
    digest, size = hashlib.sha256(), 0
    with files.new_file(path) as file:
        for part in parts:
            digest.update(part)
            size += file.write(part)
    return FileEntry(size=size, sha256=digest.hexdigest())


def write_manifest(folder: Path, version: int, entries: Mapping[str, FileEntry], **fields: Any) -> None:
    """Writes the manifest of a folder.

    Args:
        folder: The folder.
        version: Version of the folder's format.
        entries: What `write_file` returned, by name.
        fields: More of what the kind's schema has.

    Raises:
        FileError: It can't be written.
    """
    content = {name: entry.model_dump() for name, entry in sorted(entries.items())}
    manifest = to_json({"format_version": version, **fields, "files": content})
    # Nothing vouches for the manifest but its own form: without a line break, a cut after any byte breaks it.
    files.write_bytes(folder / MANIFEST, manifest.rstrip())


def to_json(fields: Mapping[str, Any]) -> bytes:
    """Returns the JSON that is written to a folder: indented, in UTF-8, with a line break at its end."""
    return (json.dumps(fields, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of folder: how it is checked, and what is said of one that fails.

    Attributes:
        name: What one is called: `model`.
        version: The newest version of its format that is read.
        error: What is raised.
        remedy: What to do about a damaged one; ends every message, unless empty.
        origin: What to do about a folder that is none.
    """

    name: str
    version: int
    error: type[NMTError]
    remedy: str
    origin: str

    def read_manifest(self, folder: Path, schema: type[_Schema], required: AbstractSet[str]) -> _Schema:
        """Reads a manifest and checks that the folder has the files that it names and no others.

        Args:
            folder: The folder.
            schema: What the manifest must be, a `Manifest`.
            required: Names that it must have.

        Raises:
            NMTError: It is missing, damaged or of a newer format, or the folder has other files; of the kind's `error`.
            FileError: It can't be read.
        """
        path = folder / MANIFEST
        present = set(files.list_folder(folder))
        if MANIFEST not in present:
            raise self.error(f"{folder}: not a {self.name}: it has no {MANIFEST}. {self.origin}".rstrip())
        fields = self.parse(files.read_bytes(path, max_bytes=_MAX_MANIFEST_BYTES), path)
        self.check_version(fields, path)
        manifest = self.validate(schema, fields, path)
        named = {str(name) for name in fields["files"]}
        self.check_names(required | named, named, path)
        self.check_names(named | {MANIFEST}, present, folder)
        return manifest

    def verify(self, path: Path, entry: FileEntry, *, max_bytes: int | None = None) -> bytes:
        """Checks a file's size and sha256.

        Args:
            path: The file.
            entry: What the manifest says of it.
            max_bytes: Return the content, which may have no more bytes; None: return nothing, and read it in blocks.

        Raises:
            NMTError: The file differs; of the kind's `error`.
            FileError: It can't be read.
        """
        expected = entry.size if max_bytes is None else min(entry.size, max_bytes)
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != expected or expected != entry.size:
                raise self.damaged(path, f"must have {expected:,} bytes. Received: {size:,}")
            content = b"" if max_bytes is None else file.read(size)
            digest = hashlib.sha256(content)
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        if digest.hexdigest() != entry.sha256:
            raise self.damaged(path, f"its content is not what {MANIFEST} says (sha256)")
        return content

    def parse(self, content: bytes, path: Path) -> dict[str, Any]:
        """Returns the JSON object that a file holds, or raises the kind's error."""
        try:
            fields = strict_json.parse(content)
        except ValueError as error:
            raise self.damaged(path, f"must be JSON: {error}") from None
        if not isinstance(fields, dict):
            raise self.damaged(path, "must be a JSON object")
        return fields

    def check_version(self, fields: Mapping[str, Any], path: Path) -> None:
        """Refuses a `format_version` that is newer than this program."""
        version = fields.get("format_version")
        if type(version) is int and version > self.version:
            raise self.error(
                f"{path}: this nmt reads {self.name} formats up to {self.version}. "
                f"Received: format_version={version}. Upgrade nmt: pip install --upgrade nmt"
            )

    def validate(
        self, schema: type[_Schema], fields: Mapping[str, Any], path: Path, remedy: str | None = None
    ) -> _Schema:
        """Returns the fields as their schema has them, or raises the kind's error with the first few problems."""
        try:
            return schema.model_validate(dict(fields))
        except pydantic.ValidationError as error:
            problems = [
                f"{listed(['.'.join(map(str, problem['loc'])) or 'file'])}: {problem['msg']} "
                f"(received {ascii(problem['input'])[:100]})"
                for problem in error.errors()[:_NUM_PROBLEMS]
            ]
            shown = f"{path}: breaks the format: {'; '.join(problems)}."
            raise self.error(f"{shown} {self.remedy if remedy is None else remedy}".rstrip()) from None

    def check_names(self, expected: AbstractSet[str], received: AbstractSet[str], path: Path) -> None:
        """Refuses names that differ from those expected."""
        problems = []
        if missing := expected - received:
            problems.append(f"missing: {listed(missing)}")
        if extra := received - expected:
            problems.append(f"unexpected: {listed(extra)}")
        if problems:
            shown = f"{path}: a {self.name} has exactly the files that it names; {'; '.join(problems)}."
            raise self.error(f"{shown} {self.remedy}".rstrip())

    def damaged(self, path: Path, problem: str) -> NMTError:
        """Returns the kind's error for a damaged file."""
        return self.error(f"{path}: damaged: {problem}. {self.remedy}".rstrip())
