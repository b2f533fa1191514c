"""The safety checker of Stable Diffusion 1.x: images that it flags become black.

It compares CLIP's embedding of each image with the embeddings of 17 unwanted concepts and flags
images that come too close. It sometimes flags harmless images and misses others, so it helps in a
classroom but guarantees nothing. A teacher turns it off with `load(..., safety_checker=False)` or
`sdlearn generate --no-safety-checker`. Model and processor are diffusers' and transformers' own.
The tiny model has no safety checker and needs none. Letters: B images, H W pixels.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..util.images import to_pil
from .layout import expects_checker, missing_from_checker
from .loading import explain_damage, load_model, quiet_libraries


@dataclass(frozen=True)
class SafetyChecker:
    """diffusers' `StableDiffusionSafetyChecker`, and the processor that prepares images for it."""

    model: Any
    processor: Any

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1], with flagged ones black; warns if there are any."""
        prepared = self.processor(to_pil(images), return_tensors="pt").pixel_values
        with quiet_libraries():  # diffusers' own warning does not say what a user can do
            checked, flagged = self.model(
                clip_input=prepared.to(images.device, images.dtype), images=images.clone()
            )
        if any(flagged):
            warnings.warn(
                f"the safety checker made {sum(flagged)} of {len(flagged)} images black; another "
                "prompt or seed may help, and load(..., safety_checker=False) or "
                "'sdlearn generate --no-safety-checker' turns it off",
                stacklevel=3,
            )
        return checked


def check_wanted(wanted: bool | None) -> None:
    """Raise `TypeError` for a `safety_checker` that is neither True, False nor None."""
    if wanted is not None and not isinstance(wanted, bool):
        raise TypeError(f"safety_checker must be True, False or None; got {wanted!r}")


def load_safety_checker(
    folder: Path, dtype: torch.dtype, wanted: bool | None = None
) -> SafetyChecker | None:
    """The safety checker of the model in `folder`, on the CPU; None if it has none.

    `wanted` False leaves it out. True raises `ValueError` when there is none. None takes what there
    is, and warns when the model should have one whose files are not there.
    """
    if wanted is False:
        return None
    missing = missing_from_checker(folder)
    if not missing:
        return _load(folder, dtype)
    found = f"missing in {folder}: {', '.join(missing)}"
    if wanted:
        raise ValueError(f"safety_checker=True needs a model that has one; {found}")
    if expects_checker(folder):
        warnings.warn(
            f"images are not checked, as the model's safety checker is not here; {found}; "
            "load(..., safety_checker=False) if that is meant",
            stacklevel=3,
        )
    return None


def _load(folder: Path, dtype: torch.dtype) -> SafetyChecker:
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    with quiet_libraries():
        model = load_model(StableDiffusionSafetyChecker, folder / "safety_checker", dtype)
    # This class needs only Pillow; the default one needs torchvision and warns at its import.
    with explain_damage(folder / "feature_extractor"):
        processor = CLIPImageProcessorPil.from_pretrained(folder / "feature_extractor")
    return SafetyChecker(model, processor)
