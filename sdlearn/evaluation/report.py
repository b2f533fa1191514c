"""The whole evaluation, from ceiling to floor: what was measured, as a table and as JSON.

For each split the same rows: renders (how well the judge reads perfect images), VAE round trips
(the best that the decoder can show: the ceiling), generated images for each `Sampling`, and
shuffled captions (the first sampling's images judged by what another prompt asks for: the floor,
chance). Prompts are full captions, or written by hand (`prompts`), and image i has seed
`settings.seed + i`, so all rows of a split share their scenes and all samplings their noise.

The file of hand-written prompts is drawn with as many seeds as `settings.prompts` has room for.
Images of one prompt are more alike than those of two, so its intervals are then a little too
narrow.

What is new to the model? The world has 280,080 combinations of attributes with one subject that
training may show, and the shipped U-Net learned from 98,304 images of it in four rounds. So of the
first 1,000 "single" prompts 40 % name a combination that these rounds drew too, of "styles" 16 %
and of "pairs" 2 %; of "held_out" and "held_out_styles" none. The wording is new in all of them, but
for two of the hand-written ones. "all_test", where the autoencoder is measured, is mixed as its
training is.
"""

from __future__ import annotations

import json
import platform
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from statistics import fmean
from typing import Any

from ..pipeline import Defaults, StableDiffusion
from ..util.progress import Progress, no_progress
from ..world import scenes
from .adherence import COLUMNS, PAIR_COLUMNS, generate_images, mistakes, tally
from .intervals import Rate, mean_interval
from .judge import Judge, Reading
from .measures import Fidelity, diversity, fidelity, render_batches, round_trips, world_diversity
from .prompts import Prompt, find_prompts

TITLES = {
    "single": "one subject",
    "held_out": "one subject, held-out combinations",
    "pairs": "two subjects",
    "styles": "another style than the storybook's",
    "held_out_styles": "one subject, held-out pairs of style and subject",
    "handwritten": "written by hand",
    "beyond": "written by hand, each with a word that no caption has",
}
SPLITS = tuple(TITLES)
# Two prompts, since the floor needs another prompt's scene; two of what a mean is taken over.
LEAST = dict.fromkeys(("prompts", "vae_images", "diversity_prompts", "diversity_seeds"), 2)
LEAST |= {"batch_size": 1, "seed": 0}
HEADINGS = {
    "both_subjects_and_colours": "both",
    "colours_swapped": "swapped",
    "sky_items": "items",
    "all_right": "all",
}
LABEL_WIDTH, CELL_WIDTH = 18, 6  # a label and all columns fill at most 99 characters
NOTES = """\
Per cent of the images, with Wilson's 95 % interval below. renders: images drawn by the world,
what the judge can read. VAE round trips: the ceiling. shuffled captions: the floor, chance.
Below the guidance scale stand the steps and the scheduler.
items: as many sky items as were asked for, never two. all: everything that was asked for is right,
and no second subject came unasked; a prompt written by hand asks for what it names, and each column
counts the prompts that name it. Of two subjects, subject and colour mean both, each on its side;
both: subjects and colours; swapped: both subjects, with each other's colour (less is better).
In brackets: the 95 % interval of a mean over prompts or images."""


@dataclass(frozen=True)
class Sampling:
    """One way to generate: a row of the table. The fields are arguments of `generate`."""

    guidance_scale: float
    num_steps: int
    scheduler: str | None  # None = the model's own

    def __str__(self) -> str:
        steps = "step" if self.num_steps == 1 else "steps"
        name = self.scheduler or "own scheduler"
        return f"guidance {self.guidance_scale:g}, {self.num_steps} {steps}, {name}"


@dataclass(frozen=True)
class Settings:
    """What to measure and on how much."""

    prompts: int = 200  # in each split; of those written by hand there are not more than there are
    splits: tuple[str, ...] = SPLITS
    guidance: tuple[float, ...] = (Defaults.guidance_scale,)
    steps: tuple[int, ...] = (Defaults.num_steps,)
    schedulers: tuple[str | None, ...] = (None,)
    batch_size: int = 16  # images generated at a time
    seed: int = 0  # of the first image
    vae_images: int = 256
    diversity_prompts: int = 8
    diversity_seeds: int = 8

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; got {getattr(self, name)}")
        if not self.splits or not set(self.splits) <= set(SPLITS):
            raise ValueError(f"splits must be some of {', '.join(SPLITS)}; got {self.splits}")
        if not self.samplings:
            raise ValueError("guidance, steps and schedulers must each hold at least one value")

    @property
    def samplings(self) -> list[Sampling]:
        """Every guidance scale with every number of steps and every scheduler."""
        return [Sampling(*one) for one in product(self.guidance, self.steps, self.schedulers)]


