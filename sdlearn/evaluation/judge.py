"""The judge: a small classifier that reads an image of our world back into its attributes.

Trained only on images drawn by `sdlearn.world` (`sdlearn train judge`), it shares nothing with
the generator or with CLIP, so "how often is the prompt obeyed?" gets an independent answer (the
design of GenEval, arXiv 2310.11513). It knows our world alone: shown anything else it still
answers with the nearest words it has, so look at `Reading.confidence`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..pipeline import StableDiffusion
from ..util.checks import check_images
from ..world.scene import (
    BACKDROP,
    COLOURS,
    GROUNDS,
    HELD_BACK_STYLES,
    HELD_BACK_SUBJECTS,
    PAIR_SIZE,
    POSITIONS,
    SIZES,
    SKIES,
    STYLES,
    SUBJECTS,
    TIMES,
    WEATHERS,
    Scene,
)

ALL_SUBJECTS = (*SUBJECTS, *HELD_BACK_SUBJECTS)
# For a pair "subject" and "colour" are the left one's, the "second" ones the right one's.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "subject": ALL_SUBJECTS,
    "colour": COLOURS,
    "size": (*SIZES, PAIR_SIZE),
    "position": POSITIONS,
    "ground": GROUNDS,
    "time": TIMES,
    "sky": SKIES,
    "sky_items": ("0", "1", "2"),  # how many of them; no scene asks for two
    "weather": WEATHERS,
    "style": (*STYLES, *HELD_BACK_STYLES),
    "second_subject": (*ALL_SUBJECTS, "none"),
    "second_colour": (*COLOURS, "none"),
}
WEIGHTS = "judge.safetensors"
AT_ONCE = 8  # images; 32 need 200 MB more, and a lesson's kernel has 800 in all


def labels(scene: Scene) -> dict[str, str]:
    """The truth about a scene in the judge's words."""
    first, *others = sorted(scene.things, key=lambda thing: POSITIONS.index(thing.position))
    subject, colour = (others[0].subject, others[0].colour) if others else ("none", "none")
    backdrop = {name: getattr(scene, name) for name in BACKDROP}
    items = "0" if scene.sky == "none" else "1"
    second = {"second_subject": subject, "second_colour": colour}
    return {**vars(first), **backdrop, "sky_items": items, **second}


@dataclass(frozen=True)
class Reading:
    """What the judge sees in one image: a word for each attribute and how sure it is."""

    words: dict[str, str]
    confidence: dict[str, float]  # probability of that word, 0..1

    def right(self, scene: Scene) -> dict[str, bool]:
        """For each attribute, whether the image shows what `scene` says."""
        return {name: self.words[name] == truth for name, truth in labels(scene).items()}


class Judge(nn.Module):
    """Five strided convolutions, 128x128 → 4x4, the middle ones each with a residual block.

    One linear head reads each attribute off what they found.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 3 * width, 4 * width, 5 * width]
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after)]
            layers += [nn.SiLU()]
            if after in widths[3:5]:
                layers += [_Residual(after)]
        layers += [nn.Flatten(), nn.Linear(16 * widths[-1], 256), nn.SiLU()]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({n: nn.Linear(256, len(w)) for n, w in ATTRIBUTES.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """`images` (B, 3, 128, 128) in [0, 1] → logits (B, number of words) by attribute."""
        features = self.trunk(images * 2 - 1)
        return {name: head(features) for name, head in self.heads.items()}

    def read(self, images: Tensor) -> list[Reading]:
        """Read a batch of images, (B, 3, H, W) in [0, 1]; other sizes are scaled to 128."""
        check_images(images)
        return [reading for few in images.split(AT_ONCE) for reading in self._read(few)]

    @torch.no_grad()
    def _read(self, images: Tensor) -> Iterator[Reading]:
        device = next(self.parameters()).device
        x = images.to(device, torch.float32)
        x = F.interpolate(x, size=(128, 128), mode="bilinear", antialias=True)
        tables = {name: logits.softmax(dim=1).max(dim=1) for name, logits in self(x).items()}
        for i in range(len(images)):
            yield Reading(
                {n: ATTRIBUTES[n][int(best.indices[i])] for n, best in tables.items()},
                {n: float(best.values[i]) for n, best in tables.items()},
            )


class _Residual(nn.Module):
    """Two convolutions beside the way straight on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, width, H, W) → the same shape."""
        return F.silu(x + self.layers(x))


def save_judge(judge: Judge, folder: Path) -> None:
    """Write the judge's weights into `folder` as fp16 safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().half().contiguous() for name, value in judge.state_dict().items()}
    save_file(state, folder / WEIGHTS)


def load_judge(folder: Path | None = None) -> Judge:
    """The shipped judge, or the one in `folder`; fp32, in evaluation mode, on the CPU.

    Raises `FileNotFoundError` when the folder holds no judge, and `ValueError` for the judge of
    a world with other words.
    """
    path = (folder or Path(__file__).parents[1] / "weights" / "tiny" / "judge") / WEIGHTS
    if not path.exists():
        raise FileNotFoundError(f"no judge at {path}; make one with 'sdlearn train judge'")
    judge = Judge()
    try:
        judge.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except RuntimeError as error:
        message = f"the judge at {path} knows other words; make one with 'sdlearn train judge'"
        raise ValueError(message) from error
    return judge.eval()


def find_judge(sd: StableDiffusion) -> Judge | None:
    """The judge that lies in the folder of the model `sd`, read once; None when there is none.

    A judge knows the world that its model was trained on, and no other.
    """
    return None if sd.folder is None else _judge_of_model(sd.folder)


@lru_cache(maxsize=2)
def _judge_of_model(folder: Path) -> Judge | None:
    return load_judge(folder / "judge") if (folder / "judge" / WEIGHTS).exists() else None
