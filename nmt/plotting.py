r"""Pictures of a model: the attention of one translation, and the learning curves of a run, as PNG files.

Labels hold what users and corpora wrote, so they are inert: no mathematics between dollar signs, no LaTeX, no control
characters. A character that the default font lacks is drawn with an installed font that has it, or else as `□`, and the
log says so. Nothing global is left behind: no pyplot, no window, the person's matplotlib settings as they were. This
module knows plain values, nothing of models or runs.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nmt import files
from nmt.attention_table import check_attention
from nmt.errors import InputError
from nmt.terminal import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOGGER = logging.getLogger(__name__)
_FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine
_MISSING = "□"
_INK, _GRID = "#333333", "#dddddd"
_BLUE, _ORANGE = "#2a6f97", "#d1602b"
_DOTS_PER_INCH = 150
_MAX_INCHES = 40.0
_MAX_LABEL_LENGTH = 24
_MAX_VALUE = 1e100  # matplotlib reckons with ten times the range of what it draws, and what is beyond overflows
_MAX_PIECES = 300  # a side: the labels of more could not be read, and would take minutes to lay out


class _Panel(NamedTuple):
    title: str
    training_key: str  # empty: no such curve
    dev_key: str
    best: str = ""  # of the dev curve: lowest or highest


_PANELS = (
    _Panel("loss", "loss", "validation_loss", "lowest"),
    _Panel("BLEU on the dev text", "", "bleu", "highest"),
    _Panel("chrF2 on the dev text", "", "chrf", "highest"),
    _Panel("learning rate", "learning_rate", ""),
)
_KEYS = tuple(key for panel in _PANELS for key in (panel.training_key, panel.dev_key) if key)
_Curve = tuple[list[float], list[float]]  # epochs and values


def plot_attention(
    path: str | Path,
    attention: npt.NDArray[np.floating],
    target_pieces: Sequence[str],
    source_pieces: Sequence[str],
) -> None:
    """Draws the attention of one translation as a heat map and writes it whole or not at all.

    Args:
        path: PNG file to write; an old one is replaced.
        attention: (T, S) weights from 0 to 1.
        target_pieces: T pieces of the translation, from top to bottom.
        source_pieces: S pieces of the source, from left to right.

    Raises:
        InputError: The shape differs from the pieces, there are none or more than 300 a side, a weight is outside 0
            to 1, the file is no `.png`, or matplotlib is not installed.
        FileError: The file can't be written.
    """
    path = _checked(path)
    check_attention(attention, target_pieces, source_pieces)
    num_rows, num_columns = len(target_pieces), len(source_pieces)
    if not num_rows or not num_columns:
        raise InputError(
            "a heat map needs a piece of the source and one of the target. "
            f"Received: {num_columns} source pieces, {num_rows} target pieces. Translate a line that is not blank."
        )
    if max(num_rows, num_columns) > _MAX_PIECES:
        raise InputError(
            f"a heat map has at most {_MAX_PIECES} pieces a side. "
            f"Received: {num_columns:,} source pieces, {num_rows:,} target pieces. Give a shorter line."
        )
    with _drawing([*target_pieces, *source_pieces]) as labels:
        from matplotlib.figure import Figure  # heavy: see `_drawing`

        cell = min(0.34, (_MAX_INCHES - 4) / max(num_rows, num_columns))  # inches
        label_size = min(9.0, cell * 72 * 0.6)  # points, 72 an inch
        label_length = max(map(len, labels)) * label_size / 72 * 0.65  # inches, about
        width, height = num_columns * cell + label_length + 1.2, num_rows * cell + label_length + 0.4
        figure = Figure(figsize=(max(3.0, width), max(2.0, height)))
        axes = figure.subplots()
        image = axes.imshow(attention, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(num_columns), labels[num_rows:], rotation=60, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(num_rows), labels[:num_rows])
        axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, labelsize=label_size, length=2)
        axes.set_xticks(np.arange(1, num_columns) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, num_rows) - 0.5, minor=True)
        axes.grid(which="minor", color=_GRID, linewidth=0.4)
        axes.tick_params(which="minor", length=0)
        bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 3 / height), aspect=14, pad=0.03, ticks=[0, 0.5, 1])
        bar.set_label("attention")
        bar.outline.set_visible(False)
        _write(path, figure)


def plot_learning_curves(path: str | Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Draws how a run went, over its epochs, and writes the picture whole or not at all.

    Loss, BLEU, chrF2 and learning rate have a panel each, where any record has them; the best on the dev text is
    marked. A line passes over epochs whose value is missing or null, and breaks where it is not finite or beyond 1e100.

    Args:
        path: PNG file to write; an old one is replaced.
        records: One mapping for each epoch, as the lines of `metrics.jsonl`: `epoch`, and any of `loss`,
            `validation_loss`, `bleu`, `chrf`, `learning_rate`. Other keys are of no account here.

    Raises:
        InputError: There is nothing to draw, a record has no epoch or a value that is no number, the file is no
            `.png`, or matplotlib is not installed.
        FileError: The file can't be written.
    """
    path = _checked(path)
    curves = _curves(records)
    panels = [panel for panel in _PANELS if panel.training_key in curves or panel.dev_key in curves]
    with _drawing([]):
        from matplotlib.figure import Figure  # heavy: see `_drawing`
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(7.0, 0.5 + 2.1 * len(panels)))
        all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, panel in zip(all_axes, panels, strict=True):
            _draw_panel(axes, panel, curves)
        all_axes[-1].set_xlabel("epoch")
        all_axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        _write(path, figure)


