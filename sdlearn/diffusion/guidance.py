"""Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598).

The U-Net predicts the noise twice, without and with the text, and guidance exaggerates the
difference. All of sdlearn uses the convention of diffusers and of the original Stable Diffusion:

    eps = eps_uncond + guidance_scale * (eps_cond - eps_uncond)

    guidance_scale   eps
    0                eps_uncond: the text has no influence
    1                eps_cond: the model's plain conditional prediction, no guidance
    7.5              beyond eps_cond: 7.5 times the step from eps_uncond to eps_cond

The paper's weight (its eq. 6) is w = guidance_scale - 1. diffusers' pipeline treats every scale
up to 1 as 1; here 0 really is unconditional. The formula is the same for a network that predicts
v or x_0. Left out: guidance intervals.

A large scale makes the prediction as a whole larger, and images too bright. `rescale_guidance`
brings its standard deviation back (Lin et al., arXiv 2305.08891, section 3.4).

A distilled network (LCM) has learned what guidance does and is told the scale as one more input,
`guidance_embedding` (arXiv 2310.04378, section 4.2); one call is then enough.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..util.checks import check_number


def apply_guidance(eps_uncond: Tensor, eps_cond: Tensor, guidance_scale: float) -> Tensor:
    """Combine two noise predictions of one shape; the result has the same shape.

    The operations come in the same order as in diffusers: `(1 - s) * u + s * c` is equal in exact
    arithmetic but not in the last bits of floating-point numbers, so the images would differ.

    >>> apply_guidance(torch.tensor([1.0]), torch.tensor([1.5]), 7.5)
    tensor([4.7500])
    """
    return eps_uncond + guidance_scale * (eps_cond - eps_uncond)


def rescale_guidance(eps: Tensor, eps_cond: Tensor, guidance_rescale: float) -> Tensor:
    """The guided prediction with the standard deviation of the conditional one, each image alone.

    `guidance_rescale` 0 leaves `eps` as it is, 1 replaces it; the paper takes 0.7. The operations
    come in the same order as in diffusers.
    """
    dims = list(range(1, eps.ndim))
    std, std_cond = (x.std(dim=dims, keepdim=True) for x in (eps, eps_cond))
    return guidance_rescale * (eps * (std_cond / std)) + (1 - guidance_rescale) * eps


def guidance_embedding(guidance_scale: float, width: int) -> Tensor:
    """The guidance scale as (1, `width`) sines and cosines, as a distilled network takes it.

    It is an embedding like that of timesteps, of the paper's w = guidance_scale - 1 times 1000.
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half) * -(torch.log(torch.tensor(10000.0)) / (half - 1)))
    angles = (torch.tensor([guidance_scale - 1]) * 1000.0)[:, None] * frequencies[None, :]
    embedding = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.nn.functional.pad(embedding, (0, width % 2))


def check_guidance_rescale(guidance_rescale: float) -> float:
    """`guidance_rescale` as a float in 0..1; `TypeError` or `ValueError` for anything else."""
    share = check_number("guidance_rescale must be a number", guidance_rescale)
    if not 0 <= share <= 1:
        raise ValueError(f"guidance_rescale must lie in 0..1; got {guidance_rescale}")
    return share


def check_guidance_scale(guidance_scale: float) -> float:
    """`guidance_scale` as a float; any finite number, negative ones steer away from the text.

    Raises `TypeError` for what is not a number and `ValueError` for NaN and infinity.
    """
    scale = check_number("guidance_scale must be a number", guidance_scale)
    if not math.isfinite(scale):
        raise ValueError(f"guidance_scale must be a finite number; got {guidance_scale}")
    return scale
