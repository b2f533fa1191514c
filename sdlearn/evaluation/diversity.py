"""How much pictures of one prompt differ from seed to seed.

Guidance buys adherence with diversity (Ho and Salimans 2022, arXiv 2207.12598), so the two are
reported together. The measure is plain: the root mean square difference of pixels, averaged over
all pairs of one prompt's pictures; one number for each prompt, so that the spread over prompts is
known. It knows nothing of content: noise is "diverse" too, so read it beside adherence.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..util.images import to_tensor
from ..world import Scene, full_caption, render

if TYPE_CHECKING:
    from ..pipeline import StableDiffusion

__all__ = ["diversity", "pixel_distance", "world_diversity"]


def pixel_distance(images: Tensor) -> float:
    """Mean over all pairs of the root mean square difference; `images` (B >= 2, 3, H, W).

    In [0, 1] for pictures in [0, 1]: 0 = all alike, 1 = black beside white.
    """
    if len(images) < 2:
        raise ValueError(f"images must hold at least two pictures; got {len(images)}")
    flat = images.flatten(1).float()
    return float(torch.pdist(flat).mean() / flat.shape[1] ** 0.5)


def diversity(
    sd: StableDiffusion, scenes: Sequence[Scene], seeds: Sequence[int], **sampling: Any
) -> list[float]:
    """`pixel_distance` over `seeds`, one for each scene's full caption.

    `sampling`: arguments of `StableDiffusion.generate`, such as `guidance_scale=2`.
    """
    return [
        pixel_distance(to_tensor(sd.generate(full_caption(scene), seeds=seeds, **sampling)))
        for scene in scenes
    ]


def world_diversity(scenes: Sequence[Scene], count: int) -> list[float]:
    """The same of the world itself: `count` renders of each scene that differ in `variant` only.

    What a model has that draws exactly what it was taught.
    """
    rng = random.Random("diversity")
    return [
        pixel_distance(
            to_tensor([render(replace(s, variant=rng.getrandbits(32))) for _ in range(count)])
        )
        for s in scenes
    ]
