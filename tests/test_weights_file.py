"""The safetensors reader: it agrees with the safetensors package on good files and refuses bad ones by name."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import FileError, ModelFileError
from nmt.weights_file import DamagedTensorsError, is_finite, listed, read_arrays, read_weights, tensor_parts

SHAPES = {"a/bias": (3,), "a/kernel": (2, 3)}
WEIGHTS = {"a/bias": np.arange(3, dtype=np.float32), "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}
AGAIN = "Copy or download the model again."
OTHER = "not the weights that config.json describes"


def write(path: Path, header: Any, data: bytes = b"\0" * 36, length: int | None = None) -> Path:
    """Writes a file by the format's description alone."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(encoded) if length is None else length).to_bytes(8, "little") + encoded + data)
    return path


def header(**changes: Any) -> dict[str, Any]:
    entries = {
        "a/bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "a/kernel": {"dtype": "F32", "shape": [2, 3], "data_offsets": [12, 36]},
    }
    for name, change in changes.items():
        entries[f"a/{name}"] |= change
    return entries


def refusal(path: Path) -> str:
    with pytest.raises((ModelFileError, FileError)) as caught:
        read_weights(path, SHAPES)
    return str(caught.value)


def test_it_reads_what_the_package_writes(tmp_path, rng):
    for num_tensors in range(6):
        weights = {
            f"layer_{index}/é": rng.normal(size=rng.integers(1, 5, size=rng.integers(0, 4))).astype(np.float32)
            for index in range(num_tensors)
        }
        safetensors.numpy.save_file(weights, tmp_path / "file", metadata={"made": "by the package"})
        shapes = {name: array.shape for name, array in weights.items()}
        loaded = read_weights(tmp_path / "file", shapes)
        assert list(loaded) == list(weights)
        for name, array in weights.items():
            assert loaded[name].tobytes() == array.tobytes()
            assert loaded[name].shape == array.shape


def test_it_reads_what_the_format_describes(tmp_path):
    data = WEIGHTS["a/bias"].tobytes() + WEIGHTS["a/kernel"].tobytes()
    loaded = read_weights(write(tmp_path / "file", json.dumps(header()).encode() + b"   ", data), SHAPES)
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(loaded[name], array)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (b"", f"damaged: the header must be JSON: line 1: Expecting value. {AGAIN}"),
        (b"[]", f"damaged: the header must be a JSON object. {AGAIN}"),
        (b'{"a": 1, "a": 2}', f"damaged: the header must be JSON: duplicate key 'a'. {AGAIN}"),
        (b"[" * 100_000, f"damaged: the header must be JSON: nested too deeply. {AGAIN}"),
        ({}, f"{OTHER}: missing: a/bias, a/kernel. Use the two files of one model."),
        ({"a/bias": header()["a/bias"]}, f"{OTHER}: missing: a/kernel. Use the two files of one model."),
        (
            header() | {"a/evil\x1b": header()["a/bias"]},
            f"{OTHER}: unexpected: a/evil\\x1b. Use the two files of one model.",
        ),
        (
            header(kernel={"shape": [3, 2]}),
            f"{OTHER}: `a/kernel` must have the shape (2, 3), received (3, 2). Use the two files of one model.",
        ),
        (
            header(bias={"dtype": "F16"}),
            "tensor `a/bias` must have the dtype F32. Received: 'F16'. Save the model with nmt itself.",
        ),
        (header(bias={"extra": 1}), f"damaged: tensor `a/bias` must have dtype, shape and data_offsets alone. {AGAIN}"),
        (header() | {"a": []}, f"damaged: tensor `a` must have dtype, shape and data_offsets alone. {AGAIN}"),
        (
            header(bias={"shape": [-3]}),
            f"damaged: tensor `a/bias` must have whole numbers in shape and data_offsets. {AGAIN}",
        ),
        (
            header(bias={"shape": [True]}),
            f"damaged: tensor `a/bias` must have whole numbers in shape and data_offsets. {AGAIN}",
        ),
        (
            header(bias={"data_offsets": [0, 12, 12]}),
            f"damaged: tensor `a/bias` must have whole numbers in shape and data_offsets. {AGAIN}",
        ),
        (  # a gap
            header(kernel={"data_offsets": [13, 37]}),
            f"damaged: tensor `a/kernel` must take the bytes of its shape, right after the tensor before it. {AGAIN}",
        ),
        (  # an overlap
            header(kernel={"data_offsets": [0, 24]}),
            f"damaged: tensor `a/kernel` must take the bytes of its shape, right after the tensor before it. {AGAIN}",
        ),
        (  # more bytes than the shape
            header(bias={"data_offsets": [0, 16]}, kernel={"data_offsets": [16, 40]}),
            f"damaged: tensor `a/bias` must take the bytes of its shape, right after the tensor before it. {AGAIN}",
        ),
        (  # backwards
            header(bias={"data_offsets": [12, 0]}),
            f"damaged: tensor `a/bias` must take the bytes of its shape, right after the tensor before it. {AGAIN}",
        ),
    ],
)
def test_bad_headers(tmp_path, entries, problem):
    path = write(tmp_path / "file", entries)
    assert refusal(path) == f"{path}: {problem}"


