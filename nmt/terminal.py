r"""Text made inert for a terminal: what comes from a file, a model or a user can't move the cursor or hide itself.

Everything that a terminal would act on instead of showing is written as a visible escape such as `\x1b`. All else stays
as it is, right-to-left letters and the joiners of Indic, Persian and emoji text too. This module knows nothing of
colours or layout.
"""

from __future__ import annotations

import re

ACTIVE = re.compile(
    "["
    "\x00-\x1f\x7f"  # C0 controls: escape, carriage return, backspace, tab, line feed ...
    "\x80-\x9f"  # C1 controls: 0x9b alone begins an escape sequence
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # marks, embeddings, overrides and isolates of writing direction
    "\u2028\u2029"  # line and paragraph separator
    "\ud800-\udfff"  # surrogates, from undecodable file names: a strict stream can't write them
    "]"
)
"""A character that a terminal acts on, or a stream can't write."""


def printable(text: str, *, keep: str = "") -> str:
    r"""Returns the text with every character that a terminal acts on as a visible escape.

    The result may be printed anywhere, but is not reversible: a backslash in the text stays as it is.

    Args:
        text: Any text.
        keep: Control characters to leave as they are, such as `"\n"` for a message of several lines.

    Example:
        >>> print(printable("red \x1b[31m alert, tab\tand \u202egnirts"))
        red \x1b[31m alert, tab\x09and \u202egnirts
    """
    return ACTIVE.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
