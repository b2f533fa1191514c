"""The world as arrays: images rendered once into a memory-mapped file, captions made as needed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..util.files import write_atomically
from ..world import IMAGE_SIZE, Scene, render, scene_at

ALL = "all"  # the split of the autoencoder and the judge: held out and held back included


TWICE_SHARE = 0.1  # of the scenes of `ALL` with a sky item are drawn with two of it


def sky_items(scene: Scene, split: str) -> int:
    """How often the sky item is drawn: once, save in some scenes of `ALL`, for the judge."""
    if scene.sky == "none":
        return 0
    is_twice = split == ALL and random.Random(f"twice {scene.variant}").random() < TWICE_SHARE
    return 2 if is_twice else 1


def render_all(path: Path, count: int, split: str = "train", first: int = 0) -> Iterator[int]:
    """Render `count` scenes of a split, from number `first` on, into `path`.

    Yields how many are done. A file that is already complete is kept; a half-written one never
    takes its name.
    """
    shape = (count, IMAGE_SIZE, IMAGE_SIZE, 3)
    if path.exists() and path.stat().st_size == int(np.prod(shape)):
        yield count
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as partial:
        images = np.memmap(partial, dtype=np.uint8, mode="w+", shape=shape)
        for index in range(count):
            scene = scene_at(first + index, split)
            images[index] = np.asarray(render(scene, sky_items(scene, split)))
            yield index + 1
        images.flush()


class RenderedImages:
    """Rendered images as float batches: `images[rows]` is (B, 3, H, W) in [-1, 1].

    Row 0 shows scene number `first` of its split.
    """

    def __init__(self, path: Path, first: int = 0) -> None:
        self.first = first
        self._raw = np.memmap(path, np.uint8, mode="r").reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 3)

    def __len__(self) -> int:
        return len(self._raw)

    def __getitem__(self, rows: Tensor) -> Tensor:
        levels = torch.from_numpy(np.asarray(self._raw[rows.numpy()]))  # (B, H, W, 3) uint8
        return levels.permute(0, 3, 1, 2) / 127.5 - 1


def scene_in_new_words(index: int, rng: random.Random) -> Scene:
    """Scene `index` of the training split, for a caption with other words."""
    return replace(scene_at(index), variant=rng.getrandbits(32))


def rng_for_words(generator: torch.Generator) -> random.Random:
    """A source of chance for choosing words, seeded by the step's own generator."""
    return random.Random(int(torch.randint(2**31, (1,), generator=generator)))
