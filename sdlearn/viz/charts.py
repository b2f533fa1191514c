"""Charts: curves over an axis, each named where it ends, and horizontal bars with their numbers.

Curves are told apart by colour and by line style. `marks` are vertical dashed lines with a name.
`guesses` are hollow diamonds: what somebody predicted, beside what was measured.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from .figure import FAINT, INK, LARGE, PALETTE, Sheet, figure_of, lay_out, set_title, wrap
from .values import Pair, check_limits, format_number, format_short, to_numbers

Curve = tuple[np.ndarray, np.ndarray]  # x and y, as long as each other

# Blue, vermilion, green, purple, orange, sky blue, black: the palette without yellow, which is
# too pale for a line on white.
COLOURS = tuple(PALETTE[i] for i in (4, 5, 2, 6, 0, 1, 7))
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.3)), (0, (6, 2, 1, 2)))
MARKERS = "osD^vPX"
LINE = 17  # pixels from one line of text to the next
FEW = 25  # points, up to which each gets a marker
TICKS = 6  # on an axis, at most
LEADER = 15  # points from the end of a curve to its name
LEAST = (120, 80)  # pixels of a page, or there is nothing to see of a chart
BAR_PITCH = 34  # pixels from one bar to the next
BAR_WIDTH, BAR_FRAME = 560, 68  # the page, and what of it is above and below the bars
NAME_WIDTH = 190  # pixels of a bar's name, in lines
GUESS = "◇ your guess"


def curves(
    x: Any,
    series: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    log: str = "",
    marks: Mapping[str, float] | None = None,
    guesses: Mapping[str, Mapping[float, float]] | None = None,
    limits: Pair | None = None,
    size: Pair = (560, 300),
    alt: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Up to seven curves over one axis, each named where it ends.

    `x` is one sequence of numbers for all, or a mapping with one for each name in `series`. `log`
    names the axes that are logarithmic: "", "x", "y" or "xy". `marks` are vertical dashed lines,
    name → place. `guesses` of a curve, its name → {x: y}, are drawn in its colour. `limits` of the
    y axis are (low, high), and a guess beyond them stands at the edge; `size` is in pixels of the
    screen. On an `ax` of your own, names stand in a legend and `size` has no effect.

    Raises `ValueError` when numbers are missing, not finite, of different lengths, or not above
    0 on a logarithmic axis, and for guesses of a curve that is not there.
    """
    lines = _pair(x, series)
    places = _check_marks(marks)
    points = _guessed_points(guesses or {}, lines)
    limits = None if limits is None else check_limits(limits)
    _check_log(log, lines, places, limits)
    told = {f"{name} at {format_number(x)}": y for name, x, y in points}
    alt = alt or _describe_curves(lines, xlabel, ylabel, places) + _describe_guesses(told)
    own = ax is not None
    ax = _dressed(ax or _new_axes(size, alt), "y")
    _draw_curves(ax, lines, log, limits)
    _draw_marks(ax, places)
    for name, at, guess in points:
        _draw_guess(ax, at, _within(guess, ax.get_ylim()), COLOURS[list(lines).index(name)])
    ax.set_xlabel(_with_guess(xlabel, bool(points)), **LARGE)
    ax.set_ylabel(ylabel, **LARGE)
    if own:
        ax.set_title(title, **LARGE)
        if len(lines) > 1 or places:
            legend = ax.legend(frameon=False, fontsize=LARGE["fontsize"], labelcolor=INK)
            for text in legend.get_texts():
                text.set_parse_math(False)
    else:
        set_title(figure_of(ax), title, size[0])
        names = _name_ends(ax, lines, 0.26 * size[0])
        _name_marks(ax, places)
        _keep_apart(ax, names)
    return figure_of(ax)


