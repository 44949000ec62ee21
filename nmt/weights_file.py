"""Reading weights in the safetensors format from strangers: every byte accounted for before a tensor is read.

The format (https://github.com/huggingface/safetensors#format): 8 bytes, the length N of the header as a little-endian
number; N bytes of JSON, which give each tensor's dtype, shape and place; the tensors' bytes, without gaps.
The tensors that a file must hold are known beforehand. This module knows nothing of models.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmt import files, strict_json
from nmt.errors import ModelFileError

_MAX_HEADER_BYTES = 1_000_000
_LENGTH_BYTES = 8
_DTYPE = "F32"
_ITEM_BYTES = 4
_NUM_NAMED = 5

Shape = tuple[int, ...]


def read_weights(path: str | Path, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    """Reads float32 weights whose names and shapes are known.

    Args:
        path: A safetensors file.
        shapes: Shape by name of exactly the tensors that it must hold.

    Returns:
        The arrays by name, in the order of `shapes`. No more is allocated than the file's own size.

    Raises:
        ModelFileError: The file holds other tensors, a value that is not finite, or is damaged.
        FileError: It can't be read.
    """
    path = Path(path)
    with files.open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        header, start = _read_header(file, size, path)
        _check_entries(header, path)
        _check_names(header, shapes, path)
        begins = _check_layout(header, size - start, path)
        weights = {}
        for name, shape in shapes.items():
            weights[name] = np.empty(shape, "<f4")
            file.seek(start + begins[name])
            _read_into(file, weights[name], path)
            if not np.isfinite(weights[name]).all():
                raise ModelFileError(f"{path}: weight `{name}` must be finite. Received: NaN or infinite values.")
    return weights


def listed(names: Iterable[str]) -> str:
    """Returns the first few names as text, safe for a terminal, and how many more there are.

    Example:
        >>> listed(["a/bias", "a/kernel"])
        'a/bias, a/kernel'
        >>> listed("abcdefg")
        'a, b, c, d, e and 2 more'
    """
    ordered = sorted(names)
    shown = ", ".join(ascii(name[:100])[1:-1] for name in ordered[:_NUM_NAMED])
    rest = len(ordered) - _NUM_NAMED
    return f"{shown} and {rest} more" if rest > 0 else shown


def _read_header(file: io.FileIO, size: int, path: Path) -> tuple[dict[str, Any], int]:
    """Returns the header's entries and where the tensors' bytes start."""
    length = int.from_bytes(_read(file, min(size, _LENGTH_BYTES), path), "little")
    room = min(_MAX_HEADER_BYTES, size - _LENGTH_BYTES)
    if length > room:
        raise _damaged(path, f"the header must have at most {max(room, 0):,} bytes. Received: {length:,}")
    try:
        header = strict_json.parse(_read(file, length, path))
    except ValueError as error:
        raise _damaged(path, f"the header must be JSON: {error}") from None
    if not isinstance(header, dict):
        raise _damaged(path, "the header must be a JSON object")
    header.pop("__metadata__", None)
    return header, _LENGTH_BYTES + length


def _check_entries(header: Mapping[str, Any], path: Path) -> None:
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise _damaged(path, f"tensor `{listed([name])}` must have dtype, shape and data_offsets alone")
        if not _are_counts(entry["shape"]) or not _are_counts(entry["data_offsets"]) or len(entry["data_offsets"]) != 2:
            raise _damaged(path, f"tensor `{listed([name])}` must have whole numbers in shape and data_offsets")
        if entry["dtype"] != _DTYPE:
            received = ascii(entry["dtype"])[:100]
            raise ModelFileError(
                f"{path}: tensor `{listed([name])}` must have the dtype {_DTYPE}. Received: {received}. "
                "Save the model with nmt itself."
            )


def _check_names(header: Mapping[str, Any], shapes: Mapping[str, Shape], path: Path) -> None:
    problems = []
    if missing := shapes.keys() - header.keys():
        problems.append(f"missing: {listed(missing)}")
    if extra := header.keys() - shapes.keys():
        problems.append(f"unexpected: {listed(extra)}")
    for name in sorted(shapes.keys() & header.keys()):
        received = tuple(header[name]["shape"])
        if received != shapes[name]:
            problems.append(f"`{name}` must have the shape {shapes[name]}, received {received[:10]}")
    if problems:
        shown = "; ".join(problems[:_NUM_NAMED])
        raise ModelFileError(
            f"{path}: not the weights that config.json describes: {shown}. Use the two files of one model."
        )


def _check_layout(header: Mapping[str, Any], num_bytes: int, path: Path) -> dict[str, int]:
    """Checks that the tensors fill the rest of the file without gap or overlap; returns where each one begins."""
    places = sorted((*entry["data_offsets"], name) for name, entry in header.items())
    end = 0
    for begin, next_end, name in places:
        if begin != end or next_end - begin != math.prod(header[name]["shape"]) * _ITEM_BYTES:
            raise _damaged(path, f"tensor `{name}` must take the bytes of its shape, right after the tensor before it")
        end = next_end
    if end != num_bytes:
        raise _damaged(path, f"the tensors must take {end:,} bytes. Received: {num_bytes:,}")
    return {name: begin for begin, _, name in places}


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def _read(file: io.FileIO, num_bytes: int, path: Path) -> bytes:
    content = np.empty(num_bytes, np.uint8)
    _read_into(file, content, path)
    return content.tobytes()


def _read_into(file: io.FileIO, array: np.ndarray, path: Path) -> None:
    rest = array.reshape(-1).view(np.uint8).data
    while rest:
        count = file.readinto(rest)
        if not count:
            raise _damaged(path, "it ended while it was read")
        rest = rest[count:]


def _damaged(path: Path, problem: str) -> ModelFileError:
    return ModelFileError(f"{path}: damaged: {problem}. Copy or download the model again.")
