"""Small archives that unpack to a gigabyte: refused while little of it is unpacked, in little memory.

Each is read in a process of its own that the system gives no more than 256 MiB.
"""

from __future__ import annotations

import gzip
import lzma
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import zstandard

ROOT = Path(__file__).parents[2]
PACKERS = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.compress}
READ = """
import resource, sys
import zstandard  # before the limit: libraries count
resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))
from nmt.errors import CorpusError
from nmt.text.lines import read_lines
try:
    for line in read_lines(sys.argv[1]):
        pass
except CorpusError as error:
    print(error)
"""


def read(path: Path) -> str:
    """Reads the file in a process of its own; returns the refusal, or nothing."""
    command = [sys.executable, "-c", READ, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.rstrip()


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize(
    ("part", "num_lines"),
    [(b"\0", "0"), (b"a line of a hundred characters ".ljust(99, b".") + b"\n", "")],
    ids=["one endless line", "short lines"],
)
def test_a_gigabyte_is_not_unpacked(tmp_path, ending, part, num_lines):
    # The parts of an archive may follow one another: one of 16 MiB, 64 times.
    path = tmp_path / f"bomb{ending}"
    path.write_bytes(PACKERS[ending](part * (2**24 // len(part))) * 64)
    refusal = read(path)
    assert refusal.startswith(f"{path}, after line {num_lines}")
    assert refusal.endswith(
        ": the archive unpacks to more than 250 times its size, as hardly any text does. "
        "If it is yours, unpack it first and give the unpacked file."
    )


def xz_of_a_huge_dictionary(content: bytes) -> bytes:
    """An archive whose header asks for a dictionary of 4 GiB, which takes as much to pack with: it is written there."""
    packed = bytearray(lzma.compress(content))
    # The stream's header has 12 bytes; the fifth of the block's is the dictionary's size, its last four sum up.
    assert packed[14:16] == b"\x21\x01"
    packed[16] = 40
    end = 12 + (packed[12] + 1) * 4
    packed[end - 4 : end] = struct.pack("<I", zlib.crc32(packed[12 : end - 4]))
    return bytes(packed)


def zst_of_a_huge_window(content: bytes) -> bytes:
    """An archive whose header asks for a window of 1 GiB."""
    # Magic number; no size of the content, no checksum; 2 ** (10 + 20) bytes; one last block, as it is.
    return b"\x28\xb5\x2f\xfd" + b"\0" + bytes([20 << 3]) + (len(content) << 3 | 1).to_bytes(3, "little") + content


@pytest.mark.parametrize(
    ("ending", "packed"),
    [(".xz", xz_of_a_huge_dictionary(b"one\ntwo\n")), (".zst", zst_of_a_huge_window(b"one\ntwo\n"))],
    ids=["xz", "zst"],
)
def test_an_archive_that_asks_for_much_memory_is_refused(tmp_path, ending, packed):
    # One was a MemoryError, the other called damaged.
    (tmp_path / f"a{ending}").write_bytes(packed)
    assert read(tmp_path / f"a{ending}") == (
        f"{tmp_path}/a{ending}, after line 0: the archive was packed so that to unpack it takes more than 256 MiB of "
        "memory. Unpack it first and give the unpacked file, or pack it again with the packer's defaults."
    )


@pytest.mark.parametrize("ending", PACKERS)
def test_a_few_sentences_repeated_are_no_bomb(tmp_path, ending):
    path = tmp_path / f"repeated{ending}"
    path.write_bytes(PACKERS[ending](b"Good morning.\n" * 500_000))
    assert not read(path)
