"""A report as text: a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from .adherence import PAIR_COLUMNS, SINGLE_COLUMNS
from .intervals import Rate
from .report import Report, Row

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
    "all_right": "all right",
}
LABEL_WIDTH, COLUMN_WIDTH = 38, 9
NOTES = """\
Per cent of the pictures, with Wilson's 95 % interval below. renders: pictures drawn by the world,
what the judge can read. VAE round trips: the ceiling. shuffled captions: the floor, chance.
both: both subjects and both colours, each on its side. swapped: both subjects, with each other's
colour (less is better)."""


def format_report(report: Report) -> str:
    """The report as a table of at most 110 columns."""
    blocks = [_heading(report)]
    for split in dict.fromkeys(row.split for row in report.rows):
        rows = [row for row in report.rows if row.split == split]
        blocks.append("\n".join(_table(rows, report.settings.prompts)))
    blocks += [NOTES, "\n".join(_diversity(report)), _autoencoder(report)]
    return "\n\n".join(blocks)


def _heading(report: Report) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    return f"model {report.model} on {report.device}, {report.dtype}\n{versions}"


def _table(rows: list[Row], prompts: int) -> Iterator[str]:
    columns = PAIR_COLUMNS if rows[0].split == "pairs" else SINGLE_COLUMNS
    headings = (HEADINGS.get(name, name) for name in columns)
    yield f"{TITLES[rows[0].split]}, {prompts} prompts"
    yield " " * LABEL_WIDTH + "".join(f"{name:>{COLUMN_WIDTH}}" for name in headings)
    for row in rows:
        rates = [row.rates[name] for name in columns]
        label = str(row.sampling) if row.source == "generated" else row.source
        yield f"{label:{LABEL_WIDTH}}" + "".join(
            f"{100 * rate.share:{COLUMN_WIDTH}.1f}" for rate in rates
        )
        yield " " * LABEL_WIDTH + "".join(f"{_interval(rate):>{COLUMN_WIDTH}}" for rate in rates)


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
        yield f"{entry.sampling or entry.source!s:{LABEL_WIDTH}}{entry.distance:{COLUMN_WIDTH}.3f}"


def _autoencoder(report: Report) -> str:
    found = report.autoencoder
    return (
        f"VAE round trips of {found.pictures} unseen pictures: "
        f"PSNR {found.psnr_mean:.2f} dB (worst {found.psnr_worst:.2f}), "
        f"SSIM {found.ssim_mean:.4f} (worst {found.ssim_worst:.4f})"
    )


def to_json(report: Report) -> str:
    """Everything in the report as JSON; the same measurement gives the same text."""
    data = asdict(report)
    for row, written in zip(report.rows, data["rows"], strict=True):
        written["rates"] = {name: _rate(rate) for name, rate in row.rates.items()}
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _rate(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval
    return {**asdict(rate), "share": rate.share, "low": low, "high": high}
