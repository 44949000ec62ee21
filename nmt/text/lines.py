r"""Exact lines of text, from plain and compressed files and from a byte stream such as standard input.

A line ends at `\n` or `\r\n` and nowhere else. A lone `\r`, U+0085, U+2028, U+2029, the vertical tab, the form feed and
NUL are characters of the line: `str.splitlines` and Python's text files would break at some of them and shift the two
sides of a corpus against each other. Text after the last `\n` is a line too. One byte-order mark at the start of a file
is not text.

This module knows bytes, compression and UTF-8, and nothing of sentences, sides or corpora.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from nmt.errors import CorpusError

MAX_LINE_BYTES = 16 * 2**20
"""Longest line that is read: a small archive can't fill the memory with one endless line."""

MAX_UNPACKED_RATIO = 250
"""How much larger than its archive text may be: natural text is 3 to 20 times as large."""

_FREE_BYTES = 16 * 2**20  # unpacked from an archive before the ratio counts: a few sentences repeated are no harm
# Unpacked at a time. Of zstd they are at most 128 MiB of text, as it packs up to 128 KiB into 4 bytes; of others less.
_PACKED_BYTES = 4096

_MAX_DICTIONARY_BYTES = 256 * 2**20  # what an unpacker may hold of what it unpacked; `xz -9` and `zstd -19` need less
_TOO_MUCH_MEMORY = re.compile("memory usage limit|too much memory", re.IGNORECASE)  # what lzma and zstandard say then

_UNPACK = "It looks like a {} archive; unpack it first"
_RENAME = "It looks like a {0} archive; give its name the ending .{1}, and it is unpacked while it is read"
_SIGNATURES = {
    b"\xff\xfe": "It looks like UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW",
    b"\xfe\xff": "It looks like UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW",
    b"\x1f\x8b": _RENAME.format("gzip", "gz"),
    b"\xfd7zXZ": _RENAME.format("xz", "xz"),
    b"\x28\xb5\x2f\xfd": _RENAME.format("zstd", "zst"),
    b"BZh": _UNPACK.format("bzip2"),
    b"PK\x03\x04": _UNPACK.format("zip"),
    b"PAR1": "It looks like a Parquet file; put it into a folder and read that as a corpus of type hub",
}


def read_lines(path: str | Path, on_bad_line: Callable[[int], object] | None = None) -> Iterator[str]:
    r"""Reads the lines of a UTF-8 file; `.gz`, `.xz` and `.zst` files are unpacked while they are read.

    Args:
        path: The file. Its ending alone says whether it is compressed.
        on_bad_line: As for `decode_lines`; by default bytes that are not UTF-8 are refused.

    Yields:
        Each line without its ending.

    Raises:
        CorpusError: The file is missing or unreadable, is a folder, is a damaged or truncated archive or unpacks to
            more than text could, holds bytes that are not UTF-8 (the message names the line and the byte in it, both
            counted from 1) or an overlong line.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "greetings.txt")
        ...     _ = path.write_bytes(b"Hello.\r\nGood\rbye.\n\nlast")
        ...     list(read_lines(path))
        ['Hello.', 'Good\rbye.', '', 'last']
    """
    name = str(path)
    num_lines = 0
    try:
        with contextlib.ExitStack() as stack:
            for line in decode_lines(_open(Path(path), stack), name, on_bad_line):
                num_lines += 1
                yield line
    except _ArchiveError as error:
        raise CorpusError(f"{name}, after line {num_lines:,}: {error}") from error
    except OSError as error:
        raise CorpusError(_describe_os_error(name, error)) from error


def decode_lines(stream: IO[bytes], name: str, on_bad_line: Callable[[int], object] | None = None) -> Iterator[str]:
    r"""Decodes the lines of a byte stream as soon as each is complete.

    Args:
        stream: Bytes of UTF-8 text, such as `sys.stdin.buffer`.
        name: What messages call the stream.
        on_bad_line: Called with the number, from 1, of each line with bytes that are not UTF-8; the line is given with
            U+FFFD in their place. By default it is refused.

    Yields:
        Each line without its ending.

    Raises:
        CorpusError: A line is longer than `MAX_LINE_BYTES`, or not UTF-8 while nothing is to be called.

    Example:
        >>> import io
        >>> bad = []
        >>> list(decode_lines(io.BytesIO(b"caf\xc3\xa9\ncaf\xe9"), "stdin", bad.append)), bad
        (['café', 'caf\ufffd'], [2])
    """
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            limit = f"{MAX_LINE_BYTES:,} bytes"
            raise CorpusError(
                f"{name}, line {number}: a line has at most {limit}. Is this a file of one sentence a line? "
                "Split the line, or give another file."
            )
        if line.endswith(b"\n"):
            line = line[: -2 if line.endswith(b"\r\n") else -1]
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            if on_bad_line is None:
                raise CorpusError(_describe_bad_byte(name, number, line, error.start)) from error
            on_bad_line(number)
            text = line.decode("utf-8", "replace")
        yield text.removeprefix("\ufeff") if number == 1 else text


