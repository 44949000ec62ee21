"""Small archives that unpack to a gigabyte: refused while little of it is unpacked, in little memory.

Each is read in a process of its own that the system gives no more than 256 MiB.
"""

from __future__ import annotations

import gzip
import lzma
import subprocess
import sys
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


@pytest.mark.parametrize("ending", PACKERS)
def test_a_few_sentences_repeated_are_no_bomb(tmp_path, ending):
    path = tmp_path / f"repeated{ending}"
    path.write_bytes(PACKERS[ending](b"Good morning.\n" * 500_000))
    assert not read(path)
