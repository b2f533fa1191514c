"""What the checks run on, as plain values that another process can be given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """By default one NVIDIA card."""

    folder: str  # for what is made on the spot
    log: str
    device: str = "cuda"
    dtype: str = "float16"
    stand_in: str = "sd15"  # one of `standin.STAND_INS`
    steps: int = 20
    repeats: int = 7
    backend: str = "inductor"  # of torch.compile
    limit_seconds: float = 1.0  # for the product of two large matrices
    cells: int | None = None  # of a lesson, the first ones; None for all
    patience: float = 1.0  # by which the seconds that a check may take are multiplied


def rehearsal(folder: str, log: str) -> Setting:
    """All that can be tried without a GPU, as small as it gets."""
    return Setting(
        folder,
        log,
        device="cpu",
        dtype="float32",
        stand_in="toy",
        steps=2,
        repeats=1,
        backend="eager",
        limit_seconds=0.01,
        cells=2,
        patience=10.0,
    )
