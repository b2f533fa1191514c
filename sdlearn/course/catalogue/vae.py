"""Exercises and questions of lesson 04: what the VAE keeps, its latents, and what they save."""

from __future__ import annotations

from typing import Any

from ..exercises import Exercise, Mistake
from ..quiz import Question

__all__ = ["EXERCISES", "QUESTIONS"]


def _pairs_of_pictures() -> list[tuple[Any, ...]]:
    import torch

    chance = torch.Generator().manual_seed(4)
    one = torch.rand((3, 8, 8), generator=chance)
    noise = torch.rand((3, 8, 8), generator=chance) - 0.5
    return [(one, (one + 0.2 * noise).clamp(0, 1)), (one, 1 - one), (one, one.flip(-1))]


def _latents() -> list[tuple[Any, ...]]:
    import torch

    chance = torch.Generator().manual_seed(4)
    spread = torch.tensor([5.0, 6.0, 4.5, 6.5])[None, :, None, None]
    return [(spread * torch.randn((n, 4, 8, 8), generator=chance) + n,) for n in (2, 3)]


def _pairs_of_latents() -> list[tuple[Any, ...]]:
    import torch

    chance = torch.Generator().manual_seed(4)
    return [
        tuple(torch.randn((2, *size), generator=chance)) for size in [(1, 4, 6, 6), (2, 4, 4, 8)]
    ]


_PSNR = Exercise(
    name="vae.psnr",
    solution="""\
def answer(one, other):
    error = ((one - other) ** 2).mean()
    return 10 * (1 / error).log10()
""",
    reason="10 dB more are a squared error 10 times smaller.",
    cases=_pairs_of_pictures,
    mistakes=(
        Mistake(
            "def answer(one, other): return 10 * (1 / (one - other).abs().mean()).log10()",
            "you took the mean of the differences themselves: square them first",
        ),
        Mistake(
            "def answer(one, other): return 20 * (1 / ((one - other) ** 2).mean()).log10()",
            "with the mean of squares it is 10 times the logarithm; 20 belongs to its root",
        ),
        Mistake(
            "def answer(one, other): return 10 * ((one - other) ** 2).mean().log10()",
            "the better the picture, the higher the PSNR: it is the logarithm of 1 / error",
        ),
        Mistake(
            "def answer(one, other): return 10 * (1 / ((one - other) ** 2).mean()).log()",
            "decibels count powers of ten: take log10, not the natural logarithm",
        ),
    ),
    hints=(
        "First the error: how far is each colour value off, squared, on average?",
        "error = ((one - other) ** 2).mean() is one number. PSNR is 10 · log10(1 / error).",
        "Tensors have a method for it: (1 / error).log10()",
    ),
    tolerance=1e-3,
)

_BYTES = Exercise(
    name="vae.bytes",
    solution="answer = (512 * 512 * 3 * 1) / (64 * 64 * 4 * 2)\n",
    reason="48 times fewer numbers, each of which takes twice the room.",
    mistakes=(
        Mistake("answer = 48", "48 compares numbers; here each of the latent's takes 2 bytes"),
        Mistake("answer = 12", "that is single precision, with 4 bytes a number; half has 2"),
        Mistake("answer = 96", "larger numbers take more room, not less: divide by their bytes"),
        Mistake("answer = 64", "64 is for the area alone; count channels and bytes as well"),
    ),
    hints=(
        "How many numbers has the picture, and how many has the latent?",
        "786,432 numbers of 1 byte, and 16,384 numbers of 2 bytes.",
        "Divide the bytes of the picture by the bytes of the latent.",
    ),
)

_STITCH = Exercise(
    name="vae.stitch",
    solution="""\
def answer(left, right):
    middle = left.shape[-1] // 2
    return torch.cat([left[..., :middle], right[..., middle:]], dim=-1)
""",
    reason="A latent is laid out like its picture, so its last axis is the picture's width, and "
    "half of the columns is half of the picture.",
    cases=_pairs_of_latents,
    needs=("torch",),
    mistakes=(
        Mistake(
            """\
def answer(left, right):
    middle = left.shape[-1] // 2
    return torch.cat([right[..., :middle], left[..., middle:]], dim=-1)
""",
            "the halves have changed places: the left one is to come from `left`",
        ),
        Mistake(
            """\
def answer(left, right):
    middle = left.shape[-2] // 2
    return torch.cat([left[..., :middle, :], right[..., middle:, :]], dim=-2)
""",
            "that is the upper half of one over the lower half of the other: columns come last",
        ),
        Mistake(
            "def answer(left, right): return torch.cat([left[:, :2], right[:, 2:]], dim=1)",
            "you took two channels of each; width is the last axis",
        ),
        Mistake(
            "def answer(left, right): return (left + right) / 2",
            "that is the mean of both everywhere; each half is to come from one of them",
        ),
    ),
    hints=(
        "The shape is (B, 4, h, w). Which axis goes from left to right?",
        "The last one. left[..., :middle] is its first part, with middle = left.shape[-1] // 2.",
        "torch.cat([one, other], dim=-1) puts two pieces side by side.",
    ),
)

