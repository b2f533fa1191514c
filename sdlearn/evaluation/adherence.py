"""Is the prompt obeyed? Images are read by the judge and compared with the scene asked for.

The design of GenEval (arXiv 2310.11513): an independent classifier reads each attribute, an image
counts for an attribute or not, and "all right" asks for every one of them. Left out: how *good* the
image looks, which no attribute measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from ..pipeline import StableDiffusion
from ..util.images import to_tensor
from ..world import Scene, full_caption
from .intervals import Rate
from .judge import Judge, Reading, labels, load_judge

BACKDROP = ("ground", "time", "sky")
SINGLE_COLUMNS = ("subject", "colour", "size", "position", *BACKDROP, "all_right")
BOTH = ("both_subjects", "both_colours", "both_subjects_and_colours", "colours_swapped")
PAIR_COLUMNS = (*BOTH, *BACKDROP, "all_right")


def checks(reading: Reading, scene: Scene) -> dict[str, bool]:
    """What one image gets right: `SINGLE_COLUMNS` of one subject, `PAIR_COLUMNS` of two.

    A pair's size (always medium) and position (one on each side) say nothing and are left out.
    A second subject where one was asked for is a mistake in "all_right"; its colour is no further
    one.
    """
    right = reading.right(scene)
    if not scene.is_pair:
        found = {name: right[name] for name in SINGLE_COLUMNS[:-1]}
        return {**found, "all_right": all(found.values()) and right["second_subject"]}
    subjects = right["subject"] and right["second_subject"]
    colours = right["colour"] and right["second_colour"]
    words, truth = reading.words, labels(scene)
    swapped = (words["colour"], words["second_colour"]) == (truth["second_colour"], truth["colour"])
    backdrop = {name: right[name] for name in BACKDROP}
    return {
        "both_subjects": subjects,
        "both_colours": colours,
        "both_subjects_and_colours": subjects and colours,
        "colours_swapped": subjects and swapped,  # the one column where less is better
        **backdrop,
        "all_right": subjects and colours and all(backdrop.values()),
    }


def tally(readings: Sequence[Reading], scenes: Sequence[Scene]) -> dict[str, Rate]:
    """`checks` counted over many images; each column counts the images that it applies to.

    Raises `ValueError` when there is nothing to count or the two are not equally many.
    """
    _require_equally_many(len(readings), len(scenes), "readings")
    rows = [checks(reading, scene) for reading, scene in zip(readings, scenes, strict=True)]
    columns = dict.fromkeys(name for row in rows for name in row)
    return {
        name: Rate(sum(row.get(name, False) for row in rows), sum(name in row for row in rows))
        for name in columns
    }


def mistakes(readings: Sequence[Reading], scenes: Sequence[Scene]) -> dict[str, dict[str, int]]:
    """The judge's table of confusions: attribute → "asked for → seen" → how often.

    The most frequent come first. What `checks` leaves out of a scene is left out here.
    """
    found: dict[str, Counter[str]] = {}
    for reading, scene in zip(readings, scenes, strict=True):
        ignored = ("size", "position") if scene.is_pair else ("second_colour",)
        for name, truth in labels(scene).items():
            if reading.words[name] != truth and name not in ignored:
                found.setdefault(name, Counter())[f"{truth} → {reading.words[name]}"] += 1
    return {name: dict(counter.most_common()) for name, counter in found.items()}


def judge_images(
    judge: Judge, images: Tensor | Sequence[Image.Image], scenes: Sequence[Scene]
) -> dict[str, Rate]:
    """How many of `images` show what `scenes` say, by column.

    `images`: (B, 3, H, W) in [0, 1], or Pillow images of one size; `scenes`: one for each.
    """
    _require_equally_many(len(images), len(scenes), "images")
    batch = images if isinstance(images, Tensor) else to_tensor(images)
    return tally(judge.read(batch), scenes)


def adherence(
    sd: StableDiffusion,
    scenes: Sequence[Scene],
    seeds: Sequence[int],
    *,
    judge: Judge | None = None,
    batch_size: int = 16,
    **sampling: Any,
) -> dict[str, Rate]:
    """Generate one image for each scene's full caption and count what the judge finds right.

    `seeds`: one for each scene. `judge`: the shipped one when left out. `sampling`: arguments of
    `StableDiffusion.generate`, such as `guidance_scale=2` or `num_steps=10`.
    """
    _require_equally_many(len(seeds), len(scenes), "seeds")
    images = generate_images(sd, scenes, seeds, batch_size, **sampling)
    judge = judge or load_judge()
    return tally([reading for batch in images for reading in judge.read(batch)], scenes)


def generate_images(
    sd: StableDiffusion,
    scenes: Sequence[Scene],
    seeds: Sequence[int],
    batch_size: int,
    **sampling: Any,
) -> Iterator[Tensor]:
    """An image for each scene's full caption with the seed of its own: batches (B, 3, H, W)."""
    for start in range(0, len(scenes), batch_size):
        some = slice(start, start + batch_size)
        prompts = [full_caption(scene) for scene in scenes[some]]
        yield to_tensor(sd.generate(prompts, seeds=seeds[some], **sampling))


def _require_equally_many(count: int, scenes: int, name: str) -> None:
    if scenes < 1:
        raise ValueError("scenes must hold at least one scene; got none")
    if count != scenes:
        raise ValueError(f"{name} must be as many as scenes ({scenes}); got {count}")
