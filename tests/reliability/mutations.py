"""Files changed as damage or malice would change them: at any byte, or within the rules of their format.

Run as a program, it loads changed tokenizers, and translates nothing: SentencePiece is C++, and a process that reads
what it should not ends by a signal, which only another process can see.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import resource
import signal
import struct
from collections.abc import Callable
from pathlib import Path

from nmt.errors import TokenizerError
from nmt.text.tokenizer import Tokenizer

Field = tuple[int, int, int | bytes]
"""Number, wire type and value of a field of a protocol buffer."""

ODD_BYTES = (
    b"\0",
    b"\xff",
    b"\x80",
    b"\x7f",
    b'"',
    b"[",
    b"{",
    b"}",
    b"9",
    b"-",
    b"\\",
    b"e9",
    b"null",
    b"\xff\xff\xff\xff",
)
ODD_NUMBERS = (0, 1, 2, 3, 4, 5, 6, 7, 99, 2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1)
ODD_TEXTS = (b"", b"\0", b"\xff\xfe", b"<0x41>", "▁".encode(), b"<unk>", b"\xf0\x9f", b"a" * 70_000)
ODD_SCORES = tuple(
    struct.pack("<f", number) for number in (0.0, float("nan"), float("inf"), -float("inf"), 3e38, -3e38)
)
LINES = [
    "we see the sea",
    "naïve </s> 😀 ﬁn Ⅷ ｆｕｌｌ",
    "",
    "\0 \n é́" * 5,
    "x" * 2000,
    "".join(map(chr, range(1, 0x400))),
]


def changed(content: bytes, generator: random.Random) -> bytes:
    """Returns the content with one to eight places flipped, overwritten, cut out, repeated, or the end cut off."""
    data = bytearray(content)
    for _ in range(generator.choice((1, 1, 1, 2, 4, 8))):
        start = generator.randrange(len(data) + 1)
        size = generator.choice((1, 1, 2, 4, 8, 50))
        match generator.randrange(6):
            case 0 if start < len(data):
                data[start] ^= 1 << generator.randrange(8)
            case 1:
                odd = generator.choice(ODD_BYTES)
                data[start : start + len(odd)] = odd
            case 2:
                data[start:start] = generator.choice(ODD_BYTES) * generator.choice((1, 1, 30))
            case 3:
                del data[start : start + size]
            case 4:
                data[start:start] = data[start : start + size]
            case _ if generator.random() < 0.2:
                del data[start:]
    return bytes(data)


def reseal(folder: Path) -> None:
    """Writes the manifest of a model anew, as one who means harm would, so that the checks behind it are reached."""
    entries = {}
    for path in sorted(folder.iterdir()):
        if path.name != "manifest.json":
            content = path.read_bytes()
            entries[path.name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"format_version": 1, "files": entries}))


# ---- the protocol buffer of a tokenizer, read and written here by the rules of the format alone ----


def fields_of(message: bytes) -> list[Field]:
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def taken(size: int) -> bytes:
        nonlocal position
        position += size
        return message[position - size : position]

    fields: list[Field] = []
    while position < len(message):
        tag = number()
        kind = tag & 7
        value = number() if kind == 0 else taken(4) if kind == 5 else taken(8) if kind == 1 else taken(number())
        fields.append((tag >> 3, kind, value))
    return fields


def message_of(fields: list[Field]) -> bytes:
    def number(value: int) -> bytes:
        digits = []
        while value > 0x7F:
            digits.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*digits, value])

    parts = []
    for field, kind, value in fields:
        parts.append(number(field << 3 | kind))
        if isinstance(value, int):
            parts.append(number(value))
        else:
            parts += [number(len(value)) if kind == 2 else b"", value]
    return b"".join(parts)


def with_inner(fields: list[Field], index: int, change: Callable[[list[Field]], list[Field]]) -> list[Field]:
    """Returns the fields with that one, a message itself, changed."""
    number, kind, value = fields[index]
    inner = change(fields_of(value if isinstance(value, bytes) else b""))
    changed_fields = list(fields)
    changed_fields[index] = (number, kind, message_of(inner))
    return changed_fields


def changed_tokenizer(content: bytes, generator: random.Random) -> bytes:
    """Returns the tokenizer with pieces, settings or the table of its normalization changed, its format still whole."""
    fields = fields_of(content)
    place = generator.random()
    if place < 0.1:
        return changed(content, generator)
    if place < 0.45:  # the table: a double-array trie that finds a text, and the texts
        number = generator.choice((1, 4, 256, 1024))
        units = [odd_unit(generator) | index & 0xFF for index in range(number)]
        size = generator.choice((4 * number, 4 * number, 4 * number, 0, 4 * number - 1, 2**32 - 1))
        texts = generator.choice((b"", b"a", b"\0", b"abc\0def\0", b"\xff" * 50, b"z" * 1000 + b"\0"))
        table = struct.pack(f"<{number + 1}I", size, *units) + texts
        return message_of(with_inner(fields, -1, lambda inner: [*(one for one in inner if one[0] != 2), (2, 2, table)]))
    if place < 0.75:  # pieces: text, score, kind
        for _ in range(generator.choice((1, 3, 30))):
            new: Field = generator.choice((
                (1, 2, generator.choice(ODD_TEXTS)), (2, 5, generator.choice(ODD_SCORES)),
                (3, 0, generator.choice(ODD_NUMBERS)), (generator.randrange(4, 300), 2, b"zz"),
            ))  # fmt: skip
            index = generator.randrange(len(fields) - 2)
            fields = with_inner(
                fields, index, lambda inner, new=new: [*(one for one in inner if one[0] != new[0]), new]
            )  # type: ignore[misc]
        return message_of(fields)

    def odd_setting(inner: list[Field]) -> list[Field]:
        number, kind, value = generator.choice(inner)
        value = generator.choice(ODD_NUMBERS) if kind == 0 else generator.choice(ODD_SCORES if kind == 5 else ODD_TEXTS)
        return [*inner, (number, kind, value)]

    return message_of(with_inner(fields, -2, odd_setting))


def odd_unit(generator: random.Random) -> int:
    return (
        generator.choice((0xFFFFFFFF, 0x7FFFFC00, 1 << 10 | 0x100, generator.getrandbits(32), 0x80000000)) & 0xFFFFFF00
    )


def use(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(LINES)
    if any(not 0 <= one < tokenizer.vocabulary_size for line in ids for one in line):
        raise SystemExit("an id beyond the vocabulary")
    tokenizer.decode(ids)
    tokenizer.decode([list(range(tokenizer.vocabulary_size))])
    tokenizer.pieces(range(tokenizer.vocabulary_size))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tokenizers", nargs="+", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    contents = [path.read_bytes() for path in options.tokenizers]
    generator = random.Random(options.seed)
    num_loaded = 0
    for number in range(options.count):
        print("tokenizer", number, flush=True)
        content = changed_tokenizer(generator.choice(contents), generator)
        signal.alarm(20)
        with contextlib.suppress(TokenizerError):
            use(Tokenizer(content))
            num_loaded += 1
    print("loaded", num_loaded, flush=True)


if __name__ == "__main__":
    main()
