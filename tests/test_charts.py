"""Charts: what they accept and refuse, whether the numbers shown are those given, and whether all
text lies on the page without overlapping.
"""

import base64
import io
from collections.abc import Iterator
from itertools import combinations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image
from torch.overrides import TorchFunctionMode

from sdlearn import viz
from sdlearn.viz.charts import spread
from sdlearn.viz.values import format_number, format_short, to_numbers

CURVE = {"x": [0, 1, 2], "series": {"a": [1, 2, 4]}, "xlabel": "t", "ylabel": "loss"}
LABELS = {"rows": ["a", "b"], "columns": ["c", "d"]}


def curves(**changes) -> Figure:
    return viz.curves(**CURVE | changes)


def many_curves(count: int, **changes) -> Figure:
    """Curves that end close to each other, so that their names must be moved apart."""
    series = {f"curve number {i}": [i, 5 + i / 20] for i in range(count)}
    return curves(x=[0, 1], series=series, **changes)


def matrix(values=((0.1, 0.9), (0.5, -0.2)), **changes) -> Figure:
    return viz.matrix(values, **LABELS | changes)


def picture(size: int = 64, value: float = 0.5) -> torch.Tensor:
    return torch.full((3, size, size), value)


def png_of(figure: Figure) -> tuple[np.ndarray, str]:
    """The pixels that a notebook shows of a figure, and its alternative text."""
    data, metadata = figure._repr_mimebundle_()
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
        return np.asarray(image.convert("RGB")), metadata["image/png"]["alt"]


def texts_of(figure: Figure) -> list[Text]:
    """Everything that is written on a page and seen there."""
    figure.draw_without_rendering()
    unseen = set(hidden(figure))
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text() and t not in unseen]


def box_of(text: Text) -> Bbox:
    """Where a text lies, without the line that leads to it."""
    return Text.get_window_extent(text)


