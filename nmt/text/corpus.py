"""Parallel text sources, each read into pairs of sentences: plain files, TSV, JSONL, Hugging Face `datasets`.

Files are read by the exact line reader of `nmt.text.lines`, and TSV has no quotes or escapes. A field of JSONL or of
`datasets` may hold a line break: it is text of its sentence like any other character. Every reader is lazy and strict:
it yields the pairs in order and raises at the first row that breaks a rule, naming its place, counted from 1. This
module knows nothing of the configuration, of filters or of tokenizers.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from nmt import strict_json
from nmt.errors import CorpusError, did_you_mean
from nmt.text.lines import read_lines
from nmt.text.parting import find_parting_line

logger = logging.getLogger(__name__)

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MANY_NULLS = 8  # in a line: fewer may stand in a short one


class SentencePair(NamedTuple):
    """A source sentence and its translation.

    >>> SentencePair("Good morning.", "Bonjour.").target
    'Bonjour.'
    """

    source: str
    target: str

    def digest(self) -> bytes:
        """Returns 16 bytes that stand for the text of both sides, the same in every process.

        They are BLAKE2b's. Two pairs that differ have the same ones with a chance of 2 ** -128: among the pairs of any
        corpus none do.

        >>> SentencePair("ab", "c").digest() == SentencePair("a", "bc").digest()
        False
        """
        source, target = (side.encode("utf-8", "surrogatepass") for side in self)
        return hashlib.blake2b(b"%d:%b%b" % (len(source), source, target), digest_size=16).digest()


def read_files(source: str | Path, target: str | Path) -> Iterator[SentencePair]:
    """Reads two files whose lines with the same number translate each other.

    Args:
        source: File of the source language, one sentence a line; may end in `.gz`, `.xz` or `.zst`.
        target: File of the target language, likewise.

    Raises:
        CorpusError: A file can't be read (see `read_lines`), or the numbers of lines differ; the message then gives
            both and, where the files can be read again, the first line where the sides seem to part, judged by the
            lengths of their lines.
    """
    num_source = num_target = 0
    for source_line, target_line in itertools.zip_longest(_text_lines(source), _text_lines(target)):
        num_source += source_line is not None
        num_target += target_line is not None
        if source_line is not None and target_line is not None:
            yield SentencePair(source_line, target_line)
    if num_source != num_target:
        hint = "Compare the files"
        if Path(source).is_file() and Path(target).is_file():  # a pipe is gone
            num_characters = sorted(([len(line) for line in read_lines(path)] for path in (source, target)), key=len)
            hint = f"They seem to part at line {find_parting_line(*num_characters):,}; compare the files there"
        raise CorpusError(
            f"{source} and {target}: both sides must have the same number of lines. Received: {num_source:,} and "
            f"{num_target:,} lines. {hint}."
        )


def read_tsv(path: str | Path, source_column: int | str = 0, target_column: int | str = 1) -> Iterator[SentencePair]:
    r"""Reads two columns of a tab-separated file; quotes and backslashes are ordinary characters.

    Other columns are not looked at.

    Args:
        path: The file; may end in `.gz`, `.xz` or `.zst`.
        source_column: The column's number from 0, or its name in the header. A name makes the first line a header.
        target_column: Likewise.

    Raises:
        CorpusError: The file can't be read, a column is unknown or a row has too few columns.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "pairs.tsv")
        ...     _ = path.write_bytes(b'id\ten\tfr\n1\t"Yes", he said.\t"Oui", dit-il.\n')
        ...     list(read_tsv(path, "en", "fr"))
        [SentencePair(source='"Yes", he said.', target='"Oui", dit-il.')]
    """
    rows = enumerate(_text_lines(path), start=1)
    columns: Sequence[int | str] = (source_column, target_column)
    header = None
    if any(isinstance(column, str) for column in columns):
        _, header = next(rows, (1, None))
        if header is None:
            raise CorpusError(
                f"{path}: the first line must name the columns. Received: an empty file. Check the path and the file."
            )
    first, second = (_find_column(f"{path}, line 1", column, header) for column in columns)
    _check_different(str(path), (first, second))
    for number, row in rows:
        fields = row.split("\t")
        if len(fields) <= max(first, second):
            raise CorpusError(
                f"{path}, line {number}: a row needs at least {max(first, second) + 1} columns, split by tabs. "
                f"Received: {len(fields)}. {_advice(row)}."
            )
        yield SentencePair(fields[first], fields[second])


def read_jsonl(path: str | Path, source_column: str, target_column: str) -> Iterator[SentencePair]:
    r"""Reads one JSON object a line: flat columns, or languages inside an object named `translation`.

    Args:
        path: The file; may end in `.gz`, `.xz` or `.zst`.
        source_column: Key of the source sentence, in the row itself or else in its `translation`.
        target_column: Key of the target sentence, likewise.

    Raises:
        CorpusError: The file can't be read, a line is not a JSON object, a key is missing or its value is not text.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "pairs.jsonl")
        ...     _ = path.write_bytes(b'{"translation": {"en": "Yes.", "fr": "Oui."}}\n{"en": "No.", "fr": "Non."}\n')
        ...     [pair.target for pair in read_jsonl(path, "en", "fr")]
        ['Oui.', 'Non.']
    """
    _check_different(str(path), (source_column, target_column))
    for number, line in enumerate(_text_lines(path), start=1):
        place = f"{path}, line {number}"
        try:
            row = strict_json.parse(line.encode())
        except ValueError as error:
            raise _no_object(path, number, line, ": " + str(error).removeprefix("line 1: ")) from error
        if not isinstance(row, dict):
            raise _no_object(path, number, line)
        yield SentencePair(*(_get_text(place, row, column) for column in (source_column, target_column)))


def read_hub(
    repository: str, config: str | None, split: str, revision: str | None, source_column: str, target_column: str
) -> Iterator[SentencePair]:
    """Reads a data set of the Hugging Face Hub, or a folder of the same formats, through the `datasets` library.

    A folder holds Parquet, JSONL, CSV or other files that `datasets` reads, or what `save_to_disk` wrote. It is taken
    before the Hub. With `HF_HUB_OFFLINE=1` the Hub is not asked and a copy in the local cache is used.

    Args:
        repository: `owner/name` on the Hub, or the path of a folder.
        config: Configuration (subset) of the data set; None where it has but one.
        split: Split or part of one, such as `train` or `train[:1000]`.
        revision: Branch, tag or commit on the Hub; None for the newest.
        source_column: Column of the source, or its key in a column of structs named `translation`.
        target_column: Column of the target, likewise.

    Raises:
        CorpusError: The data set can't be reached, found or read, a column is unknown or a value in it is not text.
    """
    yield from open_hub(repository, config, split, revision, source_column, target_column)()


def open_hub(
    repository: str, config: str | None, split: str, revision: str | None, source_column: str, target_column: str
) -> Callable[[], Iterator[SentencePair]]:
    """Loads what `read_hub` reads, once: each call of the function returned reads it from the start.

    `datasets` keeps the rows in files and maps them, so they are not held in memory.
    """
    name = f"{repository} (split {split})"
    columns = (source_column, target_column)
    _check_different(name, columns)
    dataset = _load_dataset(name, repository, config, split, revision)
    return partial(_read_dataset, name, dataset, columns)


def _read_dataset(name: str, dataset: Any, columns: Sequence[str]) -> Iterator[SentencePair]:
    holders = _find_holders(name, dataset.features, columns)
    number = 0
    try:
        for batch in dataset.select_columns(holders).iter(batch_size=1000):
            for values in zip(*batch.values(), strict=True):
                number += 1
                row = dict(zip(batch, values, strict=True))
                yield SentencePair(*(_get_text(f"{name}, row {number}", row, column) for column in columns))
    except UnicodeDecodeError as error:
        raise CorpusError(f"{name}, below row {number}: text must be UTF-8: {error}. Mend the files.") from error


def _load_dataset(name: str, repository: str, config: str | None, split: str, revision: str | None) -> Any:
    import datasets  # takes more than half a second

    is_folder = False
    try:
        is_folder = Path(repository).is_dir()
        with _quiet_library():
            if is_folder:
                return _load_folder(name, Path(repository), config, split, revision)
            _check_hub_id(name, repository)
            return datasets.load_dataset(repository, config, split=split, revision=revision)
    except CorpusError:
        raise
    except ConnectionError as error:
        why = "HF_HUB_OFFLINE is set" if datasets.config.HF_HUB_OFFLINE else _explain(error)
        raise CorpusError(
            f"{name}: the Hugging Face Hub was not reached ({why}), no folder has that name, and the cache "
            f"{datasets.config.HF_DATASETS_CACHE} holds no copy. Check the network, or get the data set elsewhere "
            "and name its files, as in --set 'data.train={type: files, source: train.en, target: train.de}'."
        ) from error
    except Exception as error:  # those of httpx, pyarrow, fsspec and the file system come through
        advice = "Check the files, config and split."
        if not is_folder:
            advice = "Check repository, config, split and revision; a private or gated one needs: hf auth login."
        raise CorpusError(f"{name}: `datasets` can't load it: {_explain(error)}. {advice}") from error


def _check_hub_id(name: str, repository: str) -> None:
    import datasets

    if not _HUB_ID.fullmatch(repository):
        raise CorpusError(
            f"{name}: `hub` takes a Hub id such as `owner/name` or the path of a folder. Check the spelling and the "
            "current folder; for a single file use the type files, tsv or jsonl."
        )
    if not datasets.config.HF_HUB_OFFLINE:
        logger.info("asking the Hugging Face Hub for %s; without a connection this takes half a minute", name)


def _load_folder(name: str, folder: Path, config: str | None, split: str, revision: str | None) -> Any:
    import datasets

    if revision is not None:
        raise CorpusError(f"{name}: a folder has no revisions. Received: revision={revision}. Leave it out.")
    if (folder / "dataset_dict.json").exists() or (folder / "state.json").exists():
        return _pick_saved(name, datasets.load_from_disk(str(folder)), config, split)
    # Its whole path: a folder called `json` is no loader of that name.
    return datasets.load_dataset(str(folder.absolute()), config, split=split)


def _pick_saved(name: str, saved: Any, config: str | None, split: str) -> Any:
    """Picks a split of what `save_to_disk` wrote: several named ones, or one, which is `train` if it has no name."""
    if config is not None:
        raise CorpusError(f"{name}: a folder of save_to_disk has no configurations. Received: config={config}.")
    splits = saved if isinstance(saved, dict) else {str(saved.split or "train"): saved}
    if split not in splits:
        raise CorpusError(f"{name}: a folder of save_to_disk has whole splits alone. {did_you_mean(split, splits)}")
    return splits[split]


class _Relay(logging.Handler):
    """Passes a library's warnings on to our own log; its errors it raises as well."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            logger.warning("%s: %s", record.name, record.getMessage())


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Keeps progress bars to terminals, and the libraries' own log, the Hub's retries above all, off the screen."""
    import datasets

    hides_bars = not sys.stderr.isatty() and not datasets.are_progress_bars_disabled()
    library, hub = logging.getLogger("datasets"), logging.getLogger("huggingface_hub")
    before = library.handlers, library.propagate, hub.level
    library.handlers, library.propagate = [_Relay()], False
    hub.setLevel(logging.ERROR)
    if hides_bars:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        library.handlers, library.propagate = before[:2]
        hub.setLevel(before[2])
        if hides_bars:
            datasets.enable_progress_bars()


def _find_holders(name: str, features: Any, columns: Sequence[str]) -> list[str]:
    """Returns the top-level columns in which the wanted columns and languages lie."""
    translation = features.get("translation")
    languages = list(getattr(translation, "languages", translation if isinstance(translation, dict) else ()))
    known = dict.fromkeys(languages, "translation")
    known |= {column: column for column in features if column != "translation" or not languages}
    is_irregular = type(translation).__name__ == "Json"  # structs of unlike keys: each row is looked into
    missing = [column for column in columns if column not in known and not is_irregular]
    if missing:
        raise CorpusError(f"{name}: no column or language `{missing[0]}`. {did_you_mean(missing[0], known)}")
    return sorted({known.get(column, "translation") for column in columns})


def _text_lines(path: str | Path) -> Iterator[str]:
    """Reads the lines of a file; refuses UTF-16 without its mark, which can be read as UTF-8 full of NULs.

    A short line with a NUL or two in it is text of its own kind.
    """
    encoding = ""
    for number, line in enumerate(read_lines(path), start=1):
        encoding = encoding or ("UTF-16BE" if line.startswith("\0") else "UTF-16LE")
        if "\0" in line and (num_nulls := line.count("\0")) >= _MANY_NULLS and num_nulls * 3 > len(line):
            raise CorpusError(
                f"{path}, line {number}: text must be UTF-8. Received: {num_nulls:,} NUL among {len(line):,} "
                f"characters. It is no text, or UTF-16; convert that: iconv -f {encoding} -t UTF-8 FILE > NEW."
            )
        yield line


def _no_object(path: str | Path, number: int, line: str, problem: str = "") -> CorpusError:
    remedy = "Mend or remove the line"
    if number == 1:
        remedy = "Mend it, or put each pair on a line of its own: jq -c . FILE, or jq -c '.[]' FILE"
    received = (_shorten(line) or "an empty line") + problem
    return CorpusError(f"{path}, line {number}: a line is one JSON object. Received: {received}. {remedy}.")


def _advice(row: str) -> str:
    """Returns what to do about a row with too few columns."""
    if "\t" in row:
        return "Mend the row, or name other columns"
    return "It has no tab; make tabs of what splits the columns, or mend the row"


def _find_column(place: str, column: int | str, header: str | None) -> int:
    """Returns the position of a column given by its number, or by its name in the header of a TSV file."""
    if isinstance(column, int):
        if column < 0:
            raise CorpusError(f"{place}: columns are numbered from 0. Received: {column}. Count anew.")
        return column
    names = (header or "").split("\t")
    if column not in names:
        raise CorpusError(f"{place}: no column `{column}`. {did_you_mean(column, names)}")
    if names.count(column) > 1:
        raise CorpusError(f"{place}: two columns are named `{column}`. Give the number of one, from 0.")
    return names.index(column)


def _check_different(name: str, columns: Sequence[int | str]) -> None:
    if columns[0] == columns[1]:
        raise CorpusError(
            f"{name}: source and target must be different columns. Received: {columns[0]} for both. Name another one."
        )


def _get_text(place: str, row: dict[str, Any], column: str) -> str:
    """Returns the text of a flat column, or of a language inside the column `translation`."""
    nested = row.get("translation")
    fields = {**nested, **row} if isinstance(nested, dict) else row
    if column not in fields:
        known = [name for name in fields if name != "translation" or fields is row]
        raise CorpusError(f"{place}: no column or language `{column}`. {did_you_mean(column, known)}")
    text = fields[column]
    if not isinstance(text, str):
        raise CorpusError(
            f"{place}: `{column}` must be text. Received: {_shorten(repr(text))}. Mend or remove the row."
        )
    if not text.isascii() and _SURROGATE.search(text):
        raise CorpusError(f"{place}: `{column}` holds half a surrogate pair, which is no character. Mend the row.")
    return text


def _explain(error: BaseException) -> str:
    """Returns what a library's error says, with its innermost cause, on one line."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    texts = dict.fromkeys(" ".join(str(each).split()) or type(each).__name__ for each in (error, cause))
    return _shorten(": ".join(texts), 500).rstrip(".")


def _shorten(text: str, size: int = 80) -> str:
    return text if len(text) <= size else text[: size - 3] + "..."
