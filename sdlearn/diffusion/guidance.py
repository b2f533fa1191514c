"""Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598).

The U-Net predicts the noise twice, without and with the text, and guidance exaggerates the
difference. All of sdlearn uses the convention of diffusers and of the original Stable Diffusion:

    eps = eps_uncond + guidance_scale * (eps_cond - eps_uncond)

    guidance_scale   eps
    0                eps_uncond: the text has no influence
    1                eps_cond: the model's plain conditional prediction, no guidance
    7.5              beyond eps_cond: 7.5 times the step from eps_uncond to eps_cond

The paper's weight (its eq. 6) is w = guidance_scale - 1. diffusers' pipeline treats every scale
up to 1 as 1; here 0 really is unconditional. Left out: rescaling and guidance intervals.
"""

from __future__ import annotations

import math
from numbers import Real

from torch import Tensor


def apply_guidance(eps_uncond: Tensor, eps_cond: Tensor, guidance_scale: float) -> Tensor:
    """Combine two noise predictions of one shape; the result has the same shape.

    The operations come in the same order as in diffusers: `(1 - s) * u + s * c` is equal in exact
    arithmetic but not in the last bits of floating-point numbers, so the images would differ.

    >>> apply_guidance(torch.tensor([1.0]), torch.tensor([1.5]), 7.5)
    tensor([4.7500])
    """
    return eps_uncond + guidance_scale * (eps_cond - eps_uncond)


def check_guidance_scale(guidance_scale: float) -> float:
    """`guidance_scale` as a float; any finite number, negative ones steer away from the text.

    Raises `TypeError` for what is not a number and `ValueError` for NaN and infinity.
    """
    if isinstance(guidance_scale, bool) or not isinstance(guidance_scale, Real):
        raise TypeError(f"guidance_scale must be a number; got {guidance_scale!r}")
    if not math.isfinite(guidance_scale):
        raise ValueError(f"guidance_scale must be a finite number; got {guidance_scale}")
    return float(guidance_scale)