@dataclass(frozen=True)
class Row:
    """One row of the table: what the judge found in one split's images from one source."""

    split: str
    source: str  # "renders", "VAE round trips", "generated", a writer, or "shuffled captions"
    sampling: Sampling | None  # of generated images
    rates: dict[str, Rate]
    mistakes: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Diversity:
    """How much images of one prompt differ from seed to seed, see `pixel_distance`."""

    source: str  # "renders" or "generated"
    sampling: Sampling | None
    distance: float  # mean over prompts
    interval: tuple[float, float]  # 95 %, of the mean


@dataclass(frozen=True)
class Report:
    """Everything that was measured, and with what."""

    model: str
    own_scheduler: str  # class of the scheduler that a sampling without one takes
    device: str
    dtype: str
    versions: dict[str, str]
    settings: Settings
    rows: list[Row]
    diversity: list[Diversity]
    autoencoder: Fidelity

    def generated(self, split: str, sampling: Sampling) -> dict[str, Rate]:
        """What was found in the images generated for a split; `ValueError` when none were."""
        for row in self.rows:
            if (row.split, row.source, row.sampling) == (split, "generated", sampling):
                return row.rates
        raise ValueError(f"report must hold the split {split!r}; it has {self.settings.splits}")


def evaluate(
    sd: StableDiffusion, judge: Judge, settings: Settings, progress: Progress = no_progress
) -> Report:
    """Measure `sd` as `settings` say. Bad samplings are refused before the work begins."""
    _check_samplings(sd, settings)
    rows = [row for split in settings.splits for row in _rows(sd, judge, split, settings, progress)]
    unseen = list(scenes(settings.vae_images, "all_test"))
    return Report(
        model=sd.name,
        own_scheduler=type(sd.scheduler).__name__,
        device=str(sd.device),
        dtype=str(sd.dtype),
        versions=_versions(),
        settings=settings,
        rows=rows,
        diversity=list(_diversity(sd, settings, progress)),
        autoencoder=fidelity(sd, unseen, settings.batch_size, progress),
    )


def _check_samplings(sd: StableDiffusion, settings: Settings) -> None:
    """Let `denoise` check the arguments of every sampling; it does so before its first step."""
    seeds = [settings.seed + settings.prompts - 1]
    latents, text = sd.init_latents(seeds), sd.encode_text("")
    for sampling in settings.samplings:
        sd.denoise(latents, text, text, seeds=seeds, **vars(sampling))


def _versions() -> dict[str, str]:
    from .. import __version__

    libraries = ("torch", "diffusers", "transformers", "numpy", "pillow")
    found = {name: version(name) for name in libraries}
    return {"sdlearn": __version__, "python": platform.python_version(), **found}


def _rows(
    sd: StableDiffusion, judge: Judge, split: str, settings: Settings, progress: Progress
) -> Iterator[Row]:
    prompts, size = find_prompts(split, settings.prompts), settings.batch_size
    texts = [prompt.text for prompt in prompts]
    asked, drawn = [prompt.asked for prompt in prompts], [prompt.scene for prompt in prompts]
    seeds = range(settings.seed, settings.seed + len(prompts))
    sources: list[tuple[str, Sampling | None, Iterable[Any]]] = [
        ("renders", None, render_batches(drawn, size)),
        ("VAE round trips", None, (restored for _, restored in round_trips(sd, drawn, size))),
    ]
    for sampling in settings.samplings:
        images = generate_images(sd, texts, seeds, size, **vars(sampling))
        sources.append(("generated", sampling, images))
    found = []
    for source, way, batches in sources:
        readings = (reading for images in batches for reading in judge.read(images))
        found.append(list(progress(readings, f"{split}, {way or source}", len(prompts))))
        yield Row(split, source, way, tally(found[-1], asked), mistakes(found[-1], asked))
        if way:
            yield from _rows_by_writer(split, way, found[-1], prompts)
    floor = tally(found[2], [*asked[1:], asked[0]])  # the first sampling, another prompt's scenes
    yield Row(split, "shuffled captions", settings.samplings[0], floor, {})


