"""Train the judge on rendered images only: never on anything the U-Net drew.

Half of each batch are round trips of other renders through the autoencoder, so that its blur
does not fool the judge; the rest gets a little noise, blur or brightness. All combinations are
in, also those held out from the generator: the judge must know what it judges.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from ..evaluation.judge import ATTRIBUTES, Judge, labels
from ..world import Scene, scene_at
from .data import ALL, RenderedImages, sky_items
from .loop import Batch, TrainingConfig
from .vae import round_trip

CONFIG = TrainingConfig(steps=2_000, batch_size=64, lr=2e-3, warmup=100, decay=0.7, ema=0.99)


class JudgeObjective(nn.Module):
    """The sum of the heads' cross-entropies on one batch."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, images: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """`images` (B, 3, H, W) in [0, 1]; `truth` (B, attributes) word numbers → losses."""
        scores = self.judge(images)
        losses = [F.cross_entropy(scores[n], truth[:, i]) for i, n in enumerate(ATTRIBUTES)]
        right = torch.stack([scores[n].argmax(1) == truth[:, i] for i, n in enumerate(ATTRIBUTES)])
        return {"loss": torch.stack(losses).sum(), "all_right": right.all(dim=0).float().mean()}


def truth_table(count: int) -> Tensor:
    """Word numbers of the first `count` scenes of the judge's split, (count, attributes)."""
    rows = [_labels_as_drawn(scene_at(i, ALL)) for i in range(count)]
    return torch.tensor([[ATTRIBUTES[n].index(row[n]) for n in ATTRIBUTES] for row in rows])


def _labels_as_drawn(scene: Scene) -> dict[str, str]:
    return {**labels(scene), "sky_items": str(sky_items(scene, ALL))}


def round_trips(vae: AutoencoderKL, images: RenderedImages) -> Tensor:
    """The second half of the images sent through the autoencoder, (N/2, 3, H, W) uint8."""
    rows = torch.arange(len(images) // 2, len(images)).split(32)
    restored = torch.cat([round_trip(vae, images[r]) for r in rows])
    return ((restored + 1) * 127.5).round().byte()


def _augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """A little noise, blur and brightness, each by a random amount for each image."""
    amount = torch.rand(3, len(images), 1, 1, 1, generator=generator)
    blurred = F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    images = torch.lerp(images, blurred, amount[0])
    images = images + (amount[1] - 0.5) * 0.12
    noise = torch.randn(images.shape, generator=generator)
    return (images + noise * amount[2] * 0.04).clamp(0, 1)


def make_batch(
    rendered: RenderedImages,
    restored: Tensor,
    truth: Tensor,
    batch_size: int,
    generator: torch.Generator,
) -> Batch:
    """Half plain renders, half round trips, all slightly changed, with their truth."""
    half = len(rendered) - len(restored)
    plain = torch.randint(half, (batch_size // 2,), generator=generator)
    through = torch.randint(len(restored), (batch_size - len(plain),), generator=generator)
    images = torch.cat([(rendered[plain] + 1) / 2, restored[through] / 255])
    of_both = torch.cat([truth[plain], truth[through + half]])
    return {"images": _augment(images, generator), "truth": of_both}
