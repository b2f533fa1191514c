"""The whole evaluation: every row of the table, from ceiling to floor, as frozen records.

For each test split the same rows: renders (how well the judge reads perfect pictures), VAE round
trips (the best that the decoder can show: the ceiling), generated pictures for each `Sampling`, and
shuffled captions (the first sampling's pictures judged against another prompt's scene: the floor,
chance). Prompts are full captions, and picture i has seed `settings.seed + i`, so all rows of a
split share their scenes and all samplings their noise.

What is new to the model? The world has 17,640 combinations of attributes with one subject that are
not held out, and the shipped model learned from 32,768 pictures. So of the first 1,000 "single"
prompts 76 % name a combination that training drew too: new are the wording (of all but 1) and the
noise. Of the first 1,000 "pairs" 8 % were drawn in training, of "held_out" none.
"test", where the autoencoder is measured, is mixed as training is: 60 % are known combinations, but
no picture is known, since hills, stars and places differ.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..util.images import to_tensor
from ..util.progress import Progress, no_progress
from ..world import Scene, render, scenes
from .adherence import batches, mistakes, read_generated, tally
from .autoencoder import Fidelity, fidelity, round_trips
from .diversity import diversity, world_diversity
from .intervals import Rate, mean_interval
from .judge import Judge, Reading

if TYPE_CHECKING:
    from ..pipeline import StableDiffusion

__all__ = [
    "SPLITS",
    "Diversity",
    "Report",
    "Row",
    "Sampling",
    "Settings",
    "evaluate",
]

SPLITS = ("single", "held_out", "pairs")
LEAST = {  # two prompts, since the floor needs another prompt's caption; two of a mean's, to spread
    "prompts": 2,
    "batch_size": 1,
    "seed": 0,
    "vae_pictures": 2,
    "diversity_prompts": 2,
    "diversity_seeds": 2,
}


@dataclass(frozen=True)
class Sampling:
    """One way to generate: a row of the table."""

    guidance_scale: float
    num_steps: int
    scheduler: str | None  # None = the model's own

    @property
    def arguments(self) -> dict[str, Any]:
        """For `StableDiffusion.generate`."""
        return vars(self).copy()

    def __str__(self) -> str:
        steps = "step" if self.num_steps == 1 else "steps"
        name = self.scheduler or "own scheduler"
        return f"guidance {self.guidance_scale:g}, {self.num_steps} {steps}, {name}"


@dataclass(frozen=True)
class Settings:
    """What to measure and on how much."""

    prompts: int = 200  # in each split
    splits: tuple[str, ...] = SPLITS
    guidance: tuple[float, ...] = (3.0,)
    steps: tuple[int, ...] = (20,)
    schedulers: tuple[str | None, ...] = (None,)
    batch_size: int = 16  # pictures generated at a time
    seed: int = 0  # of the first picture
    vae_pictures: int = 256
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

    @property
    def seeds(self) -> list[int]:
        """One for each prompt."""
        return list(range(self.seed, self.seed + self.prompts))


@dataclass(frozen=True)
class Row:
    """One row of the table: what the judge found in one split's pictures from one source."""

    split: str
    source: str  # "renders", "VAE round trips", "generated" or "shuffled captions"
    sampling: Sampling | None  # of generated pictures
    rates: dict[str, Rate]
    mistakes: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Diversity:
    """How much pictures of one prompt differ from seed to seed, see `pixel_distance`."""

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


def evaluate(
    sd: StableDiffusion, judge: Judge, settings: Settings, progress: Progress = no_progress
) -> Report:
    """Measure `sd` as `settings` say. Bad samplings are refused before the work begins."""
    _rehearse(sd, settings)
    trips = round_trips(sd, list(scenes(settings.vae_pictures, "test")), settings.batch_size)
    total = math.ceil(settings.vae_pictures / settings.batch_size)
    return Report(
        model=sd.name,
        own_scheduler=type(sd.scheduler).__name__,
        device=str(sd.device),
        dtype=str(sd.dtype),
        versions=_versions(),
        settings=settings,
        rows=[
            row for split in settings.splits for row in _rows(sd, judge, split, settings, progress)
        ],
        diversity=list(_diversities(sd, settings, progress)),
        autoencoder=fidelity(progress(trips, "VAE", total)),
    )


def _rows(
    sd: StableDiffusion, judge: Judge, split: str, settings: Settings, progress: Progress
) -> Iterator[Row]:
    drawn = list(scenes(settings.prompts, split))

    def read(readings: Iterable[Reading], label: str) -> list[Reading]:
        return list(progress(readings, f"{split}, {label}", len(drawn)))

    def row(source: str, readings: list[Reading], sampling: Sampling | None = None) -> Row:
        return Row(split, source, sampling, tally(readings, drawn), mistakes(readings, drawn))

    size = settings.batch_size
    yield row("renders", read(_read_renders(judge, drawn, size), "renders"))
    yield row("VAE round trips", read(_read_round_trips(sd, judge, drawn, size), "round trips"))
    generated = []
    for sampling in settings.samplings:
        readings = read_generated(
            sd, drawn, settings.seeds, judge, batch_size=size, **sampling.arguments
        )
        generated.append(read(readings, str(sampling)))
        yield row("generated", generated[-1], sampling)
    others = [*drawn[1:], drawn[0]]
    floor = tally(generated[0], others)
    yield Row(split, "shuffled captions", settings.samplings[0], floor, {})


def _read_renders(judge: Judge, drawn: Sequence[Scene], size: int) -> Iterator[Reading]:
    for some in batches(drawn, size):
        yield from judge.read(to_tensor([render(scene) for scene in some]))


def _read_round_trips(
    sd: StableDiffusion, judge: Judge, drawn: Sequence[Scene], size: int
) -> Iterator[Reading]:
    for _, restored in round_trips(sd, drawn, size):
        yield from judge.read(restored)


def _diversities(
    sd: StableDiffusion, settings: Settings, progress: Progress
) -> Iterator[Diversity]:
    drawn = list(scenes(settings.diversity_prompts, "single"))
    seeds = range(settings.seed, settings.seed + settings.diversity_seeds)
    found = world_diversity(drawn, len(seeds))
    yield Diversity("renders", None, fmean(found), mean_interval(found))
    for sampling in progress(settings.samplings, "diversity", len(settings.samplings)):
        found = diversity(sd, drawn, seeds, **sampling.arguments)
        yield Diversity("generated", sampling, fmean(found), mean_interval(found))


def _rehearse(sd: StableDiffusion, settings: Settings) -> None:
    """Let `denoise` check the arguments of every sampling; it does so before its first step."""
    seeds = [settings.seeds[-1]]
    latents, text = sd.init_latents(seeds), sd.encode_text("")
    for sampling in settings.samplings:
        sd.denoise(latents, text, text, seeds=seeds, **sampling.arguments)


def _versions() -> dict[str, str]:
    from .. import __version__

    libraries = "torch", "diffusers", "transformers", "numpy", "pillow"
    return {
        "sdlearn": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }
