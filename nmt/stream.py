r"""Translation of a stream: lines in, one line out for each, in order, as soon as a reader may expect it.

Lines are taken in blocks, so that memory stays bounded and a batch finds lines of like length. A block ends when it is
full, or when the input makes it wait: whoever writes a line into a pipe and waits for its answer gets it. This module
knows files, lines and translators, nothing of commands.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from nmt import files
from nmt.console import is_terminal, progress, write_result
from nmt.decoding.hypothesis import Counts, Hypothesis
from nmt.errors import CorpusError, InputError
from nmt.system_errors import explained
from nmt.terminal import printable
from nmt.text.corpus import SentencePair
from nmt.text.lines import MAX_LINE_BYTES, decode_lines, read_lines

if TYPE_CHECKING:  # NumPy comes with it: the one who has a translator has imported it
    from nmt.decoding.translator import Translator

logger = logging.getLogger(__name__)

Format = Literal["text", "jsonl", "moses"]

BLOCK_LINES = 2000
"""Most lines a block, unless the batch is larger: many batches, and yet an answer within a minute."""

_BLOCK_CHARACTERS = 1_000_000
_PATIENCE_SECONDS = 0.05
_READ_BYTES = 65_536


@dataclass
class BadLines:
    """How many lines of an input have bytes that are not UTF-8."""

    number: int = 0
    first: int = 0
    """Number of the first of them, from 1; 0 where there is none."""

    def add(self, line: int) -> None:
        """Counts the line of this number."""
        self.number += 1
        self.first = self.first or line


class LineReader:
    r"""The lines of a byte stream, and whether another one is there without waiting.

    Args:
        stream: A buffered stream of bytes, such as `sys.stdin.buffer`.
        name: What messages call it.
        bad: Counts the lines with bytes that are not UTF-8, which become U+FFFD.

    Example:
        >>> bad = BadLines()
        >>> list(LineReader(io.BytesIO(b"one\ncaf\xe9"), "stdin", bad)), bad
        (['one', 'caf\ufffd'], BadLines(number=1, first=2))
    """

    def __init__(self, stream: IO[bytes], name: str, bad: BadLines) -> None:
        self._stream = cast(io.BufferedReader, stream)
        self._name = name
        self._bad = bad
        self._buffer = bytearray()
        self._is_at_end = False
        self._can_wait = False
        with contextlib.suppress(OSError, ValueError):  # a stream in memory has no descriptor and never waits
            self._can_wait = stream.fileno() >= 0

    def __iter__(self) -> Iterator[str]:
        return decode_lines(cast(IO[bytes], self), self._name, self._bad.add)

    def readline(self, limit: int) -> bytes:
        """Returns the bytes of the next line with its ending, or the first `limit` of them; none at the end."""
        while not self._has_line() and len(self._buffer) < limit:
            self._fill()
        end = self._buffer.find(b"\n") + 1 or len(self._buffer)
        line = bytes(self._buffer[: min(end, limit)])
        del self._buffer[: len(line)]
        return line

    def is_next_ready(self) -> bool:
        """Tells whether the next line, or the end, is there already or comes in a moment."""
        while self._can_wait and not self._has_line() and len(self._buffer) <= MAX_LINE_BYTES:
            if not select.select([self._stream], [], [], _PATIENCE_SECONDS)[0]:
                return False
            self._fill()
        return True

    def _has_line(self) -> bool:
        return self._is_at_end or b"\n" in self._buffer

    def _fill(self) -> None:
        with explained(self._name, "read"):
            chunk = self._stream.read1(_READ_BYTES)
        self._buffer += chunk
        self._is_at_end = not chunk


def blocks(
    lines: Iterable[str], *, max_lines: int = BLOCK_LINES, is_next_ready: Callable[[], bool] = lambda: True
) -> Iterator[list[str]]:
    """Gathers lines into blocks.

    Args:
        lines: The lines.
        max_lines: Most lines a block; long lines fill it sooner.
        is_next_ready: Tells whether the next line comes without a wait; where it doesn't, the block ends.

    Yields:
        Blocks of at least one line.

    Example:
        >>> list(blocks(["one", "two", "three"], max_lines=2))
        [['one', 'two'], ['three']]
    """
    block: list[str] = []
    num_characters = 0
    for line in lines:
        block.append(line)
        num_characters += len(line)
        if len(block) >= max_lines or num_characters >= _BLOCK_CHARACTERS or not is_next_ready():
            yield block
            block, num_characters = [], 0
    if block:
        yield block


@dataclass(frozen=True)
class Input:
    """Lines to be translated."""

    lines: Iterable[str]
    is_next_ready: Callable[[], bool]
    """Whether the next line is there without a wait."""
    name: str
    """What messages call the input."""
    bad: BadLines = field(default_factory=BadLines)
    """How many of the lines so far were not UTF-8."""


@dataclass(frozen=True)
class Output:
    """Where translations go."""

    write: Callable[[str], object]
    is_terminal: bool


@contextlib.contextmanager
def open_input(path: Path | None) -> Iterator[Input]:
    """Opens a file, or standard input where there is no path. A `.gz`, `.xz` or `.zst` file is unpacked.

    Bytes that are not UTF-8 become U+FFFD: one line comes out for each line in, whatever it holds.

    Raises:
        FileError: The file can't be read.
        CorpusError: From its lines: it is a damaged or truncated archive, or holds an endless line.
        InputError: Standard input is closed.
    """
    bad = BadLines()
    if path is not None and path.suffix.lower() in (".gz", ".xz", ".zst"):
        yield Input(read_lines(path, bad.add), lambda: True, str(path), bad)
        return
    with contextlib.ExitStack() as stack:
        if path is None:
            if sys.stdin is None:
                raise InputError("there is no standard input: it is closed. Give a file: --input FILE.")
            stream: IO[bytes] = sys.stdin.buffer
        else:
            with explained(path, "read"):
                stream = stack.enter_context(path.open("rb"))
        name = "standard input" if path is None else str(path)
        reader = LineReader(stream, name, bad)
        yield Input(reader, reader.is_next_ready, name, bad)


@contextlib.contextmanager
def open_output(path: Path | None) -> Iterator[Output]:
    """Opens a file that is there whole after the block or not at all, or standard output where there is no path.

    Raises:
        FileError: It can't be written.
    """
    if path is not None:
        with _telling_of(path), files.new_file(path) as file:
            yield Output(lambda text: file.write(text.encode("utf-8")), is_terminal=False)
    elif is_terminal(sys.stdout):
        yield Output(lambda text: write_result(printable(text, keep="\n")), is_terminal=True)
    else:
        yield Output(write_result, is_terminal=False)


@contextlib.contextmanager
def _telling_of(path: Path) -> Iterator[None]:
    """Adds to what is wrong with the input that the output is not written."""
    try:
        yield
    except CorpusError as error:
        raise CorpusError(f"{error} Nothing was written to {path}.") from error


def translate(
    translator: Translator,
    source: Input,
    target: Output,
    *,
    n_best: int = 1,
    output_format: Format = "text",
    batch_size: int | None = None,
    **options: Any,
) -> None:
    """Translates all lines and writes them block by block.

    At the end the log has a line for each kind of thing that was out of the ordinary, and of how many lines.

    Args:
        translator: The translator.
        source: The lines.
        target: Where their translations go.
        n_best: Hypotheses a line.
        output_format: A name in `FORMATS`.
        batch_size: Lines translated at a time.
        **options: Of the search; see `Translator.translate`.

    Raises:
        InputError: An option is out of range.
        FileError: The output can't be written.
    """
    batch_size = batch_size or translator.options.batch_size
    source_blocks = blocks(source.lines, max_lines=max(BLOCK_LINES, batch_size), is_next_ready=source.is_next_ready)
    render = FORMATS[output_format]
    num_done = 0
    counts = Counts()
    with progress("lines", is_shown=not target.is_terminal) as show_done:
        for block in source_blocks:
            found = translator.translate_n_best(
                block,
                n_best=n_best,
                batch_size=batch_size,
                counts=counts,
                progress=lambda done, before=num_done: show_done(before + done),  # type: ignore[misc]  # mypy does not infer a default argument
                **options,
            )
            target.write("".join(render(number, best) for number, best in enumerate(found, start=num_done)))
            num_done += len(block)
            show_done(num_done)
    if source.bad.number:
        logger.warning(
            "%s: %s not UTF-8, the first of them line %s; each bad byte was read as U+FFFD.",
            source.name,
            "1 line was" if source.bad.number == 1 else f"{source.bad.number:,} lines were",
            f"{source.bad.first:,}",
        )
    for message in counts.messages():
        logger.warning("%s: %s.", source.name, message)


def score_pairs(
    translator: Translator,
    pairs: Sequence[SentencePair],
    write: Callable[[str], object],
    *,
    batch_size: int | None = None,
    workers: int | None = None,
) -> None:
    """Writes how probable each target is, given its source: log-probability, tab, average of its pieces.

    The log has the totals.

    Args:
        translator: The translator.
        pairs: Sources and targets.
        write: Takes lines of output.
        batch_size: Pairs scored at a time.
        workers: Batches worked on at a time.
    """
    log_prob, num_pieces = 0.0, 0
    with progress("lines", len(pairs)) as show_done:
        for start in range(0, len(pairs), BLOCK_LINES):
            sources, targets = zip(*pairs[start : start + BLOCK_LINES], strict=True)
            scores = translator.score(sources, targets, batch_size=batch_size, workers=workers)
            write("".join(f"{one.log_prob:.6f}\t{one.log_prob / one.num_pieces:.6f}\n" for one in scores))
            log_prob += sum(one.log_prob for one in scores)
            num_pieces += sum(one.num_pieces for one in scores)
            show_done(start + len(scores))
    average = log_prob / max(num_pieces, 1)
    logger.info(
        "%s lines, %s pieces: log-probability %.2f, %.4f a piece, perplexity %.2f",
        f"{len(pairs):,}",
        f"{num_pieces:,}",
        log_prob,
        average,
        math.exp(min(-average, 700.0)),
    )


def check_format(output_format: Format, n_best: int) -> None:
    """Refuses a number of hypotheses that a format can't hold.

    Raises:
        InputError: It can't: one line of plain text holds one hypothesis.
    """
    if output_format == "text" and n_best > 1:
        raise InputError(
            f"text has one line for each line of the input. Received: n_best={n_best}. "
            "For several translations a line, add --format moses or --format jsonl."
        )


def _text(_: int, hypotheses: Sequence[Hypothesis]) -> str:
    return f"{hypotheses[0].text}\n"


def _moses(number: int, hypotheses: Sequence[Hypothesis]) -> str:
    return "".join(f"{number} ||| {one.text} ||| {one.score:.6f}\n" for one in hypotheses)


def _jsonl(_: int, hypotheses: Sequence[Hypothesis]) -> str:
    found = [{"text": one.text, "score": one.score, "log_prob": one.log_prob, "flags": one.flags} for one in hypotheses]
    return json.dumps({"translations": found}, ensure_ascii=False) + "\n"


FORMATS: dict[Format, Callable[[int, Sequence[Hypothesis]], str]] = {"text": _text, "jsonl": _jsonl, "moses": _moses}
"""From the number of a line, from 0, and its hypotheses, best first, to lines of output.

`text`: the best translation. `jsonl`: an object for each line of the input,
`{"translations": [{"text": ..., "score": ..., "log_prob": ..., "flags": [...]}]}`, flags those of
`nmt.decoding.hypothesis.Hypothesis.flags`. `moses`: `number ||| text ||| score` for each
hypothesis.
"""