def bars(
    values: Mapping[str, float],
    *,
    xlabel: str,
    limits: Pair | None = None,
    marks: Mapping[str, float] | None = None,
    guesses: Mapping[str, float] | None = None,
    size: Pair | None = None,
    alt: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Horizontal bars from 0, in order from the top, each with its name and its number.

    `limits` of the value axis are (low, high) and hold 0, all values and all marks. `marks` are
    vertical dashed lines, name → place. `guesses` are predictions of some of the bars, by their
    names; beyond the limits they stand at the edge. `size` is in pixels of the screen, by default
    as high as the bars need; on an `ax` of your own it has no effect.

    Raises `ValueError` for values that are not finite or beyond the limits, and for guesses of a
    bar that is not there.
    """
    if not isinstance(values, Mapping) or not values:
        raise ValueError(f"values must map at least one name to a number; got {values!r}")
    numbers = [float(to_numbers(v, f"values[{n!r}]", (0,))) for n, v in values.items()]
    places = _check_marks(marks)
    guessed = dict(_check_guesses(guesses or {}, "guesses"))
    _check_names(guessed, values)
    beyond = () if limits else guessed.values()
    limits = _bar_limits([0.0, *numbers, *places.values(), *beyond], limits)
    listed = "; ".join(f"{n}: {format_number(x)}" for n, x in zip(values, numbers, strict=True))
    described = " ".join([f"{xlabel}. {listed}.", *_describe_marks(places)])
    alt = alt or described + _describe_guesses(guessed)
    names = [wrap(str(name), NAME_WIDTH) for name in values]
    own = ax is not None
    if size is None:
        pitch = max(BAR_PITCH, LINE * max(len(name.splitlines()) for name in names) + 8)
        size = (BAR_WIDTH, len(names) * pitch + BAR_FRAME + LINE * min(2, len(places)))
    ax = _dressed(ax or _new_axes(size, alt), "x")
    _draw_bars(ax, names, numbers)
    _draw_marks(ax, places)
    ax.set_xlim(limits)
    for name, guess in guessed.items():
        _draw_guess(ax, _within(guess, limits), list(values).index(name), COLOURS[1])
    ax.set_xlabel(_with_guess(xlabel, bool(guessed)), **LARGE)
    if not own:
        _name_marks(ax, places)
    return figure_of(ax)


def _new_axes(size: Pair, alt: str) -> Axes:
    if size[0] < LEAST[0] or size[1] < LEAST[1]:
        raise ValueError(f"size must leave room for a chart beside its texts; got {size}")
    return Sheet(*size, alt, colours=256).add_subplot()


def _dressed(ax: Axes, grid: Literal["x", "y"]) -> Axes:
    """The axes in our own colours, whatever style is set."""
    ax.set_facecolor("white")
    ax.set_axisbelow(True)
    ax.grid(True, axis=grid, color="#E6E6E6", linewidth=0.8, linestyle="-")
    ax.spines[:].set(color=FAINT, linewidth=0.8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=LARGE["fontsize"], colors=FAINT, labelcolor=INK, length=3)
    return ax


def _plain_ticks(ax: Axes, axis: Literal["x", "y"]) -> None:
    """Few ticks, as ordinary numbers: no powers of ten, no factor beside the axis."""
    ticks = ax.xaxis if axis == "x" else ax.yaxis
    ticks.set_major_formatter(FuncFormatter(lambda value, _: format_short(value)))
    if ticks.get_scale() == "linear":
        ticks.set_major_locator(MaxNLocator(TICKS, steps=[1, 2, 2.5, 5, 10]))
    else:
        ticks.set_minor_formatter(LogFormatter())


def _draw_curves(ax: Axes, lines: dict[str, Curve], log: str, limits: Pair | None) -> None:
    ax.set_xscale("log" if "x" in log else "linear")
    ax.set_yscale("log" if "y" in log else "linear")
    _plain_ticks(ax, "x")
    _plain_ticks(ax, "y")
    for i, (name, (xs, ys)) in enumerate(lines.items()):
        style = {"color": COLOURS[i], "linestyle": DASHES[i % len(DASHES)], "linewidth": 2}
        marker = MARKERS[i] if len(xs) <= FEW else ""
        ax.plot(xs, ys, label=name, marker=marker, markersize=5, clip_on=False, **style)
    if limits:
        ax.set_ylim(limits)
    ax.margins(x=0.02)


def _draw_bars(ax: Axes, names: list[str], numbers: list[float]) -> None:
    """Bars with their numbers: right of a positive bar, right of 0 beside a negative one."""
    rows = range(len(names))
    ax.barh(rows, numbers, height=0.66, color=COLOURS[0])
    ax.axvline(0, color=FAINT, linewidth=0.8)
    ax.set_yticks(rows, names, parse_math=False)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    _plain_ticks(ax, "x")
    plate = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}
    beside: Any = {"textcoords": "offset points", "annotation_clip": False, "va": "center"}
    for row, number in zip(rows, numbers, strict=True):
        place, text = (max(0.0, number), row), format_number(number)
        ax.annotate(text, place, (4, 0), bbox=plate, **beside, **LARGE)


def _draw_marks(ax: Axes, marks: dict[str, float]) -> None:
    for name, x in marks.items():
        ax.axvline(x, label=name, color=FAINT, lw=1.2, ls=(0, (4, 3)), clip_on=False)


def _draw_guess(ax: Axes, x: float, y: float, colour: str) -> None:
    style: Any = {"ms": 9, "mfc": "none", "mec": colour, "mew": 2, "clip_on": False, "zorder": 5}
    ax.plot(x, y, "D", **style)


def _with_guess(label: str, has_guesses: bool) -> str:
    """The label of an axis, which also says what the diamonds are."""
    return f"{label}   {GUESS}" if has_guesses else label


def _within(value: float, limits: Pair) -> float:
    return min(max(value, min(limits)), max(limits))


def _name_marks(ax: Axes, marks: dict[str, float]) -> None:
    """Names of marks above their lines, each in the lowest row where it is clear of the others."""
    lay_out(figure_of(ax))
    ends: list[float] = []  # where the last name of each row ends, in stored pixels
    across = ax.get_xaxis_transform()
    place: Any = {"xycoords": across, "textcoords": "offset points", "annotation_clip": False}
    for name, x in sorted(marks.items(), key=lambda mark: mark[1]):
        text = ax.annotate(name, (x, 1), (0, 3), ha="center", **place, **LARGE)
        box = text.get_window_extent()
        row = next((i for i, end in enumerate(ends) if end < box.x0), len(ends))
        ends[row : row + 1] = [box.x1 + 16]
        text.xyann = (0, 3 + 0.75 * row * LINE)
    lay_out(figure_of(ax))


def _name_ends(ax: Axes, lines: dict[str, Curve], room: float) -> list[Annotation]:
    """Names right of the axes, each with a leader from its curve's rightmost point.

    Where a curve ends early, the way to the edge is dotted grey: it is not part of the curve.
    """
    beside = ax.transAxes + ScaledTranslation(LEADER / 72, 0, figure_of(ax).dpi_scale_trans)
    place: Any = {"xycoords": "axes fraction", "textcoords": beside, "va": "center"}
    ax.autoscale_view()  # or the limits are found only when the figure is drawn
    names = []
    for i, (name, (xs, ys)) in enumerate(lines.items()):
        tip = ax.transData.transform((xs.max(), ys[xs.argmax()]))
        x, y = ax.transAxes.inverted().transform(tip).clip(0, 1)
        if name and x < 0.9:
            ax.plot([x, 1], [y, y], color=FAINT, linestyle=":", linewidth=1, transform=ax.transAxes)
            x = 1
        leader = {"arrowstyle": "-", "color": COLOURS[i], "relpos": (0, 0.5), "shrinkB": 0}
        style = place | LARGE | {"arrowprops": leader if name else None}
        names.append(ax.annotate(wrap(name, room), (x, y), (1, y), **style))
    return names


def _keep_apart(ax: Axes, names: Sequence[Annotation]) -> None:
    """Move names that stand one below the other, so that none lies on another."""
    line = 2 * LINE / ax.bbox.height  # two pixels are stored for each
    heights = [line * max(1, len(name.get_text().splitlines())) for name in names]
    for name, y in zip(names, spread([name.xy[1] for name in names], heights, 1), strict=True):
        name.xyann = (1, y)


def spread(wanted: Sequence[float], lengths: Sequence[float], room: float) -> list[float]:
    """Centres for labels, near those `wanted`, that neither overlap nor leave 0..`room`."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places, edge = list(wanted), 0.0
    for i in order:  # onwards: clear of the one before
        places[i] = max(wanted[i], edge + lengths[i] / 2)
        edge = places[i] + lengths[i] / 2
    edge = room
    for i in reversed(order):  # and back: clear of the one after
        places[i] = min(places[i], edge - lengths[i] / 2)
        edge = places[i] - lengths[i] / 2
    return places


def _pair(x: Any, series: Mapping[str, Sequence[float]]) -> dict[str, Curve]:
    """x and y of each curve by its name, checked."""
    if not isinstance(series, Mapping) or not 1 <= len(series) <= len(COLOURS):
        came = len(series) if isinstance(series, Mapping) else type(series).__name__
        raise ValueError(f"series must map 1 to {len(COLOURS)} names to numbers; got {came}")
    x = x if isinstance(x, Mapping) else dict.fromkeys(series, to_numbers(x, "x"))
    if set(x) != set(series):
        raise ValueError(f"x must have the names of series, {list(series)}; got {list(x)}")
    lines = {}
    for name, values in series.items():
        xs = to_numbers(x[name], "x")
        ys = to_numbers(values, f"series[{name!r}]")
        if len(xs) != len(ys):
            wanted = f"one number for each of {len(xs)} in x"
            raise ValueError(f"series[{name!r}] must have {wanted}; got {len(ys)}")
        lines[str(name)] = (xs, ys)
    return lines


def _check_log(
    log: str, lines: dict[str, Curve], marks: dict[str, float], limits: Pair | None
) -> None:
    if log not in ("", "x", "y", "xy"):
        raise ValueError(f"log must be one of '', 'x', 'y', 'xy'; got {log!r}")
    shown = {
        "x": [*(xs.min() for xs, _ in lines.values()), *marks.values()],
        "y": [*(ys.min() for _, ys in lines.values()), *(limits or ())],
    }
    for axis in log:
        if min(shown[axis]) <= 0:
            lowest = format_number(min(shown[axis]))
            raise ValueError(f"log={log!r} needs numbers above 0 on {axis}; got {lowest}")


def _check_marks(marks: Mapping[str, float] | None) -> dict[str, float]:
    """Names and places of marks; raises `ValueError` when a place is no finite number."""
    if not isinstance(marks, Mapping | None):
        raise ValueError(f"marks must map names to numbers; got {marks!r}")
    pairs = (marks or {}).items()
    return {str(name): float(to_numbers(x, f"marks[{name!r}]", (0,))) for name, x in pairs}


def _check_guesses(guesses: Mapping[Any, float], name: str) -> list[tuple[Any, float]]:
    """What each guess is of, and its number; raises `ValueError` where there is none."""
    if not isinstance(guesses, Mapping):
        raise ValueError(f"{name} must map what is guessed to numbers; got {guesses!r}")
    return [(of, float(to_numbers(x, f"{name}[{of!r}]", (0,)))) for of, x in guesses.items()]


def _guessed_points(
    guesses: Mapping[str, Mapping[float, float]], lines: Mapping[str, Curve]
) -> list[tuple[str, float, float]]:
    """The curve, x and y of each guess."""
    _check_names(guesses, lines)
    return [
        (name, x, y)
        for name, pairs in guesses.items()
        for x, y in _check_guesses(pairs, f"guesses[{name!r}]")
    ]


def _check_names(guesses: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
    for name in guesses:
        if name not in shown:
            raise ValueError(f"guesses must be of {', '.join(map(str, shown))}; got {name!r}")


def _bar_limits(shown: list[float], limits: Pair | None) -> Pair:
    low, high = min(shown), max(shown)
    if limits is None:
        return low, high if high > low else low + 1
    limits = check_limits(limits)
    if low < limits[0] or high > limits[1]:
        raise ValueError(f"limits must hold 0, all values and all marks; got {limits}")
    return limits


def _describe_curves(lines: dict[str, Curve], xlabel: str, ylabel: str, marks: dict) -> str:
    """Alternative text: where each curve begins, turns and ends."""
    parts = [f"{ylabel} against {xlabel}."]
    for name, (xs, ys) in lines.items():
        first, last = xs.argmin(), xs.argmax()
        ends = ", ".join(f"{format_number(ys[i])} at {format_number(xs[i])}" for i in (first, last))
        low, high = sorted((ys[first], ys[last]))
        beyond = 0.05 * (ys.max() - ys.min())
        turns = ""
        if ys.max() > high + beyond:
            turns += f", highest {format_number(ys.max())} at {format_number(xs[ys.argmax()])}"
        if ys.min() < low - beyond:
            turns += f", lowest {format_number(ys.min())} at {format_number(xs[ys.argmin()])}"
        parts.append(f"{name or 'The curve'}: {ends}{turns}.")
    return " ".join([*parts, *_describe_marks(marks)])


def _describe_marks(marks: dict[str, float]) -> list[str]:
    """For an alternative text: one sentence on the marks, or none."""
    listed = "; ".join(f"{name} at {format_number(x)}" for name, x in marks.items())
    return [f"Marked: {listed}."] if marks else []


def _describe_guesses(guesses: Mapping[Any, float]) -> str:
    """For an alternative text: one more sentence on the guesses, or nothing."""
    listed = "; ".join(f"{name}: {format_number(x)}" for name, x in guesses.items())
    return f" Your guesses: {listed}." if guesses else ""
