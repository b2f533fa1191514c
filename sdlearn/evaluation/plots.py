"""A report as pictures: adherence and diversity against guidance, adherence against steps, and
combinations that were seen in training beside those that were not.

Bands and whiskers are the 95 % intervals of the report. Each function returns a `Figure` and
raises `ValueError` when the report did not measure what it shows; `figures` draws what it can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..viz import PALETTE, Sheet
from .adherence import SINGLE_COLUMNS
from .intervals import Rate
from .report import Report, Row, Sampling

__all__ = ["NAMES", "figures", "plot_composition", "plot_guidance", "plot_steps"]

GOALS = {  # split → the column that says "as it was asked for", and its name
    "single": ("all_right", "one subject, all right"),
    "pairs": ("both_subjects_and_colours", "two subjects, both right"),
    "held_out": ("all_right", "unseen combination, all right"),
}
TEXT = 10  # points
NAMES = ("composition", "guidance", "steps")  # of all figures there are


@dataclass(frozen=True)
class _Curve:
    label: str
    x: Sequence[float]
    rates: Sequence[Rate]

    def __str__(self) -> str:
        told = zip(self.x, self.rates, strict=True)
        return f"{self.label}: " + ", ".join(f"{100 * r.share:.0f} at {x:g}" for x, r in told)


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
    samplings = [_sampling(report, guidance_scale=scale) for scale in scales]
    splits = [split for split in GOALS if split in report.settings.splits]
    curves = [_Curve(GOALS[split][1], scales, _goal(report, split, samplings)) for split in splits]
    spread = {entry.sampling: entry.distance for entry in report.diversity}
    told = ", ".join(f"{spread[s]:.2f} at {s.guidance_scale:g}" for s in samplings)
    alt = f"per cent right against guidance. {'; '.join(map(str, curves))}. Diversity: {told}."
    sheet = Sheet(840, 340, alt)
    left, right = sheet.subplots(1, 2, width_ratios=(3, 2))
    _draw(left, curves)
    _finish(left, "guidance scale", "per cent of the pictures")
    _draw_diversity(right, report, samplings)
    _finish(right, "guidance scale", "diversity between seeds")
    sheet.tight_layout()
    return sheet


def plot_steps(report: Report) -> Figure:
    """One subject, all right: against the number of steps, a line for each scheduler."""
    steps = _several(report.settings.steps, "steps")
    curves = []
    for name in report.settings.schedulers:
        samplings = [_sampling(report, num_steps=n, scheduler=name) for n in steps]
        label = name or f"own ({report.own_scheduler.removesuffix('Scheduler')})"
        curves.append(_Curve(label, steps, _goal(report, "single", samplings)))
    sheet = Sheet(640, 360, f"per cent right against steps. {'; '.join(map(str, curves))}")
    ax = sheet.add_subplot()
    _draw(ax, curves)
    ax.set_xscale("log")
    ax.set_xticks(steps, [str(n) for n in steps])
    ax.minorticks_off()
    _finish(ax, "steps", "one subject, all right, per cent")
    sheet.tight_layout()
    return sheet


def plot_composition(report: Report) -> Figure:
    """What is right in seen and in unseen combinations, by attribute, at the first sampling."""
    sampling = report.settings.samplings[0]
    groups = {
        "seen in training": _rates(report, "single", sampling),
        "never seen in training": _rates(report, "held_out", sampling),
    }
    names = [name.replace("_", " ") for name in SINGLE_COLUMNS]
    told = "; ".join(
        f"{label}: "
        + ", ".join(f"{n} {100 * r.share:.0f}" for n, r in zip(names, rates, strict=True))
        for label, rates in groups.items()
    )
    sheet = Sheet(640, 380, f"per cent right at {sampling}. {told}")
    ax = sheet.add_subplot()
    for (label, rates), offset, colour in zip(
        groups.items(), (-0.2, 0.2), (PALETTE[1], PALETTE[5]), strict=True
    ):
        _draw_bars(ax, label, rates, offset, colour)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    _finish(ax, "right, per cent of the pictures", "")
    ax.set(xlim=(0, 102), ylim=(len(names) - 0.5, -0.5))
    sheet.legend(fontsize=TEXT, frameon=False, ncols=2, loc="upper center")
    sheet.tight_layout(rect=(0, 0, 1, 0.92))
    return sheet


def _several(values: Sequence[float], name: str) -> list[float]:
    if len(set(values)) < 2:
        raise ValueError(f"{name} must hold at least two values for a curve; got {list(values)}")
    return sorted(set(values))


def _sampling(report: Report, **chosen: object) -> Sampling:
    """The first sampling of the report with these values."""
    samplings = report.settings.samplings
    return next(s for s in samplings if vars(s).items() >= chosen.items())


def _row(report: Report, split: str, sampling: Sampling) -> Row:
    wanted = (split, "generated", sampling)
    for row in report.rows:
        if (row.split, row.source, row.sampling) == wanted:
            return row
    raise ValueError(f"report must hold the split {split!r}; it has {report.settings.splits}")


def _rates(report: Report, split: str, sampling: Sampling) -> list[Rate]:
    rates: Mapping[str, Rate] = _row(report, split, sampling).rates
    return [rates[name] for name in SINGLE_COLUMNS]


def _goal(report: Report, split: str, samplings: Iterable[Sampling]) -> list[Rate]:
    return [_row(report, split, sampling).rates[GOALS[split][0]] for sampling in samplings]


def _bounds(rates: Iterable[Rate]) -> tuple[list[float], list[float]]:
    low, high = zip(*(rate.interval for rate in rates), strict=True)
    return [100 * x for x in low], [100 * x for x in high]


def _draw(ax: Axes, curves: Iterable[_Curve]) -> None:
    """Curves told apart by colour, line and marker, each in a band of its intervals."""
    colours = cycle(PALETTE[i] for i in (4, 5, 2, 0, 6, 7))
    styles = zip(colours, cycle(("-", "--", "-.", ":")), cycle("os^Dv"), strict=False)
    for curve, (colour, line, marker) in zip(curves, styles, strict=False):
        shares = [100 * rate.share for rate in curve.rates]
        ax.plot(curve.x, shares, line, color=colour, marker=marker, markersize=5, label=curve.label)
        ax.fill_between(curve.x, *_bounds(curve.rates), color=colour, alpha=0.15, linewidth=0)
    ax.set_ylim(0, 102)
    ax.legend(fontsize=TEXT - 1, frameon=False, loc="lower right")


def _draw_diversity(ax: Axes, report: Report, samplings: Sequence[Sampling]) -> None:
    entries = {entry.sampling: entry for entry in report.diversity}
    found, x = [entries[s] for s in samplings], [s.guidance_scale for s in samplings]
    low, high = zip(*(entry.interval for entry in found), strict=True)
    ax.plot(x, [entry.distance for entry in found], color=PALETTE[6], marker="o", markersize=5)
    ax.fill_between(x, low, high, color=PALETTE[6], alpha=0.2, linewidth=0)
    world = entries[None].distance
    ax.axhline(world, color=PALETTE[7], linestyle=":")
    ax.annotate("drawn by the world", (x[-1], world), ha="right", va="bottom", fontsize=TEXT - 1)
    ax.set_ylim(0, 1.15 * max(world, *high))


def _draw_bars(ax: Axes, label: str, rates: Sequence[Rate], offset: float, colour: str) -> None:
    places = [i + offset for i in range(len(rates))]
    shares = [100 * rate.share for rate in rates]
    ax.barh(places, shares, 0.36, color=colour, label=label)
    ax.hlines(places, *_bounds(rates), color=PALETTE[7], linewidth=1.2)
    for place, share in zip(places, shares, strict=True):
        ax.text(1, place, f"{share:.0f}", va="center", fontsize=TEXT - 1)


def _finish(ax: Axes, xlabel: str, ylabel: str) -> None:
    ax.set_xlabel(xlabel, fontsize=TEXT)
    ax.set_ylabel(ylabel, fontsize=TEXT)
    ax.tick_params(labelsize=TEXT - 1)
    ax.spines[["top", "right"]].set_visible(False)
