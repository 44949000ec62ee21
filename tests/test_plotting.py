"""Plots are PNG files of what was given, written whole, with labels that are drawn as they stand."""

import logging
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest

from nmt import plotting
from nmt.errors import FileError, InputError
from nmt.plotting import plot_attention, plot_learning_curves

mpl = pytest.importorskip("matplotlib")

RECORDS = [
    {"epoch": 1, "updates": 10, "loss": 5.0, "learning_rate": 1e-3, "validation_loss": 4.0, "tokens_per_second": 900.0},
    {"epoch": 2, "updates": 20, "loss": 4.0, "learning_rate": 2e-3, "validation_loss": 3.0, "bleu": 11.0},
    {"epoch": 3, "updates": 30, "loss": 3.0, "learning_rate": 1e-3, "validation_loss": 3.5, "bleu": None},
    {"epoch": 4, "updates": 40, "loss": 2.0, "learning_rate": 5e-4, "validation_loss": 3.2, "bleu": 9.0},
]


@pytest.fixture
def drawn(monkeypatch):
    """Returns a list that receives each figure before it is written."""
    figures = []
    write = plotting._write
    monkeypatch.setattr(plotting, "_write", lambda path, figure: (figures.append(figure), write(path, figure)))
    return figures


def read_image(path):
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    from matplotlib.image import imread

    return imread(path)[:, :, :3]  # (height, width, 3) from 0 to 1


