"""A benchmark's report as text: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from benchmarks.records import ENOUGH, Comparison, Fit, Profile, Report, Result, Side, Timing
from sdlearn.inside.anatomy import aligned, bytes_text, flops_text, share_text

COLUMNS = ("", "median", "fastest", "spread", "U-Net", "a call", "peak", "of the limit")


def format_report(report: Report) -> str:
    """The report as tables for a terminal of 100 columns."""
    task = report.results[0].task
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    where = f"{report.processor}, {_count(report.threads, 'thread')}"
    heading = f"{task.model} on {task.device}, {task.dtype}: {where}\n{versions}"
    blocks = [heading, *map(_block, report.results), "\n".join(_notes(report))]
    if report.warning:
        blocks.append(f"warning: {report.warning}")
    return "\n\n".join(filter(None, blocks))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _block(result: Result) -> str:
    task = result.task
    images = "1 image" if task.batch == 1 else f"{task.batch} images at a time"
    compiled = ", sdlearn compiled" if task.compiled else ""
    title = f"guidance {task.guidance:g}, {_count(task.steps, 'step')}, {images}{compiled}"
    if isinstance(result, Comparison):
        return "\n".join([title, *_comparison(result)])
    if isinstance(result, Profile):
        where = f"where the time of sdlearn goes, {result.calls} calls of the U-Net"
        return f"{title}: {where}\n{_profile(result)}"
    return f"{title}: {_fit(result)}"


def _comparison(found: Comparison) -> Iterator[str]:
    verdict = _verdict(found)
    if found.ratio is None:
        yield f"{verdict}: no ratio"
        return
    others = (f", {found.ratio_to(side):.3f} to {side.name}" for side in found.sides[2:])
    yield f"{verdict}, ratio {found.ratio:.3f}{''.join(others)}"
    rows = [_side(side) for side in found.sides]
    kept = [i for i, cells in enumerate(zip(*rows, strict=True)) if any(cells)]
    yield aligned([tuple(row[i] for i in kept) for row in (COLUMNS, *rows)], left={0})


def _verdict(found: Comparison) -> str:
    apart, timed, verdict = found.difference, found.as_timed, "images identical"
    if apart.pixels:
        allowed = f" (tolerance {found.tolerance})" if apart.within(found.tolerance) else ""
        verdict = (
            f"images differ in {apart.pixels:,} of {apart.of:,} pixels, "
            f"by up to {apart.levels} of 255 levels{allowed}"
        )
    if timed is not None and timed.pixels:
        levels = _count(timed.levels, "level")
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
        f"{unet.calls} x {unet.images // unet.calls}" if unet else "",
        f"{timing.median / unet.calls:.4f} s" if unet else "",
        bytes_text(side.peak) if side.peak else "",
        share_text(side.share) if side.share else "",
    )


def _profile(found: Profile) -> str:
    stages = found.median
    total = sum(stages.values())
    rows = [*stages.items(), ("the image", total)]
    cells = [(f"  {name}", f"{1000 * s:.1f} ms", share_text(s / total)) for name, s in rows]
    return aligned(cells, left={0})


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
        yield "In turns, each with another prompt and other seeds, the same for all."
        yield "ratio: our median to that of diffusers. spread: (slowest - fastest) / median."
    if any(len(comparison.sides) > 2 for comparison in found):
        yield "A plain loop: U-Net and decoder as torch.onnx exports them, diffusers' scheduler."
    if any(c.sides and c.as_timed and c.as_timed.pixels for c in found):
        yield "As timed: in the layout, slices and compiled code of sdlearn, which round otherwise."
    limit = next((side.limit for side in sides if side.limit), None)  # one device, one limit
    if limit is not None:
        on_gpu = report.results[0].task.device == "cuda"
        kind = "allocated on the GPU" if on_gpu else "resident, libraries too,"
        yield "U-Net: calls x images in each call. a call: median / calls."
        yield f"peak: {kind} in a process that loads only one and draws 2 steps at most."
        yield "of the limit: work of U-Net and decoder / median, of what a product of two large"
        yield f"matrices reaches here with as many threads: {flops_text(int(limit))}/s, measured."
        if on_gpu and report.results[0].task.dtype == "float32":
            yield "That product is computed in TF32, as cuDNN's convolutions are."
    if any(not comparison.task.guidance for comparison in found):
        yield "At guidance 0 diffusers is given no prompt and scale 1, which is the same image."
    repeats = min((len(timing.seconds) for timing in report.timings), default=ENOUGH)
    if repeats < ENOUGH:
        yield f"Only {_count(repeats, 'repeat')}; a median wants {ENOUGH} or more."


def to_json(report: Report) -> str:
    """Everything that was measured, with medians, ratios and shares beside their sources."""
    results = [_result(result) for result in report.results]
    data = asdict(report) | {"warning": report.warning, "results": results}
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
    names = "seconds", "median", "fastest", "spread"
    return {name: getattr(timing, name) for name in names}
