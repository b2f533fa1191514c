"""A report as figures: adherence and diversity against guidance, adherence against steps, and
combinations that were seen in training beside those that were not.

Bands and whiskers are the 95 % intervals of the report. Each function returns a `Figure` and
raises `ValueError` when the report did not measure what it shows; `figures` draws what it can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import viz
from .adherence import COLUMNS
from .intervals import Rate
from .report import Report, Sampling

__all__ = ["NAMES", "figures", "plot_composition", "plot_guidance", "plot_steps"]

Number = TypeVar("Number", int, float)
Point = tuple[float, float, float]  # a value and the bounds of its interval

GOALS = {  # split → the column that says "as it was asked for", and its name
    "single": ("all_right", "one subject, all right"),
    "pairs": ("both_subjects_and_colours", "two subjects, both right"),
    "held_out": ("all_right", "unseen combination, all right"),
    "held_out_styles": ("all_right", "unseen in this style, all right"),
    "handwritten": ("all_right", "written by hand, all right"),
}
ALL = (0.0, 102.0)  # per cent, with room for the markers of 100
TEXT = 10  # points
NAMES = ("composition", "guidance", "steps")  # of all figures there are


def figures(report: Report) -> dict[str, Figure]:
    """Name → figure, for every figure that `report` has the data of."""
    found = {}
    if {"single", "held_out"} <= set(report.settings.splits):
        found["composition"] = plot_composition(report)
    if len(set(report.settings.guidance)) > 1:
        found["guidance"] = plot_guidance(report)
    if len(set(report.settings.steps)) > 1 and "single" in report.settings.splits:
        found["steps"] = plot_steps(report)
    return found


def plot_guidance(report: Report) -> Figure:
    """Adherence (left) and diversity (right) against guidance, of the first steps and scheduler."""
    scales = _several(report.settings.guidance, "guidance")
    steps, scheduler = report.settings.steps[0], report.settings.schedulers[0]
    samplings = [Sampling(scale, steps, scheduler) for scale in scales]
    found = {
        name: [_per_cent(report.generated(split, sampling)[column]) for sampling in samplings]
        for split, (column, name) in GOALS.items()
        if split in report.settings.splits
    }
    spread = {entry.sampling: (entry.distance, *entry.interval) for entry in report.diversity}
    apart = {
        "generated": [spread[sampling] for sampling in samplings],
        "drawn by the world": [spread[None]] * len(scales),
    }
    sheet = viz.Sheet(840, 340, alt="")
    left, right = sheet.subplots(1, 2, width_ratios=(3, 2))
    look = {"xlabel": "guidance scale", "ylabel": "per cent of the images", "limits": ALL}
    rates = _draw_curves(left, scales, found, "{:.0f}", **look)
    look = {"xlabel": "guidance scale", "ylabel": "diversity between seeds"}
    distances = _draw_curves(right, scales, apart, "{:.2f}", **look)
    right.set_ylim(bottom=0)
    sheet.alt = f"per cent right against guidance. {rates}. Diversity: {distances}."
    sheet.tight_layout()
    return sheet


def plot_steps(report: Report) -> Figure:
    """One subject, all right, against the number of steps: the first seven schedulers."""
    steps = _several(report.settings.steps, "steps")
    guidance, own = report.settings.guidance[0], report.own_scheduler.removesuffix("Scheduler")
    found = {}
    for name in report.settings.schedulers[:7]:  # more lines cannot be told apart
        rates = [report.generated("single", Sampling(guidance, n, name)) for n in steps]
        found[name or f"own ({own})"] = [_per_cent(rate["all_right"]) for rate in rates]
    sheet = viz.Sheet(640, 360, alt="")
    ax = sheet.add_subplot()
    look = {"xlabel": "steps", "ylabel": "one subject, all right, per cent", "limits": ALL}
    told = _draw_curves(ax, steps, found, "{:.0f}", log="x", **look)
    ax.set_xticks(steps, [str(n) for n in steps])
    ax.minorticks_off()
    sheet.alt = f"per cent right against steps. {told}"
    sheet.tight_layout()
    return sheet


def plot_composition(report: Report) -> Figure:
    """What is right in seen and in unseen combinations, by attribute, at the first sampling."""
    sampling = report.settings.samplings[0]
    sheet = viz.Sheet(640, 460, f"per cent right at {sampling}.")
    ax = sheet.add_subplot()
    for label, split, side, colour in (
        ("seen in training", "single", -0.2, viz.PALETTE[1]),
        ("never seen in training", "held_out", 0.2, viz.PALETTE[5]),
    ):
        rates = report.generated(split, sampling)
        places = [i + side for i in range(len(rates))]
        ax.barh(places, [100 * r.share for r in rates.values()], 0.36, color=colour, label=label)
        for place, rate in zip(places, rates.values(), strict=True):
            low, high = rate.interval
            ax.hlines(place, 100 * low, 100 * high, color=viz.PALETTE[7], linewidth=1.2)
            ax.text(1, place, f"{100 * rate.share:.0f}", va="center", fontsize=TEXT - 1)
        shares = (f"{n.replace('_', ' ')} {100 * r.share:.0f}" for n, r in rates.items())
        sheet.alt += f" {label}: {', '.join(shares)}."
    ax.set_yticks(range(len(COLUMNS)), [name.replace("_", " ") for name in COLUMNS])
    ax.set(xlim=ALL, ylim=(len(COLUMNS) - 0.5, -0.5))
    ax.set_xlabel("right, per cent of the images", fontsize=TEXT)
    ax.tick_params(labelsize=TEXT - 1)
    ax.spines[["top", "right"]].set_visible(False)
    sheet.legend(fontsize=TEXT, frameon=False, ncols=2, loc="upper center")
    sheet.tight_layout(rect=(0, 0, 1, 0.92))
    return sheet


def _several(values: Sequence[Number], name: str) -> list[Number]:
    if len(set(values)) < 2:
        raise ValueError(f"{name} must hold at least two values for a curve; got {list(values)}")
    return sorted(set(values))


def _per_cent(rate: Rate) -> Point:
    low, high = rate.interval
    return 100 * rate.share, 100 * low, 100 * high


def _draw_curves(
    ax: Axes, x: Sequence[float], found: Mapping[str, Sequence[Point]], form: str, **look: Any
) -> str:
    """A curve for each name, in a band of its intervals; returns all values in words."""
    viz.curves(x, {name: [p[0] for p in points] for name, points in found.items()}, ax=ax, **look)
    told = []
    for line, (name, points) in zip(ax.lines, found.items(), strict=False):
        values, low, high = zip(*points, strict=True)
        ax.fill_between(x, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        numbers = (f"{form.format(y)} at {at:g}" for at, y in zip(x, values, strict=True))
        told.append(f"{name}: {', '.join(numbers)}")
    return "; ".join(told)