def test_attention_is_drawn_where_it_lies(tmp_path):
    # All attention of row 0 on column 1, of row 1 on column 0: dark cells on the rising diagonal of the map.
    plot_attention(tmp_path / "map.png", np.array([[0.0, 1.0], [1.0, 0.0]]), ["Hund", "</s>"], ["the", "dog"])

    image = read_image(tmp_path / "map.png")
    dark = (image.sum(axis=2) < 0.75) & (image[:, :, 2] > 0.3)  # the darkest blue of the colour map
    dark = dark[:, : image.shape[1] * 3 // 4]  # without the colour bar
    rows, columns = np.nonzero(dark)
    middle_row, middle_column = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
    upper = dark[rows.min() : middle_row, columns.min() : columns.max()].mean(axis=0)
    assert upper[middle_column - columns.min() + 5 :].mean() > 0.9
    assert upper[: middle_column - columns.min() - 5].mean() < 0.1
    lower = dark[middle_row + 5 : rows.max(), columns.min() : middle_column - 5]
    assert lower.mean() > 0.9


def test_pieces_stand_at_their_rows_and_columns(tmp_path, drawn):
    plot_attention(tmp_path / "map.png", np.full((2, 3), 1 / 3), ["▁Zwei", "</s>"], ["▁Two", "s", "</s>"])

    axes = drawn[0].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["▁Two", "s", "</s>"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["▁Zwei", "</s>"]
    assert axes.yaxis_inverted()  # the first row is on top


def test_labels_are_text_and_neither_mathematics_nor_commands(tmp_path, drawn):
    pieces = [r"$\frac$", "$x^2$", "a_{", r"\undefined", "\x1b[31m\n", "%&#~^"]

    plot_attention(tmp_path / "map.png", np.eye(6), pieces, pieces)

    labels = drawn[0].axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == [*pieces[:4], r"\x1b[31m\x0a", pieces[5]]
    assert not any(label.get_parse_math() or label.get_usetex() for label in labels)


def test_a_long_piece_does_not_fill_the_picture(tmp_path, drawn):
    plot_attention(tmp_path / "map.png", np.eye(1), ["x" * 100_000], ["\u202e" * 10_000])

    assert [label.get_text() for label in drawn[0].axes[0].get_yticklabels()] == ["x" * 23 + "…"]
    assert max(read_image(tmp_path / "map.png").shape) < 2000


def test_a_long_sentence_fits_in_a_bounded_picture(tmp_path):
    plot_attention(tmp_path / "map.png", np.full((1, 150), 1 / 150), ["a"], ["▁piece"] * 150)

    assert read_image(tmp_path / "map.png").shape[1] <= 6000


def test_a_character_no_font_has_is_drawn_as_a_box_and_logged(tmp_path, drawn, caplog, monkeypatch):
    from matplotlib import font_manager

    bundled = [entry for entry in font_manager.fontManager.ttflist if entry.fname.startswith(mpl.get_data_path())]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", bundled)

    with caplog.at_level(logging.WARNING):
        plot_attention(tmp_path / "map.png", np.eye(2), ["中", "▁Straße"], ["文b", "ش"])

    axes = drawn[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["□", "▁Straße"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["□b", "ش"]
    [message] = caplog.messages
    assert "2 of the characters in the plot, drawn as □: 中 文" in message


def test_a_character_is_drawn_with_an_installed_font_that_has_it(tmp_path, drawn, caplog, monkeypatch):
    from matplotlib import font_manager

    watch = "\u231a"  # in STIX, not in the default font; a copy outside matplotlib stands for an installed font
    shutil.copy(f"{mpl.get_data_path()}/fonts/ttf/STIXGeneral.ttf", tmp_path / "installed.ttf")
    installed = font_manager.ttfFontProperty(font_manager.get_font(tmp_path / "installed.ttf"))
    missing = font_manager.FontEntry(fname=str(tmp_path / "removed.ttf"), name="A removed font", style="normal")
    others = [entry for entry in font_manager.fontManager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [missing, installed, *others])

    with caplog.at_level(logging.WARNING):
        plot_attention(tmp_path / "map.png", np.eye(1), [watch], ["a"])

    [label] = drawn[0].axes[0].get_yticklabels()
    assert label.get_text() == watch
    assert label.get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]
    assert not caplog.messages


def test_the_person_s_settings_neither_matter_nor_change(tmp_path):
    plot_learning_curves(tmp_path / "plain.png", RECORDS)
    hostile = {"text.usetex": True, "font.family": ["no such font"], "figure.facecolor": "red", "savefig.dpi": 10}

    with mpl.rc_context(hostile):
        before = dict(mpl.rcParams)
        plot_learning_curves(tmp_path / "hostile.png", RECORDS)
        assert dict(mpl.rcParams) == before

    np.testing.assert_array_equal(read_image(tmp_path / "hostile.png"), read_image(tmp_path / "plain.png"))


def test_nothing_of_matplotlib_is_loaded_before_a_plot_and_no_pyplot_ever(tmp_path):
    program = (
        "import sys, nmt.plotting as plotting\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plotting.plot_learning_curves(sys.argv[1], [{'epoch': 1, 'loss': 2.0}])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "curves.png"], check=True)

    read_image(tmp_path / "curves.png")


def test_curves_hold_the_values_that_were_given(tmp_path, drawn):
    plot_learning_curves(tmp_path / "curves.png", RECORDS)

    loss, bleu, rate = drawn[0].axes
    curves = {line.get_label(): line.get_xydata().tolist() for line in loss.lines}
    assert curves["training"] == [[1, 5], [2, 4], [3, 3], [4, 2]]
    assert curves["dev"] == [[1, 4], [2, 3], [3, 3.5], [4, 3.2]]
    assert bleu.lines[0].get_xydata().tolist() == [[2, 11], [4, 9]]
    assert rate.lines[0].get_xydata().tolist() == [[1, 1e-3], [2, 2e-3], [3, 1e-3], [4, 5e-4]]
    titles = [(axes.get_title(loc="left"), axes.get_title(loc="right")) for axes in drawn[0].axes]
    assert titles == [
        ("loss", "lowest 3 in epoch 2"),
        ("BLEU on the dev text", "highest 11 in epoch 2"),
        ("learning rate", ""),
    ]
    assert rate.get_xlabel() == "epoch"


def test_a_loss_that_is_not_finite_breaks_the_line(tmp_path, drawn):
    records = [
        {"epoch": 1, "loss": 1.0, "validation_loss": 2.0, "chrf": math.nan},
        {"epoch": 2, "loss": math.inf, "validation_loss": math.nan},
        {"epoch": 3, "loss": 3, "validation_loss": 2.5},
    ]
    plot_learning_curves(tmp_path / "curves.png", records)

    [axes] = drawn[0].axes  # chrF2 has no finite value, so no panel
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1, np.nan, 3])
    assert axes.get_title(loc="right") == "lowest 2 in epoch 1"


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "nothing to draw.*Received: 0 records"),
        ([{"epoch": 1, "tokens_per_second": 5.0}], "nothing to draw.*Received: 1 records"),
        ([{"epoch": 1, "loss": math.nan}], "nothing to draw"),
        ([{"epoch": 1, "loss": 1.0}, {"loss": 1.0}], "record 2 of the metrics must have an epoch"),
        ([{"epoch": math.nan, "loss": 1.0}], "record 1 of the metrics must have an epoch"),
        ([{"epoch": 1, "loss": "1.0"}], "record 1 of the metrics: loss must be a number or null. Received: '1.0'"),
        ([{"epoch": True, "loss": 1.0}], "epoch must be a number"),
    ],
)
def test_metrics_that_can_t_be_drawn_are_refused(tmp_path, records, message):
    with pytest.raises(InputError, match=message):
        plot_learning_curves(tmp_path / "curves.png", records)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("attention", "target", "source", "message"),
    [
        (np.ones((2, 2)), ["a"], ["b", "c"], r"here shape \(1, 2\). Received: shape \(2, 2\)"),
        (np.array([[-3.0]]), ["a"], ["b"], "between 0 and 1"),
        (np.zeros((0, 1)), [], ["b"], "Received: 1 source pieces, 0 target pieces"),
        (np.zeros((1, 0)), ["b"], [], "Received: 0 source pieces, 1 target pieces"),
    ],
)
def test_attention_that_can_t_be_drawn_is_refused(tmp_path, attention, target, source, message):
    with pytest.raises(InputError, match=message):
        plot_attention(tmp_path / "map.png", attention, target, source)

    assert not list(tmp_path.iterdir())


