"""Arrays in the safetensors format: written one after the other, read with every byte accounted for beforehand.

The format (https://github.com/huggingface/safetensors#format): 8 bytes, the length N of the header as a little-endian
number; N bytes of JSON, which give each tensor's dtype, shape and place; the tensors' bytes, without gaps.
The weights of a model come from strangers, and are known beforehand; the arrays of a checkpoint are as its header says.
This module knows nothing of models or checkpoints.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmt import files, strict_json
from nmt.errors import ModelFileError

_MAX_HEADER_BYTES = 1_000_000
_LENGTH_BYTES = 8
_ALIGNMENT_BYTES = 8
_NUM_NAMED = 5
_BLOCK_LENGTH = 1 << 20
_DTYPES = {  # NumPy's name and the format's, in the order in which the safetensors package puts them into a file
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32", "int32": "I32",
    "float16": "F16", "uint16": "U16", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
_NUMPY_DTYPES = {code: np.dtype(name).newbyteorder("<") for name, code in _DTYPES.items()}

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
    with files.open_regular(path) as file, _explained(path):
        size = os.fstat(file.fileno()).st_size
        header, start = _read_header(file, size)
        _check_entries(header)
        _check_float32(header, path)
        _check_names(header, shapes, path)
        begins = _check_layout(header, size - start)
        weights = {}
        for name, shape in shapes.items():
            weights[name] = np.empty(shape, "<f4")
            file.seek(start + begins[name])
            _read_into(file, weights[name])
            if not is_finite(weights[name]):
                raise ModelFileError(f"{path}: weight `{name}` must be finite. Received: NaN or infinite values.")
    return weights


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Reads whatever arrays a file of ours holds; its content must have been verified.

    Args:
        path: A safetensors file.

    Returns:
        The arrays by name, in the order of the file. No more is allocated than the file's own size.

    Raises:
        DamagedTensorsError: It breaks the format.
        FileError: It can't be read.
    """
    with files.open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        header, start = _read_header(file, size)
        _check_entries(header)
        _check_dtypes(header)
        begins = _check_layout(header, size - start)
        file.seek(start)
        arrays = {}
        for name in begins:
            arrays[name] = _empty(name, header[name])
            _read_into(file, arrays[name])
    return arrays


def tensor_parts(arrays: Mapping[str, np.ndarray]) -> Iterator[Any]:
    """Gives the content of a safetensors file, the header and then each array, byte for byte as the package writes it.

    Args:
        arrays: Arrays by name: whole numbers, booleans, or floats of at least 16 bits. One is asked for at a time, its
            dtype and shape first, and copied where it is not in C order.

    Yields:
        Bytes, and one-dimensional arrays of bytes.

    Raises:
        ValueError: The format has no such dtype, or there are so many arrays that they would not be read again.

    Example:
        >>> [len(part) for part in tensor_parts({"a": np.zeros(3, np.float32)})]
        [64, 12]
    """
    places = {name: (check_dtype(name, array), array.shape, array.nbytes) for name, array in arrays.items()}
    ranks = {code: rank for rank, code in enumerate(_NUMPY_DTYPES)}
    names = sorted(places, key=lambda name: (ranks[places[name][0]], name))
    header, end = {}, 0
    for name in names:
        code, shape, num_bytes = places[name]
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [end, end + num_bytes]}
        end += num_bytes
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    encoded += b" " * (-len(encoded) % _ALIGNMENT_BYTES)
    if len(encoded) > _MAX_HEADER_BYTES:
        raise ValueError(f"the names of the arrays take more than {_MAX_HEADER_BYTES:,} bytes: {len(encoded):,}")
    yield len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded
    for name in names:
        array = np.asarray(arrays[name], _NUMPY_DTYPES[places[name][0]], order="C")
        yield array.reshape(-1).view(np.uint8)


def check_dtype(name: str, array: np.ndarray) -> str:
    """Returns the format's name of an array's dtype.

    Raises:
        ValueError: It has none.
    """
    if array.dtype.name not in _DTYPES:
        raise ValueError(f"`{name}` must have one of the dtypes {', '.join(_DTYPES)}. Received: {array.dtype}")
    return _DTYPES[array.dtype.name]


