"""What the evaluation asks for: words, what they name, and a scene that they describe.

The prompts of a split of the world are its scenes' full captions, which name everything. Two files
hold prompts as people write them, each with the attributes that it names. They are read here and
nowhere else: nothing is trained on them.

`handwritten.jsonl` holds 200 prompts whose words captions know, in sentences of their writers' own;
half of them are by someone who had not read `world.caption`. In `beyond.jsonl` each of 30 prompts
has a word that no caption has, such as "wooden": what else it names should be obeyed all the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from ..world import Scene, full_caption, sample_scene, scenes
from ..world.scene import SKIES_BY_TIME, TIMES
from .judge import labels

WRITTEN = ("handwritten", "beyond")  # the splits that are files


@dataclass(frozen=True)
class Prompt:
    """One prompt and what makes an image of it right."""

    text: str
    asked: Mapping[str, str]  # attribute → word, in the judge's words
    scene: Scene  # one that shows what is asked for
    by: str = ""  # whether who wrote it by hand knew the captions


def find_prompts(split: str, count: int) -> list[Prompt]:
    """The first `count` prompts of a split of the world, or of a file (`WRITTEN`).

    A file that is shorter is taken again and again, as often as `count` has room for it whole.
    """
    if split in WRITTEN:
        written = read_prompts(split)
        return written[:count] * max(1, count // len(written))
    return [Prompt(full_caption(scene), asked_of(scene), scene) for scene in scenes(count, split)]


def read_prompts(name: str) -> list[Prompt]:
    """Every prompt of a file, each with a random scene that it describes."""
    file = resources.files("sdlearn.evaluation") / f"{name}.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [
        Prompt(
            row["prompt"],
            {"second_subject": "none", **row["wants"]},
            scene_with(row["wants"], random.Random(row["prompt"])),
            row.get("by", ""),
        )
        for row in rows
    ]


def asked_of(scene: Scene) -> dict[str, str]:
    """All that an image of `scene` must show.

    A pair's size (always medium) and position (one on each side) say nothing. A second subject
    where one was asked for is a mistake; its colour is no further one.
    """
    ignored = ("size", "position") if scene.is_pair else ("second_colour",)
    return {name: word for name, word in labels(scene).items() if name not in ignored}


def scene_with(wanted: Mapping[str, str], rng: random.Random) -> Scene:
    """A random scene that shows what is wanted, a part of `labels`.

    Raises `ValueError` when no scene can, such as one with a rainbow at night.
    """
    times = {wanted["time"]} if "time" in wanted else set(TIMES)
    if not any(wanted.get("sky", "none") in SKIES_BY_TIME[time] for time in times):
        raise ValueError(f"the sky must be one that the time of day has; got {dict(wanted)}")
    while True:  # until a sky comes that the wanted time has, or the other way round
        scene = sample_scene(rng, pair="second_subject" in wanted)
        sky, time = (wanted.get(name, getattr(scene, name)) for name in ("sky", "time"))
        if sky in SKIES_BY_TIME[time]:
            break
    things = sorted(scene.things, key=lambda thing: thing.position)  # of two, the left one first
    for i, prefix in enumerate(("", "second_")[: len(things)]):
        words = {name: wanted.get(prefix + name, word) for name, word in vars(things[i]).items()}
        things[i] = replace(things[i], **words)
    backdrop: dict[str, Any] = {
        name: wanted[name] for name in ("ground", "weather", "style") if name in wanted
    }
    return replace(scene, things=tuple(things), sky=sky, time=time, **backdrop)