def test_another_kind_of_file_is_refused(tmp_path):
    for name in ("curves.pdf", "curves", "png"):
        with pytest.raises(InputError, match=r"ends in `\.png`"):
            plot_learning_curves(tmp_path / name, RECORDS)


def test_without_matplotlib_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(InputError, match=r"pip install 'nmt\[plots\]'"):
        plot_learning_curves(tmp_path / "curves.png", RECORDS)


def test_a_file_that_can_t_be_written_leaves_nothing_behind(tmp_path):
    with pytest.raises(FileError, match="nowhere"):
        plot_learning_curves(tmp_path / "nowhere" / "curves.png", RECORDS)
    assert not list(tmp_path.iterdir())


def test_more_pieces_than_can_be_read_are_refused(tmp_path):
    # Ten thousand took minutes.
    with pytest.raises(InputError) as caught:
        plot_attention(tmp_path / "map.png", np.full((2, 301), 1 / 301), ["a"] * 2, ["b"] * 301)
    assert str(caught.value) == (
        "a heat map has at most 300 pieces a side. Received: 301 source pieces, 2 target pieces. Give a shorter line."
    )
    assert not (tmp_path / "map.png").exists()


@pytest.mark.parametrize("value", [1e308, -1e308, 10**400])
def test_numbers_beyond_what_can_be_drawn_are_gaps(tmp_path, drawn, value):
    # They ended in an overflow within matplotlib.
    plot_learning_curves(tmp_path / "curves.png", [{"epoch": 1, "loss": value}, *RECORDS[1:]])

    values = drawn[0].axes[0].get_lines()[0].get_ydata()
    assert math.isnan(values[0])
    assert list(values[1:]) == [4.0, 3.0, 2.0]
