"""Text that misaligns, crashes or deceives programs: what a file holds, and what a model that copies makes of it.

The lines that must come out are written by hand. White space is as `nmt.text.tokenizer` says: runs of U+0020 are one
space, and none is left at either end.
"""

from __future__ import annotations

import re

PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
SINHALA, MALAYALAM = "\u0dc1\u0dca\u200d\u0dbb\u0dd3", "\u0d28\u0d4d\u200d"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"

TRAPS: dict[str, tuple[bytes, list[str]]] = {
    # where lines end
    "an empty file": (b"", []),
    "no final line feed": (b"one\ntwo", ["one", "two"]),
    "one line feed": (b"\n", [""]),
    "blank lines": (b"\n \n\t\n   \t \n", ["", "", "", ""]),
    "a blank line without a line feed": (b"one\n ", ["one", ""]),
    "carriage return and line feed": (b"one\r\n\r\ntwo\r\n", ["one", "", "two"]),
    "lone carriage returns": (b"one\rtwo\n\r\nthree\r", ["one two", "", "three "]),
    "two carriage returns": (b"one\r\r\ntwo", ["one ", "two"]),
    "Unicode line ends": ("a\u2028b\u2029c\x85d\n\u2028\n".encode(), ["a b c d", ""]),
    "vertical tab, form feed, separators": (b"a\vb\fc\x1cd\x1de\x1ef\x1fg\n", ["a b c d e f\x1fg"]),
    "NUL": (b"a\0b\n\0\n\0\0\0", ["a\0b", "\0", "\0\0\0"]),
    "many lines": (b"a\n\n" * 2100, ["a", ""] * 2100),
    # marks and controls
    "a mark of byte order": (
        b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\nth\xef\xbb\xbfree", ["one", "\ufefftwo", "th\ufeffree"],
    ),
    "a mark of byte order alone": (b"\xef\xbb\xbf", [""]),
    "zero width": ("a\u200bb\u2060c\xadd\n\u200b\n".encode(), ["a\u200bb\u2060c\xadd", "\u200b"]),
    "writing direction": (
        "\u202eabc\u202c \u2066x\u2069 \u200f\n".encode(), ["\u202eabc\u202c \u2066x\u2069 \u200f"],
    ),
    "joiners": (f"{PERSIAN}\n{SINHALA} {MALAYALAM}\n".encode(), [PERSIAN, f"{SINHALA} {MALAYALAM}"]),
    "combining marks": ("e\u0301 \xe9\n\u0301\n".encode(), ["e\u0301 \xe9", "\u0301"]),
    "a hundred combining marks": (("z" + "\u0335" * 100).encode(), ["z" + "\u0335" * 100]),
    "emoji sequences": (
        f"{FAMILY} \U0001f1e9\U0001f1ea 1\ufe0f\u20e3 \U0001f44d\U0001f3fd".encode(),
        [f"{FAMILY} \U0001f1e9\U0001f1ea 1\ufe0f\u20e3 \U0001f44d\U0001f3fd"],
    ),
    "no characters and private ones": ("\uffff\ufdd0 \ue000 \U0010ffff".encode(), ["\uffff\ufdd0 \ue000 \U0010ffff"]),
    "commands to a terminal": (b"\x1b[31mred\x1b[0m\x07\x9b", ["\x1b[31mred\x1b[0m\x07\ufffd"]),
    # spaces
    "spaces": (b"  a   b  \n", ["a b"]),
    "other spaces": ("a\xa0b\u3000c\td\n\xa0\u3000\n".encode(), ["a\xa0b\u3000c\td", ""]),
    "SentencePiece's own space": ("a\u2581b\n\u2581\n \u2581 \u2581\n".encode(), ["a b", "", ""]),
    # not UTF-8
    "Latin-1": (b"caf\xe9\nna\xefve", ["caf\ufffd", "na\ufffdve"]),
    "overlong": (b"\xc0\xaf\n\xe0\x80\xaf", ["\ufffd" * 2, "\ufffd" * 3]),
    "surrogates in UTF-8": (b"\xed\xa0\x80\n\xed\xa0\xbd\xed\xb8\x80", ["\ufffd" * 3, "\ufffd" * 6]),
    "beyond Unicode": (b"\xf4\x90\x80\x80\xf8", ["\ufffd" * 5]),
    "half a character": (b"x\xe2\x82\n\xac\n\x80y", ["x\ufffd", "\ufffd", "\ufffdy"]),
    "UTF-16": ("ab\ncd".encode("utf-16-le"), ["a\0b\0", "\0c\0d\0"]),
    "UTF-16 with its mark": (b"\xff\xfea\0\n\0", ["\ufffd\ufffda\0", "\0"]),
    # what a model or a format could take for its own
    "control pieces": (b"<s> </s> <unk> <pad>\n</s>\n<s>x</s>\n", ["<s> </s> <unk> <pad>", "</s>", "<s>x</s>"]),
    "byte pieces": (b"<0x41>\n<0x0A> <0xFF>", ["<0x41>", "<0x0A> <0xFF>"]),
    "marks of the unknown": ("\u2047 \u2585 \ufffd".encode(), ["\u2047 \u2585 \ufffd"]),
    "what looks like a command": (b"/quit\n--help\n#\n-", ["/quit", "--help", "#", "-"]),
    "fields": (b"0 ||| a ||| -1.5\na\tb\n{\"a\": 1}", ["0 ||| a ||| -1.5", "a\tb", '{"a": 1}']),
    # length
    "one character": ("x\n\xe9\n.\n\U0001f600".encode(), ["x", "\xe9", ".", "\U0001f600"]),
    "100,000 characters without a space": (b"x" * 100_000 + b"\ny", ["x" * 100_000, "y"]),
    "30,000 bytes of emoji": ("\U0001f600".encode() * 7_500, ["\U0001f600" * 7_500]),
    "what the source repeats": (b"ha ha ha ha ha ha ha ha ha ha\n" + b"." * 100, ["ha " * 9 + "ha", "." * 100]),
}  # fmt: skip

NOT_UTF_8 = {
    "commands to a terminal", "Latin-1", "overlong", "surrogates in UTF-8", "beyond Unicode", "half a character",
    "UTF-16 with its mark",
}  # fmt: skip

HALF_PAIRS = {
    "\ud800": "\ufffd",
    "a\udc80b": "a\ufffdb",
    "\udc00\ud800": "\ufffd\ufffd",
    "\ud83d" + "\ude00": "\U0001f600",
}
"""What a Python string can hold and UTF-8 can't, and what is made of it; the last is a whole pair, a character."""

SEPARATORS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Every character at which `str.splitlines` ends a line."""


def copied(line: str) -> str:
    """Returns what comes out for a line where the model copies: the rule of which the table has examples."""
    text = re.sub(" +", " ", line.replace("\u2581", " ")).strip(" ")
    return re.sub(f"[{SEPARATORS}]+", " ", text) if line.strip() else ""