def hidden(figure: Figure) -> Iterator[Text]:
    """Numbers of ticks that exist but are not drawn: beyond their axis, or of axes without any."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not ax.axison or not low <= tick.get_loc() <= high:
                    yield tick.label1


def written(figure: Figure) -> list[str]:
    return [text.get_text() for text in texts_of(figure)]


FIGURES = {
    "curves": curves(title="the loss", limits=(0, 5)),
    "seven curves": many_curves(7),
    "logarithms": curves(x=[1, 10, 1000], log="xy", series={"": [1, 0.01, 0.0001]}),
    "marks": curves(x=range(1000), series={"a": range(1000)}, marks={"almost": 980, "last": 999}),
    "a long mark": curves(series={"": [1, 2, 3]}, marks={"the end of it all, as they say": 2}),
    "a long title": curves(title="a title that is far too long for one line " * 3, size=(560, 340)),
    "early end": curves(x={"a": [0, 1, 9], "b": [0, 1]}, series={"a": [1, 2, 3], "b": [3, 3]}),
    "bars": viz.bars({"text encoder": 123060480, "U-Net": 859520964}, xlabel="parameters"),
    "bars below 0": viz.bars({"up": 0.5, "down": -0.25}, xlabel="change", marks={"old": 0.1}),
    "long bars": viz.bars({"without the skip connections at 16 by 16": 1.5, "b": 2}, xlabel="x"),
    "matrix": matrix(title="similarity"),
    "images": matrix(rows=None, row_images=[picture()] * 2, column_images=[picture()] * 2),
    "long names": matrix(
        rows=["a large red house on the left, on green grass, at sunset " * 2] * 2
    ),
    "many": matrix(np.eye(16), rows=range(16), columns=[f"lighthouse {i}" for i in range(16)]),
    "no numbers": matrix(np.eye(30), rows=range(30), columns=range(30), digits=None),
    "heatmap": viz.heatmap(np.eye(8), titles=["an error"]),
    "heat without titles": viz.heatmap(np.stack([np.eye(8)] * 3) / 300),
    "heat over images": viz.heatmap(np.stack([np.eye(8)] * 9), picture(), titles=range(9)),
}


@pytest.fixture(params=FIGURES.values(), ids=FIGURES)
def figure(request) -> Figure:
    return request.param


# What holds for all of them


def test_all_text_lies_on_the_page(figure: Figure):
    page = figure.bbox
    for text in texts_of(figure):
        box = text.get_window_extent()
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= page.x1, text
        assert box.y1 <= page.y1, text


def test_no_text_lies_on_another(figure: Figure):
    boxes = [(text, box_of(text)) for text in texts_of(figure)]
    for (one, a), (other, b) in combinations(boxes, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        up = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(across, up) <= 2, (one, other)  # stored pixels, half of a screen's


def test_text_is_large_enough_to_be_projected(figure: Figure):
    assert min(text.get_fontsize() for text in texts_of(figure)) >= 9


def test_a_page_is_one_png_that_fits_a_notebook(figure: Figure):
    page, alt = png_of(figure)
    assert page.shape[1] <= 2 * 840
    assert page[0, 0].tolist() == [255, 255, 255]
    assert len(alt) >= 10


def test_charts_are_stored_with_a_palette_that_nobody_sees():
    figure = many_curves(7, title="seven colours", marks={"a mark": 0.5})
    page, _ = png_of(figure)
    data, _ = figure._repr_mimebundle_()
    small = len(data["image/png"])
    figure.colours = None
    exact, _ = png_of(figure)
    assert len(figure._repr_mimebundle_()[0]["image/png"]) > 2 * small
    difference = np.abs(page.astype(float) - exact)
    assert difference.mean() < 0.1
    assert difference.max() < 64


def test_nothing_is_left_open_and_no_setting_is_changed(tmp_path):
    matplotlib.get_backend()  # chooses one, which is a setting
    before = matplotlib.rcParams.copy()
    for figure in (curves(), viz.bars({"a": 1}, xlabel="x"), matrix(), viz.heatmap(np.eye(4))):
        figure.savefig(tmp_path / "page.png")
    assert plt.get_fignums() == []
    assert matplotlib.rcParams == before


def test_a_learners_own_style_leaves_charts_readable():
    pages = [png_of(curves(marks={"m": 1}))[0], png_of(viz.bars({"a": 1}, xlabel="x"))[0]]
    with plt.style.context("dark_background"):
        dark = [png_of(curves(marks={"m": 1}))[0], png_of(viz.bars({"a": 1}, xlabel="x"))[0]]
    for page, other in zip(pages, dark, strict=True):
        assert page.shape == other.shape
        assert np.abs(page.astype(float) - other).mean() < 1


def test_money_in_a_text_is_no_formula():
    money = "for $\\frac$"
    figure = curves(series={money: [1, 2, 3]}, xlabel=money, title=money, marks={money: 1})
    assert written(figure).count(money) == 4
    assert written(viz.bars({money: 1}, xlabel=money)).count(money) == 2


# Curves


def test_curves_show_the_numbers_they_are_given():
    series = {"a": torch.tensor([1.0, 2.0, 4.0], requires_grad=True), "b": np.array([3, 2, 1])}
    ax = curves(x=range(3), series=series).axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["a"].get_xdata().tolist() == [0, 1, 2]
    assert lines["a"].get_ydata().tolist() == [1, 2, 4]
    assert lines["b"].get_ydata().tolist() == [3, 2, 1]


def test_curves_may_have_numbers_of_their_own_on_x():
    ax = curves(x={"a": [0, 1], "b": [0, 2, 5]}, series={"b": [1, 2, 3], "a": [3, 4]}).axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["a"].get_xdata().tolist() == [0, 1]
    assert lines["b"].get_xdata().tolist() == [0, 2, 5]


def test_curves_differ_in_colour_and_in_more_than_colour():
    lines = [line for line in many_curves(7).axes[0].lines if len(line.get_xdata()) == 2][:7]
    assert len({line.get_color() for line in lines}) == 7
    assert len({line.get_marker() for line in lines}) == 7
    assert len({str(line._unscaled_dash_pattern) for line in lines[:4]}) == 4


def test_a_name_stands_beside_the_end_of_its_curve():
    figure = curves(series={"low": [5, 1, 1], "high": [0, 2, 4]})
    boxes = {text.get_text(): box_of(text) for text in texts_of(figure)}
    ax = figure.axes[0]
    for name, end in {"low": 1, "high": 4}.items():
        x, y = ax.transData.transform((2, end))
        assert boxes[name].x0 > x
        assert abs(boxes[name].y0 + boxes[name].height / 2 - y) < 20


def test_a_curve_that_ends_early_is_not_carried_on_in_its_colour():
    ax = FIGURES["early end"].axes[0]
    [early] = [line for line in ax.lines if line.get_label() == "b"]
    [beyond] = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert beyond.get_color() != early.get_color()
    assert beyond.get_transform() == ax.transAxes
    assert beyond.get_xdata()[1] == 1
    [leader] = [text.arrow_patch for text in ax.texts if text.get_text() == "b"]
    assert leader.get_edgecolor() == matplotlib.colors.to_rgba(early.get_color())
    assert leader.get_window_extent().x0 >= ax.bbox.x1 - 1


def test_marks_stand_where_they_are_said_to():
    figure = curves(marks={"half": 1.5})
    [mark] = [line for line in figure.axes[0].lines if line.get_label() == "half"]
    assert set(mark.get_xdata()) == {1.5}
    [name] = [text for text in texts_of(figure) if text.get_text() == "half"]
    assert name.get_window_extent().y0 >= figure.axes[0].get_window_extent().y1


def test_limits_and_logarithms_are_kept():
    ax = curves(limits=(-1, 10)).axes[0]
    assert ax.get_ylim() == (-1, 10)
    ax = curves(x=[1, 10, 100], log="x").axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")


def test_an_axes_of_ones_own_gets_a_legend_and_stays_in_its_place():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    before = left.get_position().bounds
    names = {"a": [1, 2, 3], "b": [3, 2, 1]}
    assert curves(series=names, marks={"m": 1}, title="mine", ax=left) is figure
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["a", "b", "m"]
    assert left.get_title() == "mine"
    assert left.get_position().bounds == before
    assert viz.bars({"a": 1}, xlabel="x", ax=right) is figure
    money = "$\\frac$"
    png = curves(series={money: [1, 2, 3], "b": [1, 2, 3]}, ax=Figure().add_subplot())
    png.draw_without_rendering()


def test_numbers_that_come_one_by_one_are_those_of_all_curves():
    series = {"a": [1, 2, 3], "b": [3, 2, 1]}
    figure = viz.curves((i for i in range(3)), series, xlabel="x", ylabel="y")
    assert [line.get_xdata().tolist() for line in figure.axes[0].lines[:2]] == [[0, 1, 2]] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"series": {}}, "series must map 1 to 7 names to numbers; got 0"),
        ({"series": {str(i): [1, 2, 3] for i in range(8)}}, "got 8"),
        ({"series": [1, 2, 3]}, "series must map .*; got list"),
        (
            {"series": {"a": [1, 2]}},
            r"series\['a'\] must have one number for each of 3 in x; got 2",
        ),
        ({"series": {"a": [1, float("nan"), 2]}}, r"series\['a'\] must hold finite .*; got nan"),
        ({"series": {"a": [1, "b", 2]}}, r"series\['a'\] must hold numbers of one shape"),
        ({"series": {"a": "abc"}}, r"series\['a'\] must hold numbers; got 'abc'"),
        ({"series": {"a": [[1, 2, 3]]}}, r"must have 1 dimensions, .*; got shape \(1, 3\)"),
        ({"x": []}, r"x must have 1 dimensions, none of them empty; got shape \(0,\)"),
        ({"x": {"b": [0, 1, 2]}}, r"x must have the names of series, \['a'\]; got \['b'\]"),
        ({"log": "z"}, "log must be one of '', 'x', 'y', 'xy'; got 'z'"),
        ({"log": "x"}, "log='x' needs numbers above 0 on x; got 0"),
        ({"log": "y", "limits": (-1, 2)}, "log='y' needs numbers above 0 on y; got −1"),
        ({"limits": (2, 1)}, r"limits must be a pair \(low, high\) .*; got \(2, 1\)"),
        ({"x": 5}, "x must have 1 dimensions"),
        ({"limits": 3}, "limits must have 1 dimensions"),
        ({"marks": {"m": float("inf")}}, r"marks\['m'\] must hold finite numbers only; got inf"),
        ({"marks": [3]}, r"marks must map names to numbers; got \[3\]"),
        ({"size": (90, 60)}, r"size must leave room for a chart .*; got \(90, 60\)"),
    ],
)
def test_curves_that_cannot_be_drawn_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        curves(**changes)


@pytest.mark.parametrize(
    ("changes", "alt"),
    [
        ({}, "loss against t. a: 1 at 0, 4 at 2."),
        ({"series": {"a": [1, 9, 2]}}, "loss against t. a: 1 at 0, 2 at 2, highest 9 at 1."),
        ({"series": {"": [4, 1, 3]}}, "loss against t. The curve: 4 at 0, 3 at 2, lowest 1 at 1."),
        ({"x": [9, 5, 1]}, "loss against t. a: 4 at 1, 1 at 9."),
        ({"marks": {"m": 1}}, "loss against t. a: 1 at 0, 4 at 2. Marked: m at 1."),
        ({"alt": "it rises"}, "it rises"),
    ],
)
def test_alternative_texts_of_curves(changes, alt):
    assert png_of(curves(**changes))[1] == alt


# Bars


def test_bars_are_as_long_as_their_numbers_and_in_order():
    figure = viz.bars({"b": 2, "a": -1.5, "c": 0}, xlabel="x")
    ax = figure.axes[0]
    assert [bar.get_width() for bar in ax.patches] == [2, -1.5, 0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a", "c"]
    assert {"2", "−1.5", "0"} <= set(written(figure))
    heights = [label.get_window_extent().y0 for label in ax.get_yticklabels()]
    assert heights == sorted(heights, reverse=True)


def test_long_names_of_bars_are_wrapped_and_leave_room_for_the_bars():
    ax = viz.bars({"a name which goes on and on and on and on": 1}, xlabel="x").axes[0]
    assert ax.get_position().width > 0.5
    assert "\n" in ax.get_yticklabels()[0].get_text()


@pytest.mark.parametrize(
    ("values", "marks", "limits"),
    [
        ({"a": 2, "b": 1}, {}, (0, 2)),
        ({"a": -2}, {}, (-2, 0)),
        ({"a": 2}, {"m": 3}, (0, 3)),
        ({"a": 0}, {}, (0, 1)),
    ],
)
def test_bars_begin_at_0_and_every_mark_is_seen(values, marks, limits):
    assert viz.bars(values, xlabel="x", marks=marks).axes[0].get_xlim() == limits


@pytest.mark.parametrize(
    ("values", "changes", "message"),
    [
        ({}, {}, "values must map at least one name to a number; got {}"),
        ([1, 2], {}, r"values must map .*; got \[1, 2\]"),
        ({"a": float("nan")}, {}, r"values\['a'\] must hold finite numbers only; got nan"),
        ({"a": [1, 2]}, {}, r"values\['a'\] must have 0 dimensions"),
        ({"a": 2}, {"limits": (0, 1)}, r"limits must hold 0, all .*; got \(0.0, 1.0\)"),
        ({"a": 2}, {"limits": (1, 3)}, r"got \(1.0, 3.0\)"),
        ({"a": 2}, {"limits": (0, 3), "marks": {"m": 4}}, "and all marks"),
    ],
)
def test_bars_that_cannot_be_drawn_are_refused(values, changes, message):
    with pytest.raises(ValueError, match=message):
        viz.bars(values, xlabel="x", **changes)


def test_the_alternative_text_of_bars_lists_them():
    figure = viz.bars({"U-Net": 859520964, "VAE": 0.5}, xlabel="parameters", marks={"m": 1})
    assert png_of(figure)[1] == "parameters. U-Net: 859,520,964; VAE: 0.5. Marked: m at 1."


# Tables


def test_a_matrix_shows_every_number_where_it_belongs():
    figure = matrix([[0.123, -0.5], [1, 2]], digits=1)
    cells = [t for t in texts_of(figure) if t.get_text() in ("0.1", "−0.5", "1.0", "2.0")]
    boxes = {t.get_text(): t.get_window_extent() for t in cells}
    assert boxes["0.1"].x1 < boxes["−0.5"].x0
    assert boxes["0.1"].y0 > boxes["1.0"].y1
    assert boxes["2.0"].x0 > boxes["1.0"].x1


def test_what_is_rounded_to_0_has_no_sign():
    assert {"0.00", "1.00"} <= set(written(matrix([[-0.001, 1], [0, 1]])))
    assert "−0.00" not in written(matrix([[-0.001, 1], [0, 1]]))


def test_numbers_can_be_read_on_every_colour():
    figure = matrix(np.linspace(0, 1, 12)[None], rows=["a"], columns=range(12))
    shown = figure.axes[0].images[0].get_array()[0]  # (12, 3) in [0, 1]
    for text in figure.axes[0].texts:
        cell = luminance(shown[round(text.get_position()[0])])
        ink = luminance(np.array(matplotlib.colors.to_rgb(text.get_color())))
        assert (max(cell, ink) + 0.05) / (min(cell, ink) + 0.05) >= 3.6  # W3C asks 3 of large text


def luminance(colour: np.ndarray) -> float:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_higher_numbers_are_lighter():
    shown = matrix(np.linspace(-3, 9, 40)[None], rows=None, columns=None, digits=None).axes[0]
    light = [luminance(colour) for colour in shown.images[0].get_array()[0]]
    assert light == sorted(light)


def test_names_of_columns_stand_upright_where_a_word_is_wider_than_its_cell():
    tall = matrix(np.eye(16), rows=None, columns=[f"lighthouse {i}" for i in range(16)])
    heads = [text for text in texts_of(tall) if text.get_text().startswith("lighthouse")]
    assert [text.get_rotation() for text in heads] == [90] * 16
    flat = matrix(columns=["sea", "lighthouse"])
    [head] = [text for text in texts_of(flat) if text.get_text() == "lighthouse"]
    assert head.get_rotation() == 0


def test_pictures_stand_beside_their_rows_and_above_their_columns():
    white, black = picture(value=1.0), picture(value=0.0)
    figure = matrix(row_images=[white, black], column_images=[black, white])
    figure.draw_without_rendering()
    shown = figure.findobj(AnnotationBbox)
    assert [box.offsetbox.get_data().mean() for box in shown] == [255, 0, 0, 255]
    boxes = [box.get_window_extent() for box in shown]
    assert {(round(box.width), round(box.height)) for box in boxes} == {(2 * 64, 2 * 64)}
    assert max(boxes[0].x1, boxes[1].x1) <= figure.axes[0].bbox.x0
    assert min(boxes[2].y0, boxes[3].y0) >= figure.axes[0].bbox.y1
    assert boxes[0].y0 > boxes[1].y0
    assert boxes[2].x0 < boxes[3].x0
    assert boxes[2].y0 > boxes[0].y1


@pytest.mark.parametrize(
    ("values", "changes", "message"),
    [
        ([1, 2], {}, r"values must have 2 dimensions, .*; got shape \(2,\)"),
        ([[1, 2], [3]], {}, "values must hold numbers of one shape"),
        ([[1, float("inf")], [0, 0]], {}, "values must hold finite numbers only; got inf"),
        (np.eye(3), {}, "rows must be a list with one text for each of 3; got 2"),
        (np.eye(2), {"columns": "ab"}, "columns must be a list .*; got the text 'ab'"),
        (np.eye(2), {"digits": 9}, "digits must lie in 0..6, or be None; got 9"),
        (np.eye(2), {"row_images": picture()}, "row_images must be one for each of 2; got 1"),
        (np.eye(2), {"column_images": [picture()] * 3}, "column_images must .*; got 3"),
        (
            np.eye(40),
            {"rows": range(40), "columns": range(40)},
            "columns must be at most 18 for numbers to fit; got 40: give digits=None",
        ),
    ],
)
def test_a_matrix_that_cannot_be_drawn_is_refused(values, changes, message):
    with pytest.raises(ValueError, match=message):
        matrix(values, **changes)


def test_the_alternative_text_of_a_matrix_names_each_rows_highest_number():
    alt = png_of(matrix(title="likeness", rows=None))[1]
    assert alt == (
        "likeness: 2 rows, 2 columns, from −0.2 to 0.9. "
        "row 1: highest at d, 0.9. row 2: highest at c, 0.5."
    )


# Heat-maps


def test_a_map_keeps_its_cells_visible():
    figure = viz.heatmap(np.arange(16).reshape(4, 4), size=64)
    page, _ = png_of(figure)
    box = figure.axes[0].bbox
    top, left = round(figure.bbox.y1 - box.y1), round(box.x0)
    shown = page[top : top + 128, left : left + 128]
    cells = shown.reshape(4, 32, 4, 32, 3)
    assert (cells == cells[:, :1, :, :1]).all()
    light = [luminance(colour / 255) for colour in cells[:, 0, :, 0].reshape(16, 3)]
    assert light == sorted(light)
    assert len(set(light)) == 16


def test_one_scale_holds_for_all_maps():
    shown = [ax.images[0].get_array() for ax in viz.heatmap([[[0, 1]], [[1, 2]]]).axes[:2]]
    assert (shown[0][0, 1] == shown[1][0, 0]).all()
    assert (shown[0][0, 0] != shown[1][0, 1]).any()


@pytest.mark.parametrize(
    ("values", "limits", "ticks"),
    [
        ([[0.5, 2]], None, ["0", "1", "2"]),
        ([[-1, 3]], None, ["−1", "1", "3"]),
        ([[0, 0]], None, ["0", "0.5", "1"]),
        ([[0.5, 2]], (0.5, 1), ["0.5", "0.75", "1"]),
        ([[0, 0.004]], None, ["0", "0.002", "0.004"]),
    ],
)
def test_the_colour_bar_says_the_scale(values, limits, ticks):
    figure = viz.heatmap(values, limits=limits)
    assert [label.get_text() for label in figure.axes[-1].child_axes[0].get_yticklabels()] == ticks


def test_a_map_over_a_picture_lets_it_show_through():
    half = torch.cat([picture(16, 0.0)[:, :8], picture(16, 1.0)[:, :8]], dim=1)  # black above
    figure = viz.heatmap([[0.0, 0.0], [0.0, 0.0]], half)
    shown = figure.axes[0].images[0].get_array().astype(float)
    assert shown.shape == (16, 16, 3)
    assert shown[:8].mean() + 80 < shown[8:].mean()


def test_a_map_over_a_picture_shows_where_it_is_high():
    figure = viz.heatmap([[0.0, 0.0], [0.0, 1.0]], picture(16))
    shown = figure.axes[0].images[0].get_array().astype(float)
    assert luminance(shown[15, 15] / 255) > 1.5 * luminance(shown[0, 0] / 255)
    steps = np.abs(np.diff(shown, axis=0)).max()
    assert steps < 60  # smooth, where a cell would end in one step


def test_one_picture_serves_for_many_maps():
    figure = viz.heatmap(np.zeros((3, 2, 2)), picture())
    shown = [ax.images[0].get_array() for ax in figure.axes[:3]]
    assert all((one == shown[0]).all() for one in shown)


@pytest.mark.parametrize(
    ("values", "changes", "message"),
    [
        ([1, 2], {}, r"values must have 2 or 3 dimensions, .*; got shape \(2,\)"),
        (torch.full((2, 2), float("nan")), {}, "values must hold finite numbers only; got nan"),
        (np.eye(2), {"titles": ["a", "b"]}, "titles must be a list .* each of 1; got 2"),
        (np.zeros((3, 2, 2)), {"images": [picture()] * 2}, "images must be one .* of 3; got 2"),
        (
            np.eye(2),
            {"images": torch.zeros(3, 8, 16)},
            r"images must have the shape .*\(8, 16\)",
        ),
        (np.eye(2), {"columns": 0}, "columns must be at least 1; got 0"),
        (np.eye(2), {"size": 0}, "size must be a number of pixels .*; got 0"),
        (np.eye(2), {"limits": (1, 1)}, r"limits must be a pair .*; got \(1, 1\)"),
    ],
)
def test_maps_that_cannot_be_drawn_are_refused(values, changes, message):
    with pytest.raises(ValueError, match=message):
        viz.heatmap(values, **changes)


def test_the_alternative_text_of_maps_says_where_they_are_high():
    values = np.zeros((2, 6, 6))
    values[0, 5, 0], values[1, 3, 3] = 0.25, 0.5
    assert png_of(viz.heatmap(values, titles=["house", "moon"]))[1] == (
        "2 heat-maps on a scale from 0 to 0.5. house: up to 0.25, highest in the bottom left; "
        "moon: up to 0.5, highest in the middle centre."
    )
    assert png_of(viz.heatmap(values[0]))[1].startswith(
        "one heat-map on a scale from 0 to 0.25. 1:"
    )


# What they are made of


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (859520964, "859,520,964"),
        (0.068265, "0.0683"),
        (-1234.5, "−1,234"),
        (-0.0, "0"),
        (3.0, "3"),
        (0.00002, "2e−05"),
        (np.float32(0.5), "0.5"),
    ],
)
def test_numbers_are_said_as_people_write_them(number, text):
    assert format_number(number) == text


def test_millions_are_said_shortly_where_room_is_scarce():
    assert [format_short(n) for n in (860e6, 2.5e6, -1e6, 5000)] == [
        "860 M",
        "2.5 M",
        "−1 M",
        "5,000",
    ]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([20, 80], [20, 80]),
        ([80, 20], [80, 20]),
        ([50, 50], [50, 60]),
        ([99, 98, 97], [95, 85, 75]),
        ([0, 1], [5, 15]),
    ],
)
def test_labels_are_moved_no_further_than_they_must(wanted, places):
    assert spread(wanted, [10] * len(wanted), 100) == places


# Numbers of a GPU


ONE, TWO = (torch.tensor(number, dtype=torch.bfloat16) for number in (1, 2))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([ONE, 3, TWO], [1, 3, 2]),
        ([torch.stack([ONE, TWO]), torch.stack([TWO, ONE])], [[1, 2], [2, 1]]),
        ([[ONE, TWO], (3, ONE)], [[1, 2], [3, 1]]),
        ([ONE.float().requires_grad_(), TWO], [1, 2]),
    ],
    ids=["numbers", "rows", "nested", "gradient"],
)
def test_lists_of_tensors_become_numbers_whatever_their_type(values, expected):
    assert to_numbers(values, "values", (1, 2)).tolist() == expected


class Calls(TorchFunctionMode):
    """Writes down what is done to tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("values", [torch.ones(2), [torch.ones(2)]], ids=["tensor", "list"])