def _draw_panel(axes: Axes, panel: _Panel, curves: Mapping[str, _Curve]) -> None:
    for key, name, colour in ((panel.training_key, "training", _BLUE), (panel.dev_key, "dev", _ORANGE)):
        if key in curves:
            axes.plot(*curves[key], color=colour, marker="o", markersize=3, linewidth=1.5, label=name)
    if panel.training_key in curves and panel.dev_key in curves:
        axes.legend(frameon=False)
    if panel.dev_key in curves:
        epochs, values = curves[panel.dev_key]
        index = int(np.nanargmin(values) if panel.best == "lowest" else np.nanargmax(values))
        axes.plot(epochs[index], values[index], "o", markersize=8, markerfacecolor="none", markeredgecolor=_ORANGE)
        best = f"{panel.best} {values[index]:.4g} in epoch {epochs[index]:g}"
        axes.set_title(best, loc="right", fontsize=9, color=_ORANGE)
    if panel.training_key == "learning_rate":
        axes.set_ylim(bottom=0)
    axes.set_title(panel.title, loc="left", fontsize=10)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _curves(records: Sequence[Mapping[str, Any]]) -> dict[str, _Curve]:
    """Returns the curve of each key that has a finite value somewhere; what is not finite is NaN in it."""
    curves: dict[str, _Curve] = {}
    for number, record in enumerate(records, start=1):
        epoch = _number(record, "epoch", number)
        if epoch is None or math.isnan(epoch):
            raise InputError(f"record {number} of the metrics must have an epoch. Received: {dict(record)!r:.200}")
        for key in _KEYS:
            value = _number(record, key, number)
            if value is not None:
                epochs, values = curves.setdefault(key, ([], []))
                epochs.append(epoch)
                values.append(value)
    finite = {key: curve for key, curve in curves.items() if not all(map(math.isnan, curve[1]))}
    if not finite:
        raise InputError(
            f"the metrics hold nothing to draw, of {', '.join(_KEYS)}. Received: {len(records)} records. "
            "Wait for the end of the first epoch, or check that these are the metrics of a run."
        )
    return finite


def _number(record: Mapping[str, Any], key: str, number: int) -> float | None:
    value = record.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"record {number} of the metrics: {key} must be a number or null. Received: {value!r:.200}")
    return float(value) if -_MAX_VALUE < value < _MAX_VALUE else math.nan


def _checked(path: str | Path) -> Path:
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"{path}: a plot is written as PNG. Give a file name that ends in `.png`.")
    return Path(path)


@contextlib.contextmanager
def _drawing(labels: Sequence[str]) -> Iterator[list[str]]:
    """Sets what makes labels inert while figures are made and drawn; yields the labels, made drawable."""
    try:
        import matplotlib as mpl  # heavy, and only installed with `nmt[plots]`
    except ImportError:
        raise InputError(
            "plots need matplotlib, which is not installed. Install it: pip install 'nmt[plots]'"
        ) from None
    drawable, families = _drawable([_shortened(printable(label)) for label in labels])
    settings = {
        "text.usetex": False,
        "text.parse_math": False,
        "font.family": families,
        "font.size": 9,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": "#888888",
        "xtick.color": _INK,
        "ytick.color": _INK,
        "figure.constrained_layout.use": True,
        "savefig.dpi": _DOTS_PER_INCH,
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield drawable


def _shortened(label: str) -> str:
    return label if len(label) <= _MAX_LABEL_LENGTH else label[: _MAX_LABEL_LENGTH - 1] + "…"


def _drawable(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the labels with what no font can draw as `□`, and the families of the fonts that draw them."""
    from matplotlib import font_manager  # heavy: see `_drawing`

    default = font_manager.get_font(font_manager.findfont(_FONT))
    wanted = {ord(character) for label in labels for character in label if not default.get_char_index(ord(character))}
    families = [_FONT]
    for family, characters in _other_fonts(wanted):
        if characters:
            families.append(family)
            wanted -= characters
    if wanted:
        shown = " ".join(chr(character) for character in sorted(wanted)[:20])
        _LOGGER.warning(
            "no installed font has %d of the characters in the plot, drawn as %s: %s. "
            "Install one that does, such as Noto Sans.",
            len(wanted), _MISSING, printable(shown),
        )  # fmt: skip
    missing = dict.fromkeys(wanted, _MISSING)
    return [label.translate(missing) for label in labels], families


def _other_fonts(wanted: set[int]) -> Iterator[tuple[str, set[int]]]:
    """Yields installed families, each with the wanted characters that it can draw, until none is wanted."""
    from matplotlib import font_manager, get_data_path  # heavy: see `_drawing`

    entries = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist if entry.style == "normal"}
    for family, path in sorted(entries.items()):
        if not wanted:
            return
        if path.startswith(get_data_path()):  # matplotlib's own others hold mathematics, and boxes for everything
            continue
        try:
            font = font_manager.get_font(path)
        except (OSError, RuntimeError):  # removed or broken since matplotlib listed it
            continue
        yield family, {character for character in wanted if font.get_char_index(character)}


def _write(path: Path, figure: Figure) -> None:
    data = io.BytesIO()
    figure.savefig(data, format="png")
    files.write_bytes(path, data.getvalue())
