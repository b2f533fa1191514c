"""What charts stand in: axes with ticks and names, fitted so that no text leaves the page.

Draw the data on `Frame.ax`, then `finish`: it names the axes, moves them so that all text fits,
and draws the marks. Only then is it known where things lie, for texts that follow the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .sheet import FAINT, INK, MARGIN, SCREEN_DPI, Sheet, wrap
from .values import format_number, format_short, to_numbers

__all__ = ["CHART_LINE", "TEXT", "Frame", "check_marks", "describe_marks", "spread"]

CHART_FONT, CHART_LINE = 10, 17  # points; pixels from one line of text to the next
TEXT: dict[str, Any] = {"fontsize": CHART_FONT, "color": INK, "parse_math": False}
DASHED = (0, (4, 3))
GRID = "#E6E6E6"
TICKS = 6  # on an axis, at most
LEAST = 24  # pixels of a chart's width and height, or there is nothing to see


def check_marks(marks: Mapping[str, float] | None) -> dict[str, float]:
    """Names and places of marks; raises `ValueError` when a place is no finite number."""
    if not isinstance(marks, Mapping | None):
        raise ValueError(f"marks must map names to numbers; got {marks!r}")
    return {
        str(name): float(to_numbers(place, f"marks[{name!r}]", (0,)))
        for name, place in (marks or {}).items()
    }


def describe_marks(marks: dict[str, float]) -> list[str]:
    """For an alternative text: one sentence on the marks, or none."""
    return (
        [f"Marked: {'; '.join(f'{n} at {format_number(x)}' for n, x in marks.items())}."]
        if marks
        else []
    )


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


class Frame:
    """One axes on a page of `size` pixels, or one of the learner's own, which stays in place."""

    def __init__(
        self, size: tuple[float, float], alt: str, ax: Axes | None, *, grid: Literal["x", "y"]
    ) -> None:
        self.own = ax is not None
        self.width, self.height = size
        sheet = Sheet(*size, alt, few_colours=True)
        self.ax = sheet.add_axes((0.2, 0.2, 0.6, 0.6)) if ax is None else ax
        figure = self.ax.figure
        self.figure: Figure = figure if isinstance(figure, Figure) else figure.figure
        self.scale = SCREEN_DPI / self.figure.dpi  # pixels of the screen for each stored one
        _dress(self.ax, grid)

    def finish(
        self,
        marks: dict[str, float],
        *,
        xlabel: str,
        ylabel: str = "",
        title: str = "",
        right: float = 0,
    ) -> None:
        """Name everything, draw the marks, and leave `right` pixels free beside the axes."""
        self.ax.set_xlabel(xlabel, **TEXT)
        self.ax.set_ylabel(ylabel, **TEXT)
        for name, x in marks.items():
            self.ax.axvline(
                x, color=FAINT, linewidth=1.2, clip_on=False, linestyle=DASHED, label=name
            )
        if self.own:
            self.ax.set_title(title, **TEXT)
            return
        lines = wrap(title, 0.72 * self.width).splitlines()  # 0.72: bold and larger
        above = MARGIN + (CHART_LINE * len(lines) + MARGIN if title else 0)
        self._fit(above, right)
        rows = self._write_marks(marks)
        self._fit(above + CHART_LINE * rows, right)
        left, top = 2 * MARGIN / self.width, 1 - MARGIN / self.height
        self.figure.text(left, top, "\n".join(lines), va="top", weight="bold", **TEXT)

    def plain_ticks(self, axis: Literal["x", "y"]) -> None:
        """Few ticks, as ordinary numbers: no powers of ten, no factor beside the axis."""
        ticks = self.ax.xaxis if axis == "x" else self.ax.yaxis
        ticks.set_major_formatter(FuncFormatter(lambda value, _: format_short(value)))
        if ticks.get_scale() == "linear":
            ticks.set_major_locator(MaxNLocator(TICKS, steps=[1, 2, 2.5, 5, 10]))

    def measure(self, texts: Sequence[str]) -> list[tuple[float, float]]:
        """Width and height of each text in pixels of the screen."""
        probes = [self.figure.text(0, 0, text, **TEXT) for text in texts]
        boxes = [probe.get_window_extent() for probe in probes]
        for probe in probes:
            probe.remove()
        return [(box.width * self.scale, box.height * self.scale) for box in boxes]

    def _fit(self, above: float, right: float) -> None:
        """Move the axes so that ticks and names fit, with so many pixels above and beside them."""
        self.figure.draw_without_rendering()
        outer, inner = self.ax.get_tightbbox(), self.ax.get_window_extent()
        assert outer is not None  # None only for axes that are not visible
        left = (inner.x0 - outer.x0) * self.scale + 2 * MARGIN
        below = (inner.y0 - outer.y0) * self.scale + 2 * MARGIN
        across = self.width - left - max(right, (outer.x1 - inner.x1) * self.scale) - 2 * MARGIN
        up = self.height - below - above - CHART_LINE / 2  # half of the topmost tick's number
        if min(across, up) < LEAST:
            size = (self.width, self.height)
            raise ValueError(f"size must leave room for a chart beside its texts; got {size}")
        box = (left / self.width, below / self.height, across / self.width, up / self.height)
        self.ax.set_position(box)

    def _write_marks(self, marks: dict[str, float]) -> int:
        """Names of marks above their lines, in as many rows as keep them apart; that number."""
        ends: list[float] = []  # where the last name of each row ends
        for name, x in sorted(marks.items(), key=lambda mark: mark[1]):
            [(width, _)] = self.measure([name])
            line = self.ax.get_xaxis_transform().transform((x, 1))[0] * self.scale
            centre = min(max(line, width / 2 + MARGIN), self.width - width / 2 - MARGIN)
            free = (row for row, end in enumerate(ends) if end + 2 * MARGIN <= centre - width / 2)
            row = next(free, len(ends))
            ends[row : row + 1] = [centre + width / 2]
            offset = ((centre - line) * 0.75, 3 + row * CHART_LINE * 0.75)  # in points
            self.ax.annotate(
                name,
                (x, 1),
                offset,
                xycoords=self.ax.get_xaxis_transform(),
                textcoords="offset points",
                ha="center",
                annotation_clip=False,
                in_layout=False,
                **TEXT,
            )
        return len(ends)


def _dress(ax: Axes, grid: Literal["x", "y"]) -> None:
    """Our own colours, whatever style is set."""
    ax.set_facecolor("white")
    ax.set_axisbelow(True)
    ax.grid(True, axis=grid, color=GRID, linewidth=0.8, linestyle="-")
    for side, spine in ax.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=FAINT, linewidth=0.8)
    ax.tick_params(labelsize=CHART_FONT, colors=FAINT, labelcolor=INK, length=3)