def test_numbers_leave_the_device_before_they_become_float64(values):
    """mps has no float64."""
    with Calls() as calls:
        to_numbers(values, "values", (1, 2))
    done = [name for name in calls.names if name in ("cpu", "double", "to", "numpy")]
    assert done == ["cpu", "double", "numpy"]


# Points in the plane


def test_a_panel_shows_what_it_is_given():
    dots = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    figure = viz.plane(
        [
            viz.Panel({"ring": dots, "cross": dots + 1}),
            viz.Panel(dots, arrows=(dots, dots * 0)),
            viz.Panel(paths=torch.zeros(5, 2, 2)),
        ],
        ["a", "b", "c"],
    )
    first, second, third = figure.axes
    assert [line.get_xydata().tolist() for line in first.lines] == [
        dots.tolist(),
        (dots + 1).tolist(),
    ]
    [arrows] = [c for c in second.collections if hasattr(c, "U")]
    assert np.allclose(np.c_[arrows.U, arrows.V], -dots)
    assert len(third.collections[0].get_segments()) == 2
    assert figure.alt == (
        "Points in the plane. a: 2 points ring, 2 points cross; b: 2 points, 2 arrows; "
        "c: the paths that led there"
    )


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ([], "panels and limit must be above 0; got 0 and 3.0"),
        ([viz.Panel([[1, 2, 3]])], r"dots must be points of the plane, \(N, 2\); got shape"),
        ([viz.Panel([[float("nan"), 2]])], "dots must hold finite numbers only"),
        (
            [viz.Panel(arrows=([[0, 0], [1, 1]], [[0, 0]]))],
            "arrows must have an end for each beginning; got 1",
        ),
    ],
)
def test_what_is_no_point_is_refused(panels, message: str):
    with pytest.raises(ValueError, match=message):
        viz.plane(panels)


