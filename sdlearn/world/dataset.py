"""Random scenes, and the world as indexed, seeded sets of them.

The same split and index give the same scene on any machine. `train` never holds a held-out
combination. `test` has the same distribution but other scenes. `held_out` has single subjects in
combinations that `train` never shows; `pairs` has two subjects each, none held out. `single` is the
same with one subject; `judge` holds every combination, in and out, for the training of the judge
alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from .scene import (
    COLOURS,
    GROUNDS,
    PAIR_SIZE,
    POSITIONS,
    SIZES,
    SKIES_BY_TIME,
    SUBJECTS,
    TIMES,
    Scene,
    Thing,
    is_held_out,
)

__all__ = ["SPLITS", "sample_scene", "scene_at", "scenes"]

PAIR_SHARE = 0.25  # of sampled scenes have two subjects
SPLITS: dict[str, dict[str, bool | None]] = {  # split → what `sample_scene` is asked for
    "train": {},
    "test": {},
    "single": {"pair": False},
    "pairs": {"pair": True},
    "held_out": {"pair": False, "held_out": True},
    "judge": {"held_out": None},
}


def scene_at(index: int, split: str = "train") -> Scene:
    """Scene number `index` (0, 1, 2, ...) of a split (one of `SPLITS`)."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    return sample_scene(random.Random(f"{split} {index}"), **SPLITS[split])


def scenes(count: int, split: str = "train") -> Iterator[Scene]:
    """The first `count` scenes of a split."""
    return (scene_at(index, split) for index in range(count))


def sample_scene(
    rng: random.Random, *, pair: bool | None = None, held_out: bool | None = False
) -> Scene:
    """A random scene; the same state of `rng` gives the same scene on any machine.

    `pair` asks for one subject (False) or two (True); None leaves it to chance (`PAIR_SHARE`).
    `held_out` asks for a held-out combination (True) or for any other (False); None takes both.
    """
    is_pair = rng.random() < PAIR_SHARE if pair is None else pair  # before any rejection
    while True:  # about a quarter of all single scenes are held out, so this ends soon
        time = rng.choice(TIMES)
        scene = Scene(
            things=_sample_pair(rng) if is_pair else (_sample_single(rng),),
            ground=rng.choice(GROUNDS),
            time=time,
            sky=rng.choice(SKIES_BY_TIME[time]),
            variant=rng.getrandbits(32),
        )
        if held_out in (None, is_held_out(scene)):
            return scene


def _sample_single(rng: random.Random) -> Thing:
    return Thing(
        rng.choice(SUBJECTS), rng.choice(COLOURS), rng.choice(SIZES), rng.choice(POSITIONS)
    )


def _sample_pair(rng: random.Random) -> tuple[Thing, Thing]:
    """Two different subjects in two different colours, or the caption would be no test."""
    subjects, colours = rng.sample(SUBJECTS, 2), rng.sample(COLOURS, 2)
    sides = ("left", "right") if rng.random() < 0.5 else ("right", "left")
    return (
        Thing(subjects[0], colours[0], PAIR_SIZE, sides[0]),
        Thing(subjects[1], colours[1], PAIR_SIZE, sides[1]),
    )
