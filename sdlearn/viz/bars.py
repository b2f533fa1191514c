"""Horizontal bars, each with its name and its number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .curves import COLOURS
from .frame import CHART_LINE, TEXT, Frame, check_marks, describe_marks
from .sheet import FAINT, wrap
from .values import check_limits, format_number, to_numbers

__all__ = ["bars"]

BAR_PITCH, BAR_SHARE = 34, 0.66  # pixels from one bar to the next; share that is bar
BAR_WIDTH, BAR_FRAME = 560, 68  # the page, and what of it is above and below the bars
NAME_WIDTH = 190  # pixels of a bar's name, in lines


def bars(
    values: Mapping[str, float],
    *,
    xlabel: str,
    limits: tuple[float, float] | None = None,
    marks: Mapping[str, float] | None = None,
    size: tuple[float, float] | None = None,
    alt: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Horizontal bars from 0, in order from the top, each with its name and its number.

    `limits` of the value axis are (low, high) and hold 0, all values and all marks. `marks` are
    vertical dashed lines, name → place. `size` is in pixels of the screen, by default as high as
    the bars need; on an `ax` of your own it has no effect.

    Raises `ValueError` for values that are not finite or beyond the limits.
    """
    if not isinstance(values, Mapping) or not values:
        raise ValueError(f"values must map at least one name to a number; got {values!r}")
    numbers = [float(to_numbers(v, f"values[{n!r}]", (0,))) for n, v in values.items()]
    places = check_marks(marks)
    limits = _bar_limits([0.0, *numbers, *places.values()], limits)
    names = [wrap(str(name), NAME_WIDTH) for name in values]
    said = [format_number(number) for number in numbers]
    listed = "; ".join(f"{n}: {text}" for n, text in zip(values, said, strict=True))
    alt = alt or " ".join([f"{xlabel}. {listed}.", *describe_marks(places)])
    frame = Frame(size or _bars_size(names, places), alt, ax, grid="x")
    _draw_bars(frame, names, numbers, said)
    frame.ax.set_xlim(limits)
    beside = max(width for width, _ in frame.measure(said)) + 8
    frame.finish(places, xlabel=xlabel, right=beside)
    return frame.figure


def _bar_limits(shown: list[float], limits: tuple[float, float] | None) -> tuple[float, float]:
    low, high = min(shown), max(shown)
    if limits is None:
        return low, high if high > low else low + 1
    limits = check_limits(limits)
    if low < limits[0] or high > limits[1]:
        raise ValueError(f"limits must hold 0, all values and all marks; got {limits}")
    return limits


def _bars_size(names: list[str], marks: dict[str, float]) -> tuple[float, float]:
    lines = max(len(name.splitlines()) for name in names)
    pitch = max(BAR_PITCH, CHART_LINE * lines + 8)
    return BAR_WIDTH, len(names) * pitch + BAR_FRAME + CHART_LINE * min(2, len(marks))


def _draw_bars(frame: Frame, names: list[str], numbers: list[float], said: list[str]) -> None:
    """Bars with their numbers: right of a positive bar, right of 0 beside a negative one."""
    rows = range(len(names))
    frame.ax.barh(rows, numbers, height=BAR_SHARE, color=COLOURS[0])
    frame.ax.axvline(0, color=FAINT, linewidth=0.8)
    frame.ax.set_yticks(rows, names, parse_math=False)
    frame.ax.set_ylim(len(names) - 0.5, -0.5)
    frame.ax.tick_params(axis="y", length=0)
    frame.plain_ticks("x")
    plate = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}
    for row, number, text in zip(rows, numbers, said, strict=True):
        at = (max(0.0, number), row)
        style: dict[str, Any] = {
            "va": "center",
            "annotation_clip": False,
            "in_layout": False,
            "bbox": plate,
        }
        frame.ax.annotate(text, at, (4, 0), textcoords="offset points", **style, **TEXT)