def test_several_problems_are_told_at_once(tmp_path):
    path = write(tmp_path / "file", {"b": header()["a/bias"], "a/kernel": header(kernel={"shape": [6]})["a/kernel"]})
    assert refusal(path) == (
        f"{path}: {OTHER}: missing: a/bias; unexpected: b; `a/kernel` must have the shape (2, 3), received (6,). "
        "Use the two files of one model."
    )


@pytest.mark.parametrize("num_bytes", [0, 35, 37, 100])
def test_a_wrong_number_of_bytes(tmp_path, num_bytes):
    path = write(tmp_path / "file", header(), b"\0" * num_bytes)
    assert refusal(path) == f"{path}: damaged: the tensors must take 36 bytes. Received: {num_bytes}. {AGAIN}"


@pytest.mark.parametrize("length", [2**64 - 1, 2**40, 1_000_001, 300])
def test_a_header_longer_than_the_file_is_never_allocated(tmp_path, length):
    path = write(tmp_path / "file", header(), length=length)
    room = path.stat().st_size - 8
    assert room < length
    expected = f"damaged: the header must have at most {room:,} bytes. Received: {length:,}. {AGAIN}"
    assert refusal(path) == f"{path}: {expected}"


def test_a_header_over_the_limit_is_not_read(tmp_path):
    path = write(tmp_path / "file", b" " * 1_000_001)
    assert refusal(path).startswith(f"{path}: damaged: the header must have at most 1,000,000 bytes.")


