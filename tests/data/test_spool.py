"""A file without a name: what is read is what was written, nothing is left in the folder, a full disk is named."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from nmt.data import spool as spool_module
from nmt.data.spool import Spool
from nmt.errors import FileError


def test_bytes_and_arrays_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(spool_module, "_BUFFER_BYTES", 4)
    with Spool(tmp_path) as spool:
        spool.write(b"first ")
        spool.write(np.zeros(0, np.int64))
        spool.write(bytearray(b"second"))
        assert spool.size == 12
        spool.write(np.arange(7, dtype=np.uint32))
        assert spool.read_array(12 + 2 * 4, np.uint32, 5).tolist() == [2, 3, 4, 5, 6]
        assert spool.read_array(12, np.uint32, 0).tolist() == []
        assert [spool.read_next(size) for size in (3, 9)] == [b"fir", b"st second"]
        assert spool.read_next(100) == np.arange(7, dtype=np.uint32).tobytes()
        assert spool.read_next(1) == b""


def test_reading_behind_the_end_is_an_error(tmp_path):
    with Spool(tmp_path) as spool:
        spool.write(b"123")
        with pytest.raises(FileError, match="cut short"):
            spool.read_array(0, np.uint16, 2)


PROGRAM = """
import os, signal, sys
from nmt.data.spool import Spool
spool = Spool(sys.argv[1])
spool.write(b"text" * 100_000)
print(os.listdir(sys.argv[1]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_nothing(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=False
    )
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
    if hasattr(os, "O_TMPFILE"):
        assert process.stdout == "[]\n"  # not even while it ran


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")  # noqa: PTH110
def test_a_full_disk_names_the_folder_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(spool_module.tempfile, "TemporaryFile", lambda **_: open("/dev/full", "r+b", buffering=0))  # noqa: PTH123, SIM115
    with pytest.raises(FileError) as refusal, Spool(tmp_path) as spool:
        spool.write(b"text")
    assert str(refusal.value) == (
        f"{tmp_path}: can't write temporary files there: No space left on device. "
        "Free some space there, or choose another folder."
    )


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(FileError, match=r"absent: can't write temporary files there: .* its folder must exist"):
        Spool(tmp_path / "absent")
