"""How a model likes to be drawn with: the number of steps and the guidance scale.

A folder may hold `defaults.json`, as the one of the tiny model does: what was measured to be best.
For any other model its U-Net's config shows what its users know.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..diffusion.guidance import check_guidance_scale
from ..util.checks import check_num_steps
from .layout import read_json

__all__ = ["Defaults", "defaults_of", "write_defaults"]

FILE = "defaults.json"


@dataclass(frozen=True)
class Defaults:
    """The settings that `generate` and `denoise` use when they are not given.

    The numbers here are those of models that `sdlearn train` makes.
    """

    num_steps: int = 20
    guidance_scale: float = 3.0


SD = Defaults(50, 7.5)  # diffusers' pipeline, and what users of SD 1.x and 2.x know
DISTILLED = Defaults(4, 8.0)  # latent consistency models, arXiv 2310.04378


def defaults_of(folder: Path) -> Defaults:
    """The defaults of the model in `folder`, or of a checkpoint in one file.

    Raises `ValueError` when its `defaults.json` is damaged.
    """
    if folder.is_file():
        return SD
    path = folder / FILE
    if not path.is_file():
        unet = read_json(folder / "unet" / "config.json")
        return DISTILLED if unet.get("time_cond_proj_dim") else SD
    stated = read_json(path)
    try:
        read = Defaults(**stated)
        return Defaults(check_num_steps(read.num_steps), check_guidance_scale(read.guidance_scale))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged and cannot be read ({error})") from error


def write_defaults(folder: Path, defaults: Defaults = Defaults()) -> None:
    """Write `defaults.json` into `folder`."""
    (folder / FILE).write_text(json.dumps(asdict(defaults)) + "\n", encoding="utf-8")