# Guesses


def diamonds(figure: Figure) -> list[tuple[float, float]]:
    [ax] = figure.axes
    return [tuple(line.get_xydata()[0]) for line in ax.lines if line.get_marker() == "D"]


def test_guesses_stand_beside_their_bars_and_are_told():
    values = {"a": 30, "b": 60, "c": 90}
    figure = viz.bars(values, xlabel="per cent", limits=(0, 100), guesses={"c": 50, "a": 140})
    assert diamonds(figure) == [(50, 2), (100, 0)]  # beyond the limits: at the edge
    assert figure.axes[0].get_xlabel() == "per cent   ◇ your guess"
    assert figure.alt.endswith("Your guesses: c: 50; a: 140.")
    assert viz.bars(values, xlabel="%", guesses={"b": 200}).axes[0].get_xlim() == (0, 200)


def test_guesses_stand_beside_their_curve_in_its_colour():
    series = {"one": [1, 2, 3], "two": [3, 2, 1]}
    figure = viz.curves(
        [0, 1, 2], series, xlabel="x", ylabel="y", limits=(0, 4), guesses={"two": {0: 2, 2: 9}}
    )
    assert diamonds(figure) == [(0, 2), (2, 4)]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    [first, _] = [line for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert first.get_markeredgecolor() == lines["two"].get_color()
    assert figure.alt.endswith("Your guesses: two at 0: 2; two at 2: 9.")


def test_a_chart_without_guesses_says_nothing_of_them():
    for guesses in (None, {}):
        assert "guess" not in viz.bars({"a": 1}, xlabel="x", guesses=guesses).alt
    chart = viz.curves([0, 1], {"a": [1, 2]}, xlabel="x", ylabel="y", guesses={"a": {}})
    assert diamonds(chart) == []
    assert "guess" not in chart.alt + chart.axes[0].get_xlabel()


@pytest.mark.parametrize(
    ("guesses", "message"),
    [
        ({"b": 1}, "guesses must be of a; got 'b'"),
        ({"a": "much"}, "guesses"),
        (3, "guesses must"),
    ],
)
def test_guesses_that_do_not_fit_are_refused(guesses: object, message: str):
    with pytest.raises(ValueError, match=message):
        viz.bars({"a": 1}, xlabel="x", guesses=guesses)
