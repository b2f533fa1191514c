"""A report as text: a table for people, JSON for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from .adherence import PAIR_COLUMNS, SINGLE_COLUMNS
from .intervals import Rate
from .report import Report, Row, Sampling

__all__ = ["format_report", "to_json"]

TITLES = {
    "single": "one subject",
    "held_out": "one subject, held-out combinations",
    "pairs": "two subjects",
}
HEADINGS = {
    "both_subjects": "subjects",
    "both_colours": "colours",
    "both_subjects_and_colours": "both",
    "colours_swapped": "swapped",
    "all_right": "all",
}
WIDTH = 99  # a label and eight columns
LABEL_WIDTH, COLUMN_WIDTH = 27, 9
NOTES = """\
Per cent of the pictures, with Wilson's 95 % interval below. renders: pictures drawn by the world,
what the judge can read. VAE round trips: the ceiling. shuffled captions: the floor, chance.
all: everything that the prompt names is right, and no second subject came unasked.
both: both subjects and both colours, each on its side. swapped: both subjects, with each other's
colour (less is better). In brackets: the 95 % interval of a mean over prompts or images."""


def format_report(report: Report) -> str:
    """The report as a table for a terminal of 100 columns."""
    blocks = [_heading(report)]
    for split in dict.fromkeys(row.split for row in report.rows):
        rows = [row for row in report.rows if row.split == split]
        blocks.append("\n".join(_table(rows, report.settings.prompts)))
    blocks += [NOTES, "\n".join(_diversity(report)), "\n".join(_autoencoder(report))]
    return "\n\n".join(blocks)


def _heading(report: Report) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    return (
        f"model {report.model}\n"
        f"{report.device}, {report.dtype}, own scheduler {report.own_scheduler}, "
        f"seeds from {report.settings.seed}\n{textwrap.fill(versions, WIDTH)}"
    )


def _table(rows: list[Row], prompts: int) -> Iterator[str]:
    columns = PAIR_COLUMNS if rows[0].split == "pairs" else SINGLE_COLUMNS
    headings = (HEADINGS.get(name, name) for name in columns)
    yield f"{TITLES[rows[0].split]}, {prompts} prompts"
    yield " " * LABEL_WIDTH + "".join(f"{name:>{COLUMN_WIDTH}}" for name in headings)
    for row in rows:
        rates = [row.rates[name] for name in columns]
        label, detail = _labels(row.source, row.sampling)
        yield f"{label:{LABEL_WIDTH}}" + "".join(
            f"{100 * rate.share:{COLUMN_WIDTH}.1f}" for rate in rates
        )
        yield f"{detail:{LABEL_WIDTH}}" + "".join(
            f"{_interval(rate):>{COLUMN_WIDTH}}" for rate in rates
        )


def _labels(source: str, sampling: Sampling | None) -> tuple[str, str]:
    """What stands before a row's two lines: "guidance 3" and "  20 steps, ddim"."""
    if sampling is None or source != "generated":
        return source, ""
    guidance, rest = str(sampling).split(", ", 1)
    return guidance, f"  {rest}"


def _interval(rate: Rate) -> str:
    low, high = rate.interval
    return f"{100 * low:.0f}-{100 * high:.0f}"


def _diversity(report: Report) -> Iterator[str]:
    settings = report.settings
    yield (
        f"diversity: pixel distance between {settings.diversity_seeds} seeds, "
        f"mean over {settings.diversity_prompts} prompts"
    )
    for entry in report.diversity:
        low, high = entry.interval
        label = str(entry.sampling or entry.source)
        yield f"{label:{LABEL_WIDTH + COLUMN_WIDTH}} {entry.distance:.3f} ({low:.3f} to {high:.3f})"


def _autoencoder(report: Report) -> Iterator[str]:
    found = report.autoencoder
    yield f"VAE round trips of {found.pictures} unseen pictures"
    low, high = found.psnr_interval
    yield f"PSNR {found.psnr_mean:.2f} dB ({low:.2f} to {high:.2f}), worst {found.psnr_worst:.2f}"


def to_json(report: Report) -> str:
    """Everything in the report as JSON; the same measurement gives the same text."""
    data = asdict(report)
    for row, written in zip(report.rows, data["rows"], strict=True):
        written["rates"] = {name: _rate(rate) for name, rate in row.rates.items()}
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _rate(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval
    return {**asdict(rate), "share": rate.share, "low": low, "high": high}
