"""The attention of one translation as a table for the terminal: rows are target pieces, columns source pieces.

A cell's shade says how much of its row's attention the source piece gets. A sentence too long for the width is laid out
in several bands of columns, one below the other; nothing is left out. Columns are as wide as a terminal draws the
pieces, wide characters included. This module knows no model: it takes weights and pieces.

Shapes: T target pieces, S source pieces.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len, set_cell_size

from nmt.errors import InputError
from nmt.terminal import printable

SHADES = "·░▒▓█"
BOUNDS = (0.05, 0.25, 0.5, 0.75)
_MEANINGS = ("below 5 %", "below 25 %", "below 50 %", "below 75 %", "75 % and more")
MIN_WIDTH = 20
_MAX_PIECE_WIDTH = 14
_MIN_PIECE_WIDTH = 2
_GAP = " "
_LEFT_TO_RIGHT_MARK = "\u200e"


def attention_table(
    attention: npt.NDArray[np.floating],
    target_pieces: Sequence[str],
    source_pieces: Sequence[str],
    *,
    width: int = 80,
) -> str:
    """Returns the attention weights as a table of shaded cells.

    Args:
        attention: (T, S) weights from 0 to 1.
        target_pieces: T pieces of the translation, one a row. They are made safe for the terminal.
        source_pieces: S pieces of the source, one a column. They too.
        width: Columns of the terminal, at least 20.

    Returns:
        Lines of text, none wider than `width`; the legend is the last.

    Raises:
        InputError: The shape differs from the pieces, a weight is outside 0 to 1, or the width is too small.

    Example:
        >>> print(attention_table(np.array([[0.96, 0.04], [0.2, 0.8]]), ["▁le", "▁chat"], ["▁the", "▁cat"]))
              ▁the ▁cat
        ▁le   ████  ·
        ▁chat ░░░░ ████
        · below 5 %  ░ below 25 %  ▒ below 50 %  ▓ below 75 %  █ 75 % and more
    """
    check_attention(attention, target_pieces, source_pieces)
    if width < MIN_WIDTH:
        raise InputError(f"the width of the table must be at least {MIN_WIDTH} columns. Received: width={width}.")
    most = min(_MAX_PIECE_WIDTH, width // 2 - len(_GAP))
    rows = [_Label(piece, most) for piece in target_pieces]
    columns = [_Label(piece, most) for piece in source_pieces]
    margin = max((row.width for row in rows), default=0)
    shades = np.searchsorted(np.array(BOUNDS), attention, side="right")  # (T, S)
    lines = []
    for start, stop in _bands([column.width for column in columns], width - margin - len(_GAP)):
        band = columns[start:stop]
        lines.append(_line(" " * margin, [column.padded(column.width) for column in band]))
        for row, row_shades in zip(rows, shades, strict=True):
            cells = [_cell(shade, column.width) for shade, column in zip(row_shades[start:stop], band, strict=True)]
            lines.append(_line(row.padded(margin), cells))
        lines.append("")
    return "\n".join([*lines[:-1], *_legend(width)])


def check_attention(
    attention: npt.NDArray[np.floating], target_pieces: Sequence[str], source_pieces: Sequence[str]
) -> None:
    """Refuses attention that is not one weight from 0 to 1 for each target piece and source piece.

    Raises:
        InputError: It is not.
    """
    expected = (len(target_pieces), len(source_pieces))
    if np.shape(attention) != expected:
        raise InputError(
            "attention must have one row for each target piece and one column for each source piece, "
            f"here shape {expected}. Received: shape {np.shape(attention)}."
        )
    if attention.size and not (np.min(attention) >= 0 and np.max(attention) <= 1.001):  # a sum, rounded; NaN fails too
        raise InputError(
            "attention weights must lie between 0 and 1. "
            f"Received: from {np.min(attention)} to {np.max(attention)}. Give the weights, not their logarithms."
        )


class _Label:
    """A piece as the table shows it: inert, shortened to `most` columns of the terminal, at least two wide."""

    def __init__(self, piece: str, most: int) -> None:
        text = printable(piece)
        if cell_len(text) > most:
            text = set_cell_size(text, most - 1).rstrip() + "…"  # half of a wide character is a space
        self.width = max(_MIN_PIECE_WIDTH, cell_len(text))
        self._padding = cell_len(text)
        if any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text):
            # A terminal that lays out right-to-left text would run neighbouring columns together and reverse them.
            text = f"{_LEFT_TO_RIGHT_MARK}{text}{_LEFT_TO_RIGHT_MARK}"
        self._text = text

    def padded(self, width: int) -> str:
        return self._text + " " * (width - self._padding)


def _bands(widths: Sequence[int], available: int) -> Iterator[tuple[int, int]]:
    """Yields (start, stop) of runs of columns that fit the available width, each with the gap to the next."""
    start, used = 0, 0
    for column, width in enumerate(widths):
        if used + width > available:
            yield start, column
            start, used = column, 0
        used += width + len(_GAP)
    if widths:
        yield start, len(widths)


def _cell(shade: int, width: int) -> str:
    """Fills a cell with its shade; the faintest is one dot, so that the others stand out."""
    return SHADES[shade] * width if shade else SHADES[0].center(width)


def _line(margin: str, cells: Sequence[str]) -> str:
    return _GAP.join([margin, *cells]).rstrip()


def _legend(width: int) -> list[str]:
    lines = [""]
    for shade, meaning in zip(SHADES, _MEANINGS, strict=True):
        entry = f"{shade} {meaning}"
        if len(lines[-1]) + 2 + len(entry) > width:
            lines.append("")
        lines[-1] += f"  {entry}" if lines[-1] else entry
    return lines
