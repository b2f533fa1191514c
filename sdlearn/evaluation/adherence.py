"""Is the prompt obeyed? Images are read by the judge and compared with the scene asked for.

The design of GenEval (arXiv 2310.11513): an independent classifier reads each attribute, an image
counts for an attribute or not, and "all right" asks for every one of them. Left out: how *good* the
image looks, which no attribute measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from ..pipeline import StableDiffusion
from ..util.images import to_tensor
from ..world import Scene, full_caption
from .intervals import Rate
from .judge import Judge, Reading, load_judge
from .prompts import asked_of

COLUMNS = (
    *("subject", "colour", "size", "position", "ground", "time", "sky", "sky_items"),
    *("weather", "style", "all_right"),
)
PAIR_COLUMNS = (*COLUMNS[:2], "both_subjects_and_colours", "colours_swapped", *COLUMNS[4:])


def is_right(reading: Reading, asked: Mapping[str, str]) -> dict[str, bool]:
    """For each attribute in `asked`, whether the image shows it.

    An image with two sky items is never right, whatever was asked for.
    """
    right = {name: reading.words[name] == word for name, word in asked.items()}
    return {"sky_items": reading.words["sky_items"] != "2", **right}


def checks(reading: Reading, asked: Mapping[str, str]) -> dict[str, bool]:
    """What one image gets right of `asked`, by column: `COLUMNS`, of two subjects `PAIR_COLUMNS`.

    Attributes that are not in `asked` have no column. Of two subjects "subject" and "colour" mean
    both, each on its side.
    """
    right = is_right(reading, asked)
    found = {name: right[name] for name in COLUMNS if name in right}
    if asked.get("second_subject", "none") != "none":
        for name in ("subject", "colour"):
            found[name] = right.get(name, True) and right.get(f"second_{name}", True)
        found["both_subjects_and_colours"] = found["subject"] and found["colour"]
        seen = reading.words["second_colour"], reading.words["colour"]
        swapped = seen == (asked.get("colour"), asked.get("second_colour"))
        found["colours_swapped"] = found["subject"] and swapped  # the one where less is better
    return {**found, "all_right": all(right.values())}


def tally(readings: Sequence[Reading], asked: Sequence[Mapping[str, str]]) -> dict[str, Rate]:
    """`checks` counted over many images; each column counts the images that it applies to.

    Raises `ValueError` when there is nothing to count or the two are not equally many.
    """
    _require_equally_many(len(readings), len(asked), "readings")
    rows = [checks(reading, words) for reading, words in zip(readings, asked, strict=True)]
    columns = dict.fromkeys(name for row in rows for name in row)
    return {
        name: Rate(sum(row.get(name, False) for row in rows), sum(name in row for row in rows))
        for name in columns
    }


def mistakes(
    readings: Sequence[Reading], asked: Sequence[Mapping[str, str]]
) -> dict[str, dict[str, int]]:
    """The judge's table of confusions: attribute → "asked for → seen" → how often.

    The most frequent come first.
    """
    found: dict[str, Counter[str]] = {}
    for reading, words in zip(readings, asked, strict=True):
        for name, right in is_right(reading, words).items():
            if not right:
                confusion = f"{words.get(name, 'not named')} → {reading.words[name]}"
                found.setdefault(name, Counter())[confusion] += 1
    return {name: dict(counter.most_common()) for name, counter in found.items()}


def judge_images(
    judge: Judge, images: Tensor | Sequence[Image.Image], scenes: Sequence[Scene]
) -> dict[str, Rate]:
    """How many of `images` show what `scenes` say, by column.

    `images`: (B, 3, H, W) in [0, 1], or Pillow images of one size; `scenes`: one for each.
    """
    _require_equally_many(len(images), len(scenes), "images")
    batch = images if isinstance(images, Tensor) else to_tensor(images)
    return tally(judge.read(batch), [asked_of(scene) for scene in scenes])


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
    prompts = [full_caption(scene) for scene in scenes]
    images = generate_images(sd, prompts, seeds, batch_size, **sampling)
    judge = judge or load_judge()
    readings = [reading for batch in images for reading in judge.read(batch)]
    return tally(readings, [asked_of(scene) for scene in scenes])


def generate_images(
    sd: StableDiffusion,
    prompts: Sequence[str],
    seeds: Sequence[int],
    batch_size: int,
    **sampling: Any,
) -> Iterator[Tensor]:
    """An image for each prompt with the seed of its own: batches (B, 3, H, W)."""
    for start in range(0, len(prompts), batch_size):
        some = slice(start, start + batch_size)
        yield to_tensor(sd.generate(prompts[some], seeds=seeds[some], **sampling))


def _require_equally_many(count: int, scenes: int, name: str) -> None:
    if scenes < 1:
        raise ValueError("scenes must hold at least one scene; got none")
    if count != scenes:
        raise ValueError(f"{name} must be as many as scenes ({scenes}); got {count}")
