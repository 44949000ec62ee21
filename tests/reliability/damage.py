"""Damage to a folder of files, one kind after the other; shared by the quick tests and the long ones.

What is refused is refused because of its content: each damage is done to a copy that was whole a moment before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

Refuses = Callable[[Path], bool]
"""Tells whether loading a folder fails with a message that names it; `damage` raises where it fails otherwise."""


def flip_bits(folder: Path, refuses: Refuses, *, step: int = 1) -> tuple[int, list[str]]:
    """Flips every bit of every file of a folder, one at a time.

    Args:
        folder: The folder; it is as before when this returns.
        refuses: Loads the folder.
        step: Flip each `step`-th bit alone; 1: every one.

    Returns:
        How many were flipped, and where a flip was not refused.
    """
    num_flips, unnoticed = 0, []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for bit in range(0, 8 * len(content), step):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            num_flips += 1
            if not refuses(folder):
                unnoticed.append(f"{path.name}: bit {bit % 8} of byte {bit // 8}")
        path.write_bytes(content)
    return num_flips, unnoticed


def cut_everywhere(folder: Path, refuses: Refuses, *, step: int = 1) -> tuple[int, list[str]]:
    """Cuts every file of a folder off after every byte, as `flip_bits` flips bits."""
    num_cuts, unnoticed = 0, []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for length in range(0, len(content), step):
            path.write_bytes(content[:length])
            num_cuts += 1
            if not refuses(folder):
                unnoticed.append(f"{path.name}: cut off after {length} bytes")
        path.write_bytes(content)
    return num_cuts, unnoticed


def damaged_copies(
    whole: Path, other: Path, scratch: Path, rng: np.random.Generator, num_copies: int
) -> Iterator[tuple[str, Path]]:
    """Gives copies of a folder with one random damage each.

    Args:
        whole: The folder.
        other: A folder of the same kind with other content.
        scratch: Where the copies are made; each is gone when the next one comes.
        rng: What the damage is drawn from.
        num_copies: How many.

    Yields:
        What was done, in words, and the copy.
    """
    damages = (_flip, _cut, _extend, _overwrite, _zero, _swap, _take_from_other, _remove, _add, _rename, _make_folder)
    for _ in range(num_copies):
        copy = scratch / whole.name
        shutil.copytree(whole, copy)
        damage = damages[rng.integers(len(damages))]
        yield damage(copy, other, rng), copy
        shutil.rmtree(copy)


def _any_file(folder: Path, rng: np.random.Generator) -> Path:
    paths = sorted(folder.iterdir())
    return paths[rng.integers(len(paths))]


def _flip(folder: Path, other: Path, rng: np.random.Generator) -> str:
    path = _any_file(folder, rng)
    content = bytearray(path.read_bytes())
    position, bit = int(rng.integers(len(content))), int(rng.integers(8))
    content[position] ^= 1 << bit
    path.write_bytes(content)
    return f"{path.name}: bit {bit} of byte {position} flipped"


def _cut(folder: Path, other: Path, rng: np.random.Generator) -> str:
    path = _any_file(folder, rng)
    content = path.read_bytes()
    length = int(rng.integers(len(content)))
    path.write_bytes(content[:length])
    return f"{path.name}: cut off after {length} bytes"


def _extend(folder: Path, other: Path, rng: np.random.Generator) -> str:
    path = _any_file(folder, rng)
    more = b"x" + rng.bytes(int(rng.integers(9)))  # white space alone at the end of JSON is no damage
    path.write_bytes(path.read_bytes() + more)
    return f"{path.name}: followed by {more!r}"


def _overwrite(folder: Path, other: Path, rng: np.random.Generator) -> str:
    path = _any_file(folder, rng)
    content = bytearray(path.read_bytes())
    start = int(rng.integers(len(content)))
    length = int(rng.integers(1, 17))
    inverted = bytes(byte ^ 0xFF for byte in content[start : start + length])
    content[start : start + length] = inverted
    path.write_bytes(content)
    return f"{path.name}: {len(inverted)} bytes from {start} on inverted"


def _zero(folder: Path, other: Path, rng: np.random.Generator) -> str:
    path = _any_file(folder, rng)
    path.write_bytes(bytes(path.stat().st_size))
    return f"{path.name}: all zeros"


def _swap(folder: Path, other: Path, rng: np.random.Generator) -> str:
    first, second = rng.permutation(sorted(folder.iterdir()))[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    return f"{first.name} and {second.name} swapped"


def _take_from_other(folder: Path, other: Path, rng: np.random.Generator) -> str:
    path = _any_file(folder, rng)
    path.write_bytes((other / path.name).read_bytes())
    return f"{path.name} of another"


def _remove(folder: Path, other: Path, rng: np.random.Generator) -> str:
    path = _any_file(folder, rng)
    path.unlink()
    return f"{path.name} removed"


def _add(folder: Path, other: Path, rng: np.random.Generator) -> str:
    name = f"more-{rng.integers(10**6)}"
    (folder / name).write_bytes(rng.bytes(int(rng.integers(3))))
    return f"{name} added"


def _rename(folder: Path, other: Path, rng: np.random.Generator) -> str:
    path = _any_file(folder, rng)
    path.rename(folder / f"{path.name}2")
    return f"{path.name} renamed"


def _make_folder(folder: Path, other: Path, rng: np.random.Generator) -> str:
    path = _any_file(folder, rng)
    path.unlink()
    path.mkdir()
    return f"{path.name} made a folder"
