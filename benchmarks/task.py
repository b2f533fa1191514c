"""What is drawn: one `Task`, the same for every contestant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sdlearn.diffusion.guidance import check_guidance_scale
from sdlearn.util.checks import DTYPES, check_count, check_num_steps

__all__ = ["PROMPT", "Task"]

PROMPT = "a large red house on the left, on green grass, at sunset, under a rainbow"
FIRST_SEED = 7
DEVICES = ("cpu", "cuda")  # there is no clock for others, nor for one of several GPUs


@dataclass(frozen=True)
class Task:
    """Pictures of one prompt with the seeds 7, 8, ..., at the model's own size and scheduler.

    Raises `ValueError` or `TypeError` for what cannot be drawn, or not by diffusers as well.
    """

    model: str = "tiny"
    device: str = "cpu"  # one of DEVICES
    dtype: str = "float32"  # one of `sdlearn.util.checks.DTYPES`
    steps: int = 20
    guidance: float = 3.0  # 0, 1 or more: diffusers draws without guidance up to 1
    batch: int = 1  # pictures at a time
    compiled: bool = False  # this pipeline, by torch; diffusers' never is

    def __post_init__(self) -> None:
        check_num_steps(self.steps)
        check_count("batch", self.batch)
        for name, known in (("device", DEVICES), ("dtype", DTYPES)):
            if getattr(self, name) not in known:
                got = getattr(self, name)
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {got!r}")
        if check_guidance_scale(self.guidance) != 0 and self.guidance < 1:
            raise ValueError(
                "guidance must be 0, or 1 and more: diffusers' pipeline takes every other scale "
                f"for 1; got {self.guidance}"
            )

    @property
    def torch_dtype(self) -> torch.dtype:
        return getattr(torch, self.dtype)

    @property
    def seeds(self) -> Sequence[int]:
        return range(FIRST_SEED, FIRST_SEED + self.batch)
