"""Points in the plane: clouds of them, ways from one to another, and the paths that they took.

Square panels side by side, all from `-limit` to `limit` in both directions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from .charts import COLOURS
from .figure import FAINT, PAGE_WIDTH, TEXT, Sheet, as_texts, wrap
from .values import to_numbers

WIDEST = 250  # pixels of a panel


@dataclass(frozen=True)
class Panel:
    """What one panel of `plane` shows; each may be left out.

    `dots` are points (N, 2), or a mapping with points for each of several names. `arrows` are two
    arrays (N, 2), where each begins and where it ends. `paths` (S, N, 2) are N points at S times.
    """

    dots: Any = None
    arrows: tuple[Any, Any] | None = None
    paths: Any = None


def plane(
    panels: Sequence[Panel],
    titles: Sequence[object] | None = None,
    *,
    limit: float = 3.0,
    size: float | None = None,
    alt: str | None = None,
) -> Figure:
    """Panels of points in the plane in one row, under their `titles`.

    `size` is the side of a panel in pixels. Raises `ValueError` where there is no panel, where
    points are no pairs of finite numbers, or where arrows have not as many ends as beginnings.
    """
    texts = as_texts(titles, "titles", len(panels))
    if not panels or limit <= 0:
        raise ValueError(f"panels and limit must be above 0; got {len(panels)} and {limit}")
    side = size or min(WIDEST, (PAGE_WIDTH - 40) // len(panels))
    sheet = Sheet(len(panels) * side + 80, side + 80, alt or _describe(panels, texts))
    grid = sheet.add_gridspec(1, len(panels))
    for place, (panel, text) in enumerate(zip(panels, texts, strict=True)):
        ax = sheet.add_subplot(grid[place])
        ax.set_xlim(-limit, limit)
        ax.set_ylim(-limit, limit)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set(color=FAINT, linewidth=0.6)
        ax.set_title(wrap(text, side), pad=3, **TEXT)
        _draw(ax, panel)
    return sheet.fit_cells(len(panels), side, side)


def _draw(ax: Axes, panel: Panel) -> None:
    if panel.paths is not None:
        paths = to_numbers(panel.paths, "paths", (3,)).swapaxes(0, 1)  # (N, S, 2)
        ax.add_collection(LineCollection(list(paths), colors=FAINT, linewidths=0.5, alpha=0.5))
    for number, dots in enumerate(_clouds(panel).values()):
        x, y = _pairs(dots, "dots").T
        ax.plot(x, y, "osD^"[number % 4], markersize=2, color=COLOURS[number], alpha=0.6, mew=0)
    if panel.arrows is not None:
        starts, ends = _arrows(panel.arrows)
        way: Any = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.004}
        ax.quiver(*starts.T, *(ends - starts).T, color=COLOURS[1], **way)


def _clouds(panel: Panel) -> Mapping[str, Any]:
    if panel.dots is None:
        return {}
    return panel.dots if isinstance(panel.dots, Mapping) else {"": panel.dots}


def _pairs(points: Any, name: str) -> np.ndarray:
    pairs = to_numbers(points, name, (2,))
    if pairs.shape[1] != 2:
        raise ValueError(f"{name} must be points of the plane, (N, 2); got shape {pairs.shape}")
    return pairs


def _arrows(arrows: tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    starts, ends = (_pairs(points, "arrows") for points in arrows)
    if len(starts) != len(ends):
        raise ValueError(f"arrows must have an end for each beginning; got {len(ends)}")
    return starts, ends


def _describe(panels: Sequence[Panel], texts: Sequence[str]) -> str:
    """Alternative text: what each panel holds."""
    return "Points in the plane. " + "; ".join(
        f"{text or f'panel {number}'}: {_contents(panel)}"
        for number, (panel, text) in enumerate(zip(panels, texts, strict=True), 1)
    )


def _contents(panel: Panel) -> str:
    found = [f"{len(dots)} points {name}".strip() for name, dots in _clouds(panel).items()]
    found += [] if panel.arrows is None else [f"{len(panel.arrows[0])} arrows"]
    found += [] if panel.paths is None else ["the paths that led there"]
    return ", ".join(found) or "nothing"