def _rows_by_writer(
    split: str, way: Sampling, readings: Sequence[Reading], prompts: Sequence[Prompt]
) -> Iterator[Row]:
    """Where it is known who wrote the prompts, a row for each writer."""
    for writer in dict.fromkeys(prompt.by for prompt in prompts if prompt.by):
        rows = [row for row in zip(readings, prompts, strict=True) if row[1].by == writer]
        theirs, asked = [reading for reading, _ in rows], [prompt.asked for _, prompt in rows]
        yield Row(split, writer, way, tally(theirs, asked), mistakes(theirs, asked))


def _diversity(sd: StableDiffusion, settings: Settings, progress: Progress) -> Iterator[Diversity]:
    asked = list(scenes(settings.diversity_prompts, "single"))
    seeds = range(settings.seed, settings.seed + settings.diversity_seeds)
    found = world_diversity(asked, len(seeds))
    yield Diversity("renders", None, fmean(found), mean_interval(found))
    for sampling in progress(settings.samplings, "diversity", len(settings.samplings)):
        found = diversity(sd, asked, seeds, **vars(sampling))
        yield Diversity("generated", sampling, fmean(found), mean_interval(found))


def format_report(report: Report) -> str:
    """The report as a table for a terminal of 100 columns."""
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    sampler = f"own scheduler {report.own_scheduler}, seeds from {report.settings.seed}"
    where = f"{report.device}, {report.dtype}, {sampler}"
    heading = f"model {report.model}\n{where}\n{textwrap.fill(versions, 99)}"
    tables = ["\n".join(_table(report, split)) for split in dict.fromkeys(report.settings.splits)]
    return "\n\n".join([heading, *tables, NOTES, "\n".join(_means(report))])


def _table(report: Report, split: str) -> Iterator[str]:
    columns = PAIR_COLUMNS if split == "pairs" else COLUMNS
    names = [HEADINGS.get(name, name) for name in columns]
    rows = [row for row in report.rows if row.split == split]
    yield f"{TITLES[split]}, {rows[0].rates['all_right'].total} images"
    yield _line("", names, names)
    for row in rows:
        label, detail = row.source, ""
        if row.source == "generated" and row.sampling:
            label = f"guidance {row.sampling.guidance_scale:g}"
            detail = f"{row.sampling.num_steps}, {row.sampling.scheduler or 'own'}"
        rates = [row.rates.get(name) for name in columns]
        yield _line(label, names, [f"{100 * r.share:.1f}" if r else "" for r in rates])
        yield _line(f"  {detail}", names, [_bounds(rate) if rate else "" for rate in rates])


def _bounds(rate: Rate) -> str:
    low, high = rate.interval
    return f"{100 * low:.0f}-{100 * high:.0f}"


def _line(label: str, names: Sequence[str], cells: Sequence[str]) -> str:
    widths = [max(CELL_WIDTH, len(name)) for name in names]
    columns = (f" {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{label:{LABEL_WIDTH}.{LABEL_WIDTH}}{''.join(columns)}".rstrip()


def _means(report: Report) -> Iterator[str]:
    settings = report.settings
    seeds, prompts = settings.diversity_seeds, settings.diversity_prompts
    yield f"diversity: pixel distance between {seeds} seeds, mean over {prompts} prompts"
    for entry in report.diversity:
        low, high = entry.interval
        label = str(entry.sampling or entry.source)
        yield f"{label:36} {entry.distance:.3f} ({low:.3f} to {high:.3f})"
    yield from _of_autoencoder(report.autoencoder)


def _of_autoencoder(vae: Fidelity) -> Iterator[str]:
    low, high = vae.psnr_interval
    yield f"\nautoencoder, round trips of {vae.images} unseen images"
    yield f"PSNR {vae.psnr_mean:.2f} dB ({low:.2f} to {high:.2f}), worst {vae.psnr_worst:.2f}"
    yield f"sharpness {vae.sharpness:.3f} of the images' own (mean absolute gradient)"
    for title, values in (("style", vae.psnr_by_style), ("turned latents", vae.psnr_turned)):
        told = (f"{name} {decibels:.2f}" for name, decibels in values.items())
        yield textwrap.fill(f"PSNR by {title}: {', '.join(told)}", 99)


def to_json(report: Report) -> str:
    """Everything in the report as JSON; the same measurement gives the same text."""
    text = json.dumps(report, default=_as_dict, indent=1, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def _as_dict(record: Any) -> dict[str, Any]:
    if not isinstance(record, Rate):
        return vars(record)
    low, high = record.interval
    return {**vars(record), "share": record.share, "low": low, "high": high}
