"""The world as arrays: pictures rendered once into a memory-mapped file, captions on the fly."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..world import IMAGE_SIZE, Scene, render, scene_at

__all__ = ["Pictures", "render_all", "reworded", "to_tensor", "words_rng"]


def to_tensor(pictures: np.ndarray) -> Tensor:
    """Pictures (B, H, W, 3) uint8 → (B, 3, H, W) float in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2) / 127.5 - 1


def render_all(path: Path, count: int, split: str = "train") -> Iterator[int]:
    """Render the first `count` scenes of a split into `path`; yields how many are done.

    A file that is already complete is kept; a half-written one never takes its name.
    """
    shape = (count, IMAGE_SIZE, IMAGE_SIZE, 3)
    if path.exists() and path.stat().st_size == int(np.prod(shape)):
        yield count
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    pictures = np.memmap(partial, dtype=np.uint8, mode="w+", shape=shape)
    for index in range(count):
        pictures[index] = np.asarray(render(scene_at(index, split)))
        yield index + 1
    pictures.flush()
    os.replace(partial, path)


class Pictures:
    """Rendered pictures as float batches: `pictures[rows]` is (B, 3, H, W) in [-1, 1]."""

    def __init__(self, path: Path) -> None:
        self._raw = np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 3)

    def __len__(self) -> int:
        return len(self._raw)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return to_tensor(self._raw[rows.numpy()])


def reworded(scene: Scene, rng: random.Random) -> Scene:
    """The same truth, for a caption with other words and another picture of its kind."""
    return replace(scene, variant=rng.getrandbits(32))


def words_rng(generator: torch.Generator) -> random.Random:
    """The chance that words are chosen by, seeded by the step's own generator."""
    return random.Random(int(torch.randint(2**31, (1,), generator=generator)))
