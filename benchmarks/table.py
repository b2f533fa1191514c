"""A benchmark's report as text: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from benchmarks.report import ENOUGH, Comparison, Fit, Profile, Report, Result, Side
from benchmarks.task import Task
from benchmarks.timing import Timing
from sdlearn.inside.anatomy import aligned, bytes_text, flops_text, share_text

__all__ = ["UNMEASURED", "format_report", "to_json"]

# What a run without a GPU leaves open, and the command that fills it.
UNMEASURED = {
    "tiny on a GPU": "sdlearn bench --device cuda",
    "the same, cold": "sdlearn bench --device cuda --cold --tolerance 2",
    "SD 1.5 on a GPU": "sdlearn bench --model sd15 --device cuda --guidance 7.5",
    "SD 1.5, compiled": "sdlearn bench --model sd15 --device cuda --guidance 7.5 --compile",
    "SD 1.5 in 8 GB": "sdlearn bench --model sd15 --device cuda --cap 8GB",
}
COLUMNS = ("", "median", "fastest", "spread", "U-Net", "a call", "peak", "of the limit")


def format_report(report: Report) -> str:
    """The report as tables for a terminal of 100 columns."""
    blocks = [_heading(report), *map(_block, report.results), "\n".join(_notes(report))]
    first = report.results[0]
    if isinstance(first, Comparison) and first.task.device == "cpu":
        rows = [(f"  {name}", "not measured", line) for name, line in UNMEASURED.items()]
        blocks.append(f"what wants a GPU:\n{aligned(rows, left={0, 1, 2})}")
    if report.warning:
        blocks.append(f"warning: {report.warning}")
    return "\n\n".join(filter(None, blocks))


def _heading(report: Report) -> str:
    machine, task = report.machine, report.results[0].task
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    threads = f"{machine.threads} thread{'s' * (machine.threads != 1)}"
    return (
        f"{task.model} on {task.device}, {task.dtype}: {machine.processor}, {threads}\n{versions}"
    )


def _block(result: Result) -> str:
    if isinstance(result, Comparison):
        return "\n".join(_comparison(result))
    if isinstance(result, Profile):
        return "\n".join(_profile(result))
    return f"{_task(result.task)}: {_fit(result)}"


def _task(task: Task) -> str:
    pictures = "1 picture" if task.batch == 1 else f"{task.batch} pictures at a time"
    steps = f"{task.steps} step{'s' * (task.steps != 1)}"
    compiled = ", sdlearn compiled" if task.compiled else ""
    return f"guidance {task.guidance:g}, {steps}, {pictures}{compiled}"


def _comparison(found: Comparison) -> Iterator[str]:
    yield _task(found.task)
    verdict = _verdict(found)
    if found.ratio is None:
        yield f"{verdict}: no ratio"
        return
    yield f"{verdict}, ratio {found.ratio:.3f}"
    rows = [_side(side) for side in found.sides]
    kept = [i for i, cells in enumerate(zip(*rows, strict=True)) if any(cells)]
    yield aligned([tuple(row[i] for i in kept) for row in (COLUMNS, *rows)], left={0})


def _verdict(found: Comparison) -> str:
    apart, timed, verdict = found.difference, found.as_timed, "pictures identical"
    if apart.pixels:
        allowed = f" (tolerance {found.tolerance})" if apart.within(found.tolerance) else ""
        verdict = (
            f"pictures differ in {apart.pixels:,} of {apart.of:,} pixels, "
            f"by up to {apart.levels} of 255 levels{allowed}"
        )
    if timed is not None and timed.pixels:
        levels = f"{timed.levels} level{'s' * (timed.levels != 1)}"
        verdict += f"; as timed up to {levels} in {timed.pixels:,} of {timed.of:,} pixels"
    return verdict


def _side(side: Side) -> tuple[str, ...]:
    """The cells of one contestant, "" for what was not measured."""
    unet, timing = side.unet, side.timing
    return (
        f"  {side.name}",
        f"{timing.median:.3f} s",
        f"{timing.fastest:.3f} s",
        f"{100 * timing.spread:.1f} %",
        f"{unet.calls} x {unet.pictures // unet.calls}" if unet else "",
        f"{timing.median / unet.calls:.4f} s" if unet else "",
        bytes_text(side.peak) if side.peak else "",
        share_text(side.share) if side.share else "",
    )


def _profile(found: Profile) -> Iterator[str]:
    stages = found.median
    total = sum(stages.values())
    yield f"{_task(found.task)}: where the time of sdlearn goes, {found.calls} calls of the U-Net"
    rows = [*stages.items(), ("the picture", total)]
    yield aligned(
        [(f"  {name}", f"{1000 * s:.1f} ms", share_text(s / total)) for name, s in rows], left={0}
    )


def _fit(found: Fit) -> str:
    cap = bytes_text(found.cap)
    if found.peak is None:
        return f"{found.name} does not fit into {cap}"
    return f"{found.name} fits into {cap}, with a peak of {bytes_text(found.peak)}"


def _notes(report: Report) -> Iterator[str]:
    """What the columns mean, and what to know of these rows."""
    found = [result for result in report.results if isinstance(result, Comparison)]
    sides = [side for comparison in found for side in comparison.sides]
    if sides:
        yield "The same prompt and seeds each time, in turns. spread: (slowest - fastest) / median."
    if any(c.sides and c.as_timed and c.as_timed.pixels for c in found):
        yield "As timed: in the layout, slices and compiled code of sdlearn, which round otherwise."
    limit = next((side.limit for side in sides if side.limit), None)  # one device, one limit
    if limit is not None:
        on_gpu = report.results[0].task.device == "cuda"
        kind = "allocated on the GPU" if on_gpu else "resident, libraries too,"
        yield "U-Net: calls x pictures in each call. a call: median / calls."
        yield f"peak: {kind} in a process that loads only one and draws 2 steps at most."
        yield "of the limit: work of U-Net and decoder / median, of what a product of two large"
        yield f"matrices reaches here with as many threads: {flops_text(int(limit))}/s, measured."
        if on_gpu and report.results[0].task.dtype == "float32":
            yield "That product is computed in TF32, as cuDNN's convolutions are."
    if any(not comparison.task.guidance for comparison in found):
        yield "At guidance 0 diffusers is given no prompt and scale 1, which is the same picture."
    repeats = min((len(timing.seconds) for timing in report.timings), default=ENOUGH)
    if repeats < ENOUGH:
        yield f"Only {repeats} repeat{'s' * (repeats != 1)}; a median wants {ENOUGH} or more."


def to_json(report: Report) -> str:
    """Everything that was measured, with medians, ratios and shares beside their sources."""
    data = {
        "machine": asdict(report.machine),
        "warning": report.warning,
        "results": [_result(result) for result in report.results],
    }
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _result(result: Result) -> dict[str, Any]:
    kind = {"kind": type(result).__name__.lower(), **asdict(result)}
    if isinstance(result, Comparison):
        sides = [
            asdict(side) | {"timing": _timing(side.timing), "share": side.share}
            for side in result.sides
        ]
        return kind | {"ratio": result.ratio, "sides": sides}
    if isinstance(result, Profile):
        timings = {stage: _timing(timing) for stage, timing in result.stages.items()}
        return kind | {"stages": timings, "median": result.median}
    return kind


def _timing(timing: Timing) -> dict[str, Any]:
    return {
        **asdict(timing),
        "median": timing.median,
        "fastest": timing.fastest,
        "spread": timing.spread,
    }