def is_finite(array: np.ndarray) -> bool:
    """Tells whether no number of an array is NaN or infinite, with little memory of its own.

    Example:
        >>> is_finite(np.array([1.0, np.inf])), is_finite(np.array(True))
        (False, True)
    """
    if array.dtype.kind != "f":
        return True
    flat = array.reshape(-1, order="A")  # no copy, whichever way round it lies
    return all(
        bool(np.isfinite(flat[start : start + _BLOCK_LENGTH]).all()) for start in range(0, flat.size, _BLOCK_LENGTH)
    )


class DamagedTensorsError(Exception):
    """A file breaks the format; the message says where, without the path."""


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


def _read_header(file: io.FileIO, size: int) -> tuple[dict[str, Any], int]:
    """Returns the header's entries and where the tensors' bytes start."""
    length = int.from_bytes(_read(file, min(size, _LENGTH_BYTES)), "little")
    room = min(_MAX_HEADER_BYTES, size - _LENGTH_BYTES)
    if length > room:
        raise DamagedTensorsError(f"the header must have at most {max(room, 0):,} bytes. Received: {length:,}")
    try:
        header = strict_json.parse(_read(file, length))
    except ValueError as error:
        raise DamagedTensorsError(f"the header must be JSON: {error}") from None
    if not isinstance(header, dict):
        raise DamagedTensorsError("the header must be a JSON object")
    header.pop("__metadata__", None)
    return header, _LENGTH_BYTES + length


def _check_entries(header: Mapping[str, Any]) -> None:
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise DamagedTensorsError(f"tensor `{listed([name])}` must have dtype, shape and data_offsets alone")
        if not _are_counts(entry["shape"]) or not _are_counts(entry["data_offsets"]) or len(entry["data_offsets"]) != 2:
            raise DamagedTensorsError(f"tensor `{listed([name])}` must have whole numbers in shape and data_offsets")


def _check_dtypes(header: Mapping[str, Any]) -> None:
    for name, entry in header.items():
        if not isinstance(entry["dtype"], str) or entry["dtype"] not in _NUMPY_DTYPES:
            received = ascii(entry["dtype"])[:100]
            raise DamagedTensorsError(f"tensor `{listed([name])}` must have a known dtype. Received: {received}")


def _check_float32(header: Mapping[str, Any], path: Path) -> None:
    for name, entry in header.items():
        if entry["dtype"] != "F32":
            received = ascii(entry["dtype"])[:100]
            raise ModelFileError(
                f"{path}: tensor `{listed([name])}` must have the dtype F32. Received: {received}. "
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


def _check_layout(header: Mapping[str, Any], num_bytes: int) -> dict[str, int]:
    """Checks that the tensors fill the rest of the file without gap or overlap; returns where each one begins."""
    places = sorted((*entry["data_offsets"], name) for name, entry in header.items())
    end = 0
    for begin, next_end, name in places:
        if begin != end or next_end - begin != _num_bytes(header[name]):
            raise DamagedTensorsError(
                f"tensor `{listed([name])}` must take the bytes of its shape, right after the tensor before it"
            )
        end = next_end
    if end != num_bytes:
        raise DamagedTensorsError(f"the tensors must take {end:,} bytes. Received: {num_bytes:,}")
    return {name: begin for begin, _, name in places}


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def _read(file: io.FileIO, num_bytes: int) -> bytes:
    content = np.empty(num_bytes, np.uint8)
    _read_into(file, content)
    return content.tobytes()


def _read_into(file: io.FileIO, array: np.ndarray) -> None:
    rest = array.reshape(-1).view(np.uint8).data
    while rest:
        count = file.readinto(rest)
        if not count:
            raise DamagedTensorsError("it ended while it was read")
        rest = rest[count:]


def _num_bytes(entry: Mapping[str, Any]) -> int:
    length: int = math.prod(entry["shape"])
    return length * _NUMPY_DTYPES[entry["dtype"]].itemsize


def _empty(name: str, entry: Mapping[str, Any]) -> np.ndarray:
    try:
        return np.empty(entry["shape"], _NUMPY_DTYPES[entry["dtype"]])
    except (ValueError, OverflowError):  # no elements in it, and yet a side longer than any
        raise DamagedTensorsError(f"tensor `{listed([name])}` must have a shape that is possible") from None


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except DamagedTensorsError as error:
        raise ModelFileError(f"{path}: damaged: {error}. Copy or download the model again.") from None
    except MemoryError:
        raise ModelFileError(
            f"{path}: its weights need more memory than there is. Load it on a machine that has more."
        ) from None
