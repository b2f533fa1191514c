"""Curves over an axis: told apart by colour and by line style, each named where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .frame import CHART_LINE, TEXT, Frame, check_marks, describe_marks, spread
from .sheet import FAINT, INK, PALETTE, wrap
from .values import check_limits, format_number, to_numbers

__all__ = ["COLOURS", "curves"]

Curve = tuple[np.ndarray, np.ndarray]  # x and y, as long as each other

# Blue, vermilion, green, purple, orange, sky blue, black: the palette without yellow, which is
# too pale for a line on white.
COLOURS = tuple(PALETTE[i] for i in (4, 5, 2, 6, 0, 1, 7))
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.3)), (0, (6, 2, 1, 2)))
MARKERS = "osD^vPX"
FEW = 25  # points, up to which each gets a marker
LEADER = 20  # pixels from the end of a curve to its name
LOGS = ("", "x", "y", "xy")


def curves(
    x: Any,
    series: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    log: str = "",
    marks: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
    size: tuple[float, float] = (560, 300),
    alt: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Up to seven curves over one axis, each named where it ends.

    `x` is one sequence of numbers for all, or a mapping with one for each name in `series`. `log`
    names the axes that are logarithmic: "", "x", "y" or "xy". `marks` are vertical dashed lines,
    name → place. `limits` of the y axis are (low, high); `size` is in pixels of the screen. On an
    `ax` of your own, names stand in a legend and `size` has no effect.

    Raises `ValueError` when numbers are missing, not finite, of different lengths, or not above
    0 on a logarithmic axis.
    """
    lines = _pair(x, series)
    places = check_marks(marks)
    limits = None if limits is None else check_limits(limits)
    _check_log(log, lines, places, limits)
    alt = alt or _describe_curves(lines, xlabel, ylabel, places)
    frame = Frame(size, alt, ax, grid="y")
    _draw_curves(frame, lines, log, limits)
    names = [wrap(name, 0.26 * size[0]) for name in lines]
    widest = max(width for width, _ in frame.measure(names))
    beside = LEADER + widest if widest else 0
    frame.finish(places, xlabel=xlabel, ylabel=ylabel, title=title, right=beside)
    if not frame.own:
        _name_ends(frame, list(lines.values()), names)
    elif len(lines) > 1 or places:
        _legend(frame.ax)
    return frame.figure


def _pair(x: Any, series: Mapping[str, Sequence[float]]) -> dict[str, Curve]:
    """x and y of each curve by its name, checked."""
    if not isinstance(series, Mapping) or not 1 <= len(series) <= len(COLOURS):
        came = len(series) if isinstance(series, Mapping) else type(series).__name__
        raise ValueError(f"series must map 1 to {len(COLOURS)} names to numbers; got {came}")
    if isinstance(x, Mapping) and set(x) != set(series):
        raise ValueError(f"x must have the names of series, {list(series)}; got {list(x)}")
    x = x if isinstance(x, Mapping) else dict.fromkeys(series, to_numbers(x, "x"))
    lines = {}
    for name, values in series.items():
        xs = to_numbers(x[name], "x")
        ys = to_numbers(values, f"series[{name!r}]")
        if len(xs) != len(ys):
            raise ValueError(
                f"series[{name!r}] must have one number for each of {len(xs)} in x; got {len(ys)}"
            )
        lines[str(name)] = (xs, ys)
    return lines


def _check_log(
    log: str,
    lines: dict[str, Curve],
    marks: dict[str, float],
    limits: tuple[float, float] | None,
) -> None:
    if log not in LOGS:
        raise ValueError(f"log must be one of {', '.join(map(repr, LOGS))}; got {log!r}")
    shown = {
        "x": [*(xs.min() for xs, _ in lines.values()), *marks.values()],
        "y": [*(ys.min() for _, ys in lines.values()), *(limits or ())],
    }
    for axis in log:
        if min(shown[axis]) <= 0:
            lowest = format_number(min(shown[axis]))
            raise ValueError(f"log={log!r} needs numbers above 0 on {axis}; got {lowest}")


def _draw_curves(
    frame: Frame, lines: dict[str, Curve], log: str, limits: tuple[float, float] | None
) -> None:
    frame.ax.set_xscale("log" if "x" in log else "linear")
    frame.ax.set_yscale("log" if "y" in log else "linear")
    frame.plain_ticks("x")
    frame.plain_ticks("y")
    for i, (name, (xs, ys)) in enumerate(lines.items()):
        style = {"color": COLOURS[i], "linestyle": DASHES[i % len(DASHES)], "linewidth": 2}
        marker = MARKERS[i] if len(xs) <= FEW else ""
        frame.ax.plot(xs, ys, label=name, marker=marker, markersize=5, clip_on=False, **style)
    if limits:
        frame.ax.set_ylim(limits)
    frame.ax.margins(x=0.02)


def _name_ends(frame: Frame, lines: Sequence[Curve], names: Sequence[str]) -> None:
    """Names right of the axes, each with a leader from its curve's rightmost point."""
    box = frame.ax.get_window_extent()
    tips = [(xs[xs.argmax()], ys[xs.argmax()]) for xs, ys in lines]
    pixels = frame.ax.transData.transform(tips)  # (curves, 2)
    wanted = [min(max(y - box.y0, 0), box.height) * frame.scale for _, y in pixels]
    heights = [CHART_LINE * max(1, len(name.splitlines())) for name in names]
    centres = spread(wanted, heights, box.height * frame.scale)
    for i, (name, centre) in enumerate(zip(names, centres, strict=True)):
        if name:
            _lead(frame, i, (pixels[i][0], box.y0 + wanted[i] / frame.scale), name, centre)


def _lead(frame: Frame, i: int, tip: tuple[float, float], name: str, centre: float) -> None:
    """A thin line from the tip of curve `i`, in stored pixels, to its name beside the axes.

    Where a curve ends early, the way to the edge is dotted grey: it is not part of the curve.
    """
    box = frame.ax.get_window_extent()
    target = (box.x1 + (LEADER - 4) / frame.scale, box.y0 + centre / frame.scale)
    style: dict[str, Any] = {"transform": None, "linewidth": 1, "clip_on": False}
    if box.x1 - tip[0] > 0.1 * box.width:
        frame.ax.plot([tip[0], box.x1], [tip[1], tip[1]], color=FAINT, linestyle=":", **style)
        tip = (box.x1, tip[1])
    frame.ax.plot(*zip(tip, target, strict=True), color=COLOURS[i], linestyle="-", **style)
    place: dict[str, Any] = {
        "xycoords": "figure pixels",
        "textcoords": "offset points",
        "va": "center",
    }
    frame.ax.annotate(name, target, (3, 0), annotation_clip=False, **place, **TEXT)


def _legend(ax: Axes) -> None:
    for text in ax.legend(frameon=False, fontsize=TEXT["fontsize"], labelcolor=INK).get_texts():
        text.set_parse_math(False)


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
    return " ".join([*parts, *describe_marks(marks)])