_SCALING = Exercise(
    name="vae.scaling",
    solution="""\
def answer(latents):
    return 1 / latents.std()
""",
    reason="Dividing by the standard deviation makes it 1. The code of latent diffusion does this "
    "with its first batch (Rombach et al. 2022, arXiv 2112.10752, appendix G).",
    cases=_latents,
    mistakes=(
        Mistake(
            "def answer(latents): return latents.std()",
            "that is the spread itself; latents are multiplied by the factor, so turn it over",
        ),
        Mistake(
            "def answer(latents): return 1 / latents.var()",
            "that is 1 over the variance; its root, the standard deviation, is to become 1",
        ),
        Mistake(
            "def answer(latents): return 1 / latents.std(dim=(0, 2, 3))",
            "that is one number for each channel; Stable Diffusion has one for all of them",
        ),
        Mistake(
            "def answer(latents): return latents / latents.std()",
            "those are the scaled latents; the factor is asked for, one number",
        ),
    ),
    hints=(
        "If all latents are multiplied by a number, what happens to their standard deviation?",
        "It is multiplied by the same number. It should become 1.",
        "latents.std() is the standard deviation of all values together.",
    ),
)

_COST = Exercise(
    name="vae.cost",
    solution="""\
loop = 20 * 2 * large.parts["unet"].flops
decoder = large.parts["vae_decoder"].flops
answer = 100 * decoder / (loop + decoder)
""",
    reason="The decoder runs once and costs as much as the U-Net on three latents; 20 steps with "
    "guidance work through 40.",
    needs=("large",),
    mistakes=(
        Mistake(
            """\
decoder = large.parts["vae_decoder"].flops
answer = 100 * decoder / (20 * large.parts["unet"].flops + decoder)
""",
            "with guidance the U-Net works through two latents in each step, with the words and "
            "without",
        ),
        Mistake(
            'answer = 100 * large.parts["vae_decoder"].flops / (40 * large.parts["unet"].flops)',
            "the decoder is part of the whole: the sum of both goes below the line",
        ),
        Mistake(
            """\
decoder = large.parts["vae_decoder"].flops
answer = 100 * decoder / (large.parts["unet"].flops + decoder)
""",
            "that is one latent, once; a picture takes 20 steps of two latents each",
        ),
    ),
    hints=(
        'large.parts["unet"].flops is for one latent. How many are worked through in 20 steps?',
        "40 with guidance: with the words and without, in each step.",
        "100 times the decoder's FLOPs, over the sum of 40 times the U-Net's and the decoder's.",
    ),
    tolerance=0.01,
)

EXERCISES = (_PSNR, _BYTES, _STITCH, _SCALING, _COST)

QUESTIONS = (
    Question(
        text="A picture of 512 by 512 pixels becomes a latent of 64 by 64. How many times fewer "
        "numbers are that?",
        choices=(
            ("64", "no: that is the area alone, and the 3 channels become 4"),
            ("48", "yes: 786,432 numbers become 16,384 (section 2)"),
            ("8", "no: each *side* becomes 8 times shorter"),
        ),
        right=1,
    ),
    Question(
        text="What happens if latents are not multiplied by the scaling factor before noise is "
        "added?",
        choices=(
            (
                "too much of the picture is left at every timestep",
                "yes: the picture is 5.5 times too strong beside the noise (section 4)",
            ),
            ("nothing, as long as decoding leaves it out too", "no: the U-Net sees them between"),
            ("the picture becomes smaller", "no: the factor is for the values, not for the size"),
        ),
        right=0,
    ),
    Question(
        text="Where does a generated picture come from?",
        choices=(
            (
                "the VAE invents it from a random latent",
                "no: random latents decode into coloured blots (section 7)",
            ),
            (
                "the U-Net makes the latent, and the VAE only develops it",
                "yes: what is to be seen is decided in the latent (section 7)",
            ),
            ("the VAE's encoder draws it", "no: to draw from words the encoder is not even used"),
        ),
        right=1,
    ),
)
