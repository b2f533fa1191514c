"""The world as indexed, seeded sets of scenes: same split and index, same scene, anywhere.

`train` never holds a held-out combination. `test` has the same distribution but other
scenes. `held_out` has single subjects in combinations that `train` never shows; `pairs` has
two subjects each, none held out. `single` is the same with one subject; `judge` holds every
combination, in and out, for the training of the judge alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from .scene import Scene, sample_any_scene, sample_held_out_scene, sample_scene

__all__ = ["SPLITS", "scene_at", "scenes"]

SPLITS = ("train", "test", "single", "pairs", "held_out", "judge")


def scene_at(index: int, split: str = "train") -> Scene:
    """Scene number `index` (0, 1, 2, ...) of a split (one of `SPLITS`)."""
    rng = random.Random(f"{split} {index}")
    if split in ("train", "test"):
        return sample_scene(rng)
    if split in ("single", "pairs"):
        return sample_scene(rng, pair=split == "pairs")
    if split == "held_out":
        return sample_held_out_scene(rng)
    if split == "judge":
        return sample_any_scene(rng)
    raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")


def scenes(count: int, split: str = "train") -> Iterator[Scene]:
    """The first `count` scenes of a split."""
    return (scene_at(index, split) for index in range(count))
