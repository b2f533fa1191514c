"""Exercises of lesson 04: what the VAE keeps, its latents, and what they save."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ...diffusion.seeds import randn
from ...evaluation import psnr
from ...inside import Anatomy, anatomy
from ..exercises import Cases, Exercise, Mistakes
from ..given import GIVEN, Given


@lru_cache(maxsize=1)
def _large() -> Anatomy:
    return anatomy("sd15")


class Psnr(Exercise, name="vae.psnr"):
    """10 dB more mean a squared error that is 10 times smaller."""

    tolerance = 1e-3
    decimals = 1
    others = ("10 * torch.log10(1 / ((one - other) ** 2).mean())",)
    hints = (
        "First the error: how far is each colour value off, squared, on average?",
        "error = ((one - other) ** 2).mean() is one number. PSNR is 10 · log10(1 / error).",
        "Tensors have a method for it: (1 / error).log10()",
    )

    def cases(self) -> Cases:
        chance = torch.Generator().manual_seed(4)
        one = torch.rand((3, 8, 8), generator=chance)
        noise = torch.rand((3, 8, 8), generator=chance) - 0.5
        small = [torch.tensor(levels)[:, None, None] for levels in ([0.5, 0, 1], [0.4, 0.2, 0.7])]
        return [
            tuple(small),
            (one, (one + 0.2 * noise).clamp(0, 1)),
            (one, 1 - one),
            (one, one * one),
        ]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"psnr": psnr}

    def answer(self, one: Tensor, other: Tensor) -> Tensor:
        error = ((one - other) ** 2).mean()
        return 10 * (1 / error).log10()

    def mistakes(self, one: Tensor, other: Tensor) -> Mistakes:
        yield 10 * (1 / (one - other).abs().mean()).log10()
        yield "you took the mean of the differences themselves: square them first"
        yield 20 * (1 / ((one - other) ** 2).mean()).log10()
        yield "with the mean of squares it is 10 times the logarithm; 20 belongs to its root"
        yield 10 * ((one - other) ** 2).mean().log10()
        yield "the better the picture, the higher the PSNR: it is the logarithm of 1 / error"
        yield 10 * (1 / ((one - other) ** 2).mean()).log()
        yield "decibels count powers of ten: take log10, not the natural logarithm"
        yield (1 / ((one - other) ** 2).mean()).log10()
        yield "that counts in bels: decibels are 10 times as many"
        yield ((one - other) ** 2).mean()
        yield "that is the error: PSNR is 10 times the log10 of 1 / error"
        yield 10 * (1 / ((one - other) ** 2)).log10().mean()
        yield "one number first, then the logarithm: take the mean of the squares before log10"


class Bytes(Exercise, name="vae.bytes"):
    """48 times fewer numbers, each of which takes twice the room."""

    hints = (
        "How many numbers has the picture, and how many has the latent?",
        "786,432 numbers of 1 byte, and 16,384 numbers of 2 bytes.",
        "Divide the bytes of the picture by the bytes of the latent.",
    )

    def answer(self) -> float:
        return (512 * 512 * 3 * 1) / (64 * 64 * 4 * 2)

    def mistakes(self) -> Mistakes:
        yield 48
        yield "48 compares numbers; here each of the latent's takes 2 bytes"
        yield 12
        yield "that is single precision, with 4 bytes a number; half has 2"
        yield 96
        yield "larger numbers take more room, not less: divide by their bytes"
        yield 64
        yield "64 is for the area alone; count channels and bytes as well"
        yield (64 * 64 * 4 * 2) / (512 * 512 * 3 * 1)
        yield "upside down: the larger, the picture, goes above the line"
        yield 512 * 512 * 3 - 64 * 64 * 4 * 2
        yield "that is how many bytes fewer: how many *times* fewer is asked for, so divide"

    def counterexample(self, answer: Any) -> str | None:
        latent, picture = 64 * 64 * 4 * 2, 512 * 512 * 3
        times = f"{answer:g} times the latent's {latent:,} bytes are {answer * latent:,.0f}"
        return f"{times}, and the picture has {picture:,}"


class Stitch(Exercise, name="vae.stitch"):
    """A latent is laid out like its picture, so its last axis is the picture's width, and half of
    the columns is half of the picture.
    """

    hints = (
        "The shape is (B, 4, h, w). Which axis goes from left to right?",
        "The last one. left[..., :middle] is its first part, with middle = left.shape[-1] // 2.",
        "torch.cat([one, other], dim=-1) puts two pieces side by side.",
    )

    def cases(self) -> Cases:
        """A small case to show, and two other widths and heights than those of the lesson."""
        small = (torch.arange(4.0).reshape(1, 1, 1, 4), torch.arange(10.0, 14).reshape(1, 1, 1, 4))
        shapes = ((4, 6, 6), (4, 4, 20))
        return [small, *((randn(shape, [1]), randn(shape, [2])) for shape in shapes)]

    def answer(self, left: Tensor, right: Tensor, *, torch: Any) -> Tensor:
        middle = left.shape[-1] // 2
        return torch.cat([left[..., :middle], right[..., middle:]], dim=-1)

    def mistakes(self, left: Tensor, right: Tensor, *, torch: Any) -> Mistakes:
        yield self.answer(right, left, torch=torch)
        yield "the halves have changed places: the left one is to come from `left`"
        yield torch.cat([left[..., :8], right[..., 8:]], dim=-1)
        yield "8 is half of the lesson's 16, and other widths are tried: take left.shape[-1] // 2"
        yield torch.cat([left, right], dim=-1)
        yield "that is both latents whole, side by side: take half of the columns of each"
        middle = left.shape[-2] // 2
        yield torch.cat([left[..., :middle, :], right[..., middle:, :]], dim=-2)
        yield "that is the upper half of one over the lower half of the other: columns come last"
        yield torch.cat([left[:, :2], right[:, 2:]], dim=1)
        yield "you took two channels of each; width is the last axis"
        yield (left + right) / 2
        yield "that is the mean of both everywhere; each half is to come from one of them"


class Scaling(Exercise, name="vae.scaling"):
    """Dividing by the standard deviation makes it 1. The code of latent diffusion does this with
    its first batch (Rombach et al. 2022, arXiv 2112.10752, appendix G).
    """

    decimals = 3
    others = ("1 / latents.std(unbiased=False)",)
    hints = (
        "If all latents are multiplied by a number, what happens to their standard deviation?",
        "It is multiplied by the same number. It should become 1.",
        "latents.std() is the standard deviation of all values together.",
    )

    def cases(self) -> Cases:
        small = torch.tensor([4.0, 6.0, 8.0, 5.0, 0.0, 1.0, -4.0, -1.0]).reshape(1, 4, 1, 2)
        spread = torch.tensor([5.0, 6.0, 4.5, 6.5])[:, None, None]
        return [(small,), *((spread * randn((4, 8, 8), range(n)) + n,) for n in (2, 3))]

    def answer(self, latents: Tensor) -> Tensor:
        return 1 / latents.std()

    def mistakes(self, latents: Tensor) -> Mistakes:
        yield latents.std()
        yield "that is the spread itself; latents are multiplied by the factor, so turn it over"
        yield 1 / latents.var()
        yield "that is 1 over the variance; its root, the standard deviation, is to become 1"
        yield 1 / latents.std(dim=(0, 2, 3))
        yield "that is one number for each channel; Stable Diffusion has one for all of them"
        yield latents / latents.std()
        yield "those are the scaled latents; the factor is asked for, one number"
        yield 1 / latents.square().mean().sqrt()
        yield "that measures from 0: the standard deviation measures from the mean, latents.std()"
        yield torch.tensor(0.18215)
        yield "that is the factor of Stable Diffusion: work out that of these latents"


class Cost(Exercise, name="vae.cost"):
    """The decoder runs once and costs as much as the U-Net on three latents; 20 steps with guidance
    work through 40.
    """

    given = {**GIVEN, "large": Given(_large)}
    tolerance = 0.01
    decimals = 0
    hints = (
        'large.parts["unet"].flops is for one latent. How many are worked through in 20 steps?',
        "40 with guidance: with the words and without, in each step.",
        "100 times the decoder's FLOPs, over the sum of 40 times the U-Net's and the decoder's.",
    )

    def answer(self, *, large: Any) -> float:
        loop = 20 * 2 * large.parts["unet"].flops
        decoder = large.parts["vae_decoder"].flops
        return 100 * decoder / (loop + decoder)

    def mistakes(self, *, large: Any) -> Mistakes:
        unet, decoder = large.parts["unet"].flops, large.parts["vae_decoder"].flops
        yield 100 * decoder / (20 * unet + decoder)
        yield "with guidance each step works through two latents, with the words and without"
        yield 100 * decoder / (40 * unet)
        yield "the decoder is part of the whole: the sum of both goes below the line"
        yield 100 * decoder / (unet + decoder)
        yield "that is one latent, once; a picture takes 20 steps of two latents each"
        yield decoder / (40 * unet + decoder)
        yield "that is the share of the whole: times 100 it is per cent"

    def counterexample(self, answer: Any, *, large: Any) -> str | None:
        unet, decoder = large.parts["unet"].flops, large.parts["vae_decoder"].flops
        loop = decoder * (100 / answer - 1) / unet
        return f"then the loop would be {loop:.3g} latents in the U-Net, and it is 40"


EXERCISES = (Psnr(), Bytes(), Stitch(), Scaling(), Cost())
