"""A report as figures: adherence and diversity against guidance, adherence against steps, and
combinations that were seen in training beside those that were not.

Bands and whiskers are the 95 % intervals of the report. Each function returns a `Figure` and
raises `ValueError` when the report did not measure what it shows; `figures` draws what it can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..viz import PALETTE, Sheet
from .adherence import SINGLE_COLUMNS
from .intervals import Rate
from .report import Report, Sampling

__all__ = ["NAMES", "figures", "plot_composition", "plot_guidance", "plot_steps"]

GOALS = {  # split → the column that says "as it was asked for", and its name
    "single": ("all_right", "one subject, all right"),
    "pairs": ("both_subjects_and_colours", "two subjects, both right"),
    "held_out": ("all_right", "unseen combination, all right"),
}
LOOKS = (  # of the curves of one figure: colour, line, marker
    *((PALETTE[4], "-", "o"), (PALETTE[5], "--", "s"), (PALETTE[2], "-.", "^")),
    *((PALETTE[0], ":", "D"), (PALETTE[6], "-", "v"), (PALETTE[7], "--", "o")),
)
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
    _require_several(report.settings.guidance, "guidance")
    scales = sorted(set(report.settings.guidance))
    steps, scheduler = report.settings.steps[0], report.settings.schedulers[0]
    samplings = [Sampling(scale, steps, scheduler) for scale in scales]
    curves = {GOALS[s][1]: (s, samplings) for s in GOALS if s in report.settings.splits}
    sheet = Sheet(840, 340, alt="")
    left, right = sheet.subplots(1, 2, width_ratios=(3, 2))
    rates = _draw_curves(left, report, scales, curves)
    _label(left, "guidance scale", "per cent of the images")
    spread = _draw_diversity(right, report, samplings)
    _label(right, "guidance scale", "diversity between seeds")
    sheet.alt = f"per cent right against guidance. {rates}. Diversity: {spread}."
    sheet.tight_layout()
    return sheet


def plot_steps(report: Report) -> Figure:
    """One subject, all right: against the number of steps, a line for each scheduler."""
    _require_several(report.settings.steps, "steps")
    steps = sorted(set(report.settings.steps))
    guidance, own = report.settings.guidance[0], report.own_scheduler.removesuffix("Scheduler")
    curves = {
        name or f"own ({own})": ("single", [Sampling(guidance, n, name) for n in steps])
        for name in report.settings.schedulers
    }
    sheet = Sheet(640, 360, alt="")
    ax = sheet.add_subplot()
    rates = _draw_curves(ax, report, steps, curves)
    ax.set_xscale("log")
    ax.set_xticks(steps, [str(n) for n in steps])
    ax.minorticks_off()
    _label(ax, "steps", "one subject, all right, per cent")
    sheet.alt = f"per cent right against steps. {rates}"
    sheet.tight_layout()
    return sheet


def plot_composition(report: Report) -> Figure:
    """What is right in seen and in unseen combinations, by attribute, at the first sampling."""
    sampling = report.settings.samplings[0]
    groups = {"seen in training": "single", "never seen in training": "held_out"}
    names = [name.replace("_", " ") for name in SINGLE_COLUMNS]
    sheet = Sheet(640, 380, alt="")
    ax = sheet.add_subplot()
    told = []
    for (label, split), side, colour in zip(
        groups.items(), (-0.2, 0.2), (PALETTE[1], PALETTE[5]), strict=True
    ):
        rates = list(report.generated(split, sampling).values())
        _draw_bars(ax, label, rates, side, colour)
        shares = (f"{n} {100 * r.share:.0f}" for n, r in zip(names, rates, strict=True))
        told.append(f"{label}: {', '.join(shares)}")
    ax.set_yticks(range(len(names)), names)
    _label(ax, "right, per cent of the images", "")
    ax.set(xlim=(0, 102), ylim=(len(names) - 0.5, -0.5))
    sheet.legend(fontsize=TEXT, frameon=False, ncols=2, loc="upper center")
    sheet.alt = f"per cent right at {sampling}. {'; '.join(told)}"
    sheet.tight_layout(rect=(0, 0, 1, 0.92))
    return sheet


def _require_several(values: Sequence[float], name: str) -> None:
    if len(set(values)) < 2:
        raise ValueError(f"{name} must hold at least two values for a curve; got {list(values)}")


def _bounds(rates: Iterable[Rate]) -> tuple[list[float], list[float]]:
    low, high = zip(*(rate.interval for rate in rates), strict=True)
    return [100 * x for x in low], [100 * x for x in high]


def _draw_curves(
    ax: Axes,
    report: Report,
    x: Sequence[float],
    curves: Mapping[str, tuple[str, Iterable[Sampling]]],
) -> str:
    """A curve for each label, of a split and its samplings, in a band of its intervals.

    Returns all of them in words.
    """
    told = []
    for (label, (split, samplings)), look in zip(curves.items(), cycle(LOOKS), strict=False):
        rates = [report.generated(split, sampling)[GOALS[split][0]] for sampling in samplings]
        shares, (colour, line, marker) = [100 * rate.share for rate in rates], look
        ax.plot(x, shares, line, color=colour, marker=marker, markersize=5, label=label)
        ax.fill_between(x, *_bounds(rates), color=colour, alpha=0.15, linewidth=0)
        numbers = (f"{share:.0f} at {at:g}" for at, share in zip(x, shares, strict=True))
        told.append(f"{label}: {', '.join(numbers)}")
    ax.set_ylim(0, 102)
    ax.legend(fontsize=TEXT - 1, frameon=False, loc="lower right")
    return "; ".join(told)


def _draw_diversity(ax: Axes, report: Report, samplings: Sequence[Sampling]) -> str:
    """Diversity in a band of its intervals beside the world's own; returns it in words."""
    entries = {entry.sampling: entry for entry in report.diversity}
    x, found = [s.guidance_scale for s in samplings], [entries[s] for s in samplings]
    low, high = zip(*(entry.interval for entry in found), strict=True)
    ax.plot(x, [entry.distance for entry in found], color=PALETTE[6], marker="o", markersize=5)
    ax.fill_between(x, low, high, color=PALETTE[6], alpha=0.2, linewidth=0)
    world = entries[None].distance
    ax.axhline(world, color=PALETTE[7], linestyle=":")
    ax.annotate("drawn by the world", (x[-1], world), ha="right", va="bottom", fontsize=TEXT - 1)
    ax.set_ylim(0, 1.15 * max(world, *high))
    return ", ".join(f"{e.distance:.2f} at {at:g}" for at, e in zip(x, found, strict=True))


def _draw_bars(ax: Axes, label: str, rates: Sequence[Rate], side: float, colour: str) -> None:
    places = [i + side for i in range(len(rates))]
    shares = [100 * rate.share for rate in rates]
    ax.barh(places, shares, 0.36, color=colour, label=label)
    ax.hlines(places, *_bounds(rates), color=PALETTE[7], linewidth=1.2)
    for place, share in zip(places, shares, strict=True):
        ax.text(1, place, f"{share:.0f}", va="center", fontsize=TEXT - 1)


def _label(ax: Axes, xlabel: str, ylabel: str) -> None:
    ax.set_xlabel(xlabel, fontsize=TEXT)
    ax.set_ylabel(ylabel, fontsize=TEXT)
    ax.tick_params(labelsize=TEXT - 1)
    ax.spines[["top", "right"]].set_visible(False)