def _open(path: Path, stack: contextlib.ExitStack) -> IO[bytes]:
    try:
        file = stack.enter_context(path.open("rb"))
    except ValueError as error:  # a name with NUL or a lone surrogate
        raise CorpusError(f"{str(path)!r}: not the name of a file: {error}. Check the path.") from error
    ending = path.suffix.lower()
    new_part: Callable[[], Any]
    if ending == ".gz":
        unpacker = _Unpacker(file, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), zlib.error, padding=b"\0")
    elif ending == ".xz":
        new_part = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=_MAX_DICTIONARY_BYTES)
        unpacker = _Unpacker(file, new_part, lzma.LZMAError, padding=b"\0")
    elif ending == ".zst":
        import zstandard  # only who reads .zst pays for it

        new_part = zstandard.ZstdDecompressor(max_window_size=_MAX_DICTIONARY_BYTES).decompressobj
        unpacker = _Unpacker(file, new_part, zstandard.ZstdError, padding=b"")
    else:
        return file
    return stack.enter_context(io.BufferedReader(unpacker))


class _ArchiveError(Exception):
    """Compressed bytes that can't be unpacked, or unpack to too much."""


def _damaged(problem: str) -> _ArchiveError:
    remedy = "Make or download it again, or check its ending"
    return _ArchiveError(f"the archive is truncated or damaged: {problem}. {remedy}.")


class _Unpacker(io.RawIOBase):
    """Unpacks the parts of an archive one after the other, and refuses an end inside a part and what is no part.

    The readers of `gzip`, `lzma` and `zstandard` each let some of that pass: an empty file, bytes behind the first
    part, a truncated part. A bomb of short lines is refused as well.
    """

    def __init__(self, file: IO[bytes], new_part: Callable[[], Any], damage: type[Exception], padding: bytes) -> None:
        self._file = file
        self._new_part = new_part
        self._damage = damage
        self._padding = padding  # bytes that may lie between and behind the parts
        self._part: Any = None
        self._num_parts = 0
        self._num_packed = 0  # bytes
        self._num_unpacked = 0  # bytes
        self._packed = b""
        self._unpacked = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._unpacked and self._unpack():
            pass
        size = min(len(buffer), len(self._unpacked))
        buffer[:size] = self._unpacked[:size]
        self._unpacked = self._unpacked[size:]
        return size

    def _unpack(self) -> bool:
        """Unpacks the next few bytes; False at the end of the file."""
        packed = self._packed or self._file.read(_PACKED_BYTES)
        if not packed:
            if self._part is not None or not self._num_parts:
                raise _damaged("it ends too early")
            return False
        self._num_packed += 0 if self._packed else len(packed)
        self._packed = b""
        if self._part is None:
            packed = packed.lstrip(self._padding) if self._num_parts else packed
            if not packed:
                return True
            self._part = self._new_part()
            self._num_parts += 1
        try:
            self._unpacked = memoryview(self._part.decompress(packed))
        except self._damage as error:
            if _TOO_MUCH_MEMORY.search(str(error)):
                raise _ArchiveError(
                    f"the archive was packed so that to unpack it takes more than {_MAX_DICTIONARY_BYTES >> 20} MiB of "
                    "memory. Unpack it first and give the unpacked file, or pack it again with the packer's defaults."
                ) from error
            raise _damaged(str(error)) from error
        self._num_unpacked += len(self._unpacked)
        if self._num_unpacked > max(_FREE_BYTES, MAX_UNPACKED_RATIO * self._num_packed):
            raise _ArchiveError(
                f"the archive unpacks to more than {MAX_UNPACKED_RATIO} times its size, as hardly any text does. "
                "If it is yours, unpack it first and give the unpacked file."
            )
        if self._part.eof:
            self._packed = self._part.unused_data
            self._part = None
        return True


def _describe_os_error(name: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name}: no such file. Check the path; a relative one starts from the current folder."
    if isinstance(error, IsADirectoryError):
        return f"{name}: a folder. Give the path of one file."
    return f"{name}: can't be read: {error.strerror or error}. Check its permissions and its disk."


def _describe_bad_byte(name: str, number: int, line: bytes, start: int) -> str:
    hint = "Convert the file, for example from Latin-1: iconv -f LATIN1 -t UTF-8 FILE > NEW"
    if number == 1:
        hint = next((text for signature, text in _SIGNATURES.items() if line.startswith(signature)), hint)
    received = f"byte 0x{line[start]:02X} at byte {start + 1} of the line"
    return f"{name}, line {number}: text must be UTF-8. Received: {received}. {hint}."


_LINE_SEPARATORS = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")


def single_line(text: str) -> str:
    r"""Returns the text with each run of characters that any program takes for the end of a line made one space.

    Example:
        >>> single_line("one\r\ntwo")
        'one two'
    """
    return _LINE_SEPARATORS.sub(" ", text)