@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 7])
def test_a_file_without_a_header(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert "damaged: the header must" in refusal(tmp_path / "file")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_must_be_finite(tmp_path, value):
    weights = {name: array.copy() for name, array in WEIGHTS.items()}
    weights["a/kernel"][1, 2] = value
    safetensors.numpy.save_file(weights, tmp_path / "file")
    expected = "weight `a/kernel` must be finite. Received: NaN or infinite values."
    assert refusal(tmp_path / "file") == f"{tmp_path}/file: {expected}"


def test_what_is_no_file(tmp_path):
    assert refusal(tmp_path / "none").startswith(f"{tmp_path}/none: can't read: No such file or directory.")
    assert refusal(tmp_path) == f"{tmp_path}: can't read: it is not a regular file. Check the path."


@given(data=st.data())
def test_no_change_of_the_header_escapes(tmp_path_factory, data):
    """Whatever is written over a part of a good file, it is refused, or the package reads the same from it."""
    path = write(tmp_path_factory.mktemp("fuzz") / "file", header())
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    patch = data.draw(
        st.binary(min_size=1, max_size=8) | st.sampled_from([b"0", b"9", b"-1", b'"', b"[", b"}", b"1e9"])
    )
    content[start : start + data.draw(st.integers(0, 8))] = patch
    path.write_bytes(content)
    with contextlib.suppress(ModelFileError):
        loaded = read_weights(path, SHAPES)
        expected = safetensors.numpy.load(bytes(content))
        assert {name: array.tobytes() for name, array in loaded.items()} == {
            name: array.tobytes() for name, array in expected.items()
        }


def some_arrays(rng: np.random.Generator, num_arrays: int) -> dict[str, np.ndarray]:
    """Arrays of every dtype and many shapes, in any memory order, under names of any characters."""
    arrays = {}
    for number in range(num_arrays):
        dtype = ALL_DTYPES[rng.integers(len(ALL_DTYPES))]
        array = rng.integers(0, 100, size=rng.integers(0, 4, size=rng.integers(0, 4))).astype(dtype)
        if rng.integers(2):
            array = np.asfortranarray(array) if array.ndim else array.astype(array.dtype.newbyteorder(">"))
        arrays[f"layer/{NAME_PARTS[rng.integers(len(NAME_PARTS))]}/{number}"] = array
    return arrays


NAME_PARTS = ["a", "é", "\n", "\u2028", "\x7f", '"']
ALL_DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


def test_what_is_written_is_byte_for_byte_what_the_package_writes(rng):
    for num_arrays in range(30):
        arrays = some_arrays(rng, num_arrays)
        native = {name: np.array(array, array.dtype.newbyteorder("="), order="C") for name, array in arrays.items()}
        assert b"".join(map(bytes, tensor_parts(arrays))) == safetensors.numpy.save(native)


def test_arrays_come_back_with_their_dtypes_and_shapes(tmp_path, rng):
    for num_arrays in range(30):
        arrays = some_arrays(rng, num_arrays)
        (tmp_path / "file").write_bytes(b"".join(map(bytes, tensor_parts(arrays))))
        loaded = read_arrays(tmp_path / "file")
        assert loaded.keys() == arrays.keys()
        for name, array in arrays.items():
            assert loaded[name].dtype.name == array.dtype.name
            assert loaded[name].shape == array.shape
            np.testing.assert_array_equal(loaded[name], array)


def test_only_one_array_is_asked_for_at_a_time():
    held = []

    class Lazy(dict[str, int]):
        def __getitem__(self, name: str) -> np.ndarray:
            held.append(name)
            return np.zeros(super().__getitem__(name), np.float32)

        def items(self) -> Any:
            return ((name, self[name]) for name in self)

    parts = tensor_parts(Lazy(a=1, b=2, c=3))
    assert len(next(parts)) > 8
    held.clear()
    assert len(next(parts)) == 4
    assert held == ["a"]
    assert len(next(parts)) == 8
    assert held == ["a", "b"]


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"a": np.zeros(2, np.complex64)}, "`a` must have one of the dtypes uint64, .*, bool. Received: complex64"),
        ({"b": np.array(["x"])}, "`b` must have one of the dtypes .* Received: <U1"),
        ({"n" * 999_950: np.zeros(1)}, "the names of the arrays take more than 1,000,000 bytes: 1,000,0"),
    ],
)
def test_what_the_format_can_t_hold_is_not_written(arrays, problem):
    with pytest.raises(ValueError, match=problem):
        list(tensor_parts(arrays))


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"dtype": "X9", "shape": [3], "data_offsets": [0, 36]}, "tensor `a` must have a known dtype. Received: 'X9'"),
        ({"dtype": [], "shape": [3], "data_offsets": [0, 36]}, "tensor `a` must have a known dtype. Received: []"),
        ({"dtype": "F64", "shape": [9], "data_offsets": [0, 36]}, "tensor `a` must take the bytes of its shape"),
        ({"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}, "the tensors must take 32 bytes. Received: 36"),
    ],
)
def test_arrays_of_a_broken_file(tmp_path, entry, problem):
    with pytest.raises(DamagedTensorsError) as caught:
        read_arrays(write(tmp_path / "file", {"a": entry}))
    assert str(caught.value).startswith(problem)


def test_a_name_from_a_file_is_shown_short_and_inert(tmp_path):
    name = "\x1b[2J" + "a" * 500
    with pytest.raises(DamagedTensorsError) as caught:
        read_arrays(write(tmp_path / "file", {name: {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}))
    assert str(caught.value).startswith("tensor `\\x1b[2Jaaa")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("shape", [[0, 2**62, 2**62], [0, 2**70], [0] * 100])
def test_an_impossible_shape_without_elements(tmp_path, shape):
    path = write(tmp_path / "file", {"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}, b"")
    with pytest.raises(DamagedTensorsError, match="tensor `a` must have a shape that is possible"):
        read_arrays(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_is_finite_looks_everywhere(value, dtype):
    array = np.ones((3, 500_000), dtype)  # several blocks
    assert is_finite(array)
    assert is_finite(array.T)
    for place in [(0, 0), (1, 499_999), (2, 499_999)]:
        array[place] = value
        assert not is_finite(array)
        assert not is_finite(array.T)
        array[place] = 1


def test_listed_is_short_and_inert():
    assert listed([]) == ""
    assert listed(["b", "a\x1b[2J"]) == "a\\x1b[2J, b"
    assert listed(map(str, range(7))) == "0, 1, 2, 3, 4 and 2 more"
    assert len(listed(["x" * 10_000])) == 100
