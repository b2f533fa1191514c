"""Exercises of lesson 10: Stable Diffusion 1.5 and its successors."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...diffusion.equations import x0_of
from ...diffusion.seeds import randn
from ..exercises import Cases, Exercise, Mistakes

GIB = 2**30
BITS = (16, 8, 4)


class Gigabytes(Exercise, name="real.gigabytes"):
    """A byte has 8 bits, so 16, 8 and 4 bits are 2, 1 and half a byte, for each of 12 billion
    parameters. Of 8 GB the last leaves 2 for all the rest: the text encoders must go elsewhere.
    """

    hints = (
        "How many bytes are 16 bits? A byte has 8 of them.",
        "16 bits are 2 bytes, 8 bits are 1, and 4 bits are half a byte.",
        "12 billion numbers of 2 bytes are 24 billion bytes, which is 24 GB.",
    )

    def answer(self) -> list[float]:
        return [12 * bits / 8 for bits in (16, 8, 4)]

    def mistakes(self) -> Mistakes:
        yield [12 * bits for bits in BITS]
        yield "these are billions of bits: 8 bits are a byte"
        yield [12 * bits / 4 for bits in BITS]
        yield "that counts 16 bits as 4 bytes, which is what 32 bits are"
        yield [12e9 * bits / 8 for bits in BITS]
        yield "these are bytes: a GB is 1,000,000,000 of them"
        yield [bits / 8 for bits in BITS]
        yield "these are the bytes of one parameter: there are 12 billion of them"
        yield [24, 12, 12]
        yield "the first two are right: 4 bits are half a byte"
        yield [12e9 * bits / 8 / GIB for bits in BITS]
        yield "these are GiB, 2**30 bytes each: a GB is 10**9 bytes in this course"

    def counterexample(self, answer: Any) -> str | None:
        of_one = ", ".join(f"{8 * size / 12:g}" for size in answer)
        return f"that would be {of_one} bits for each of 12 billion parameters"


class FlowStep(Exercise, name="real.flow_step"):
    """Solved for the picture, z = (1 - s) x0 + s eps gives x0, and eps - x0 is the direction.
    Euler's rule goes along it for s_next - s, which is negative on the way to the picture.
    """

    others = (
        "z + (s_next - s) * (eps - z) / (1 - s)",
        "(1 - s_next) * (z - s * eps) / (1 - s) + s_next * eps",
    )
    hints = (
        "First x0: solve z = (1 - s) * x0 + s * eps for it.",
        "x0 is (z - s * eps) / (1 - s), and v is eps - x0.",
        "Euler's rule adds the step times the direction: z + (s_next - s) * v.",
    )

    def cases(self) -> Cases:
        """A small case, a step from near the noise, and the last one: (z, eps, s, s_next)."""
        shape = (4, 3, 3)
        small = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0]), 0.5, 0.25
        pairs = ((0.9, 0.7), (0.3, 0.02))
        return [
            small,
            *((randn(shape, [i, 5]), randn(shape, [i, 9]), *s) for i, s in enumerate(pairs)),
        ]

    def answer(self, z: Tensor, eps: Tensor, s: float, s_next: float) -> Tensor:
        x0 = (z - s * eps) / (1 - s)
        v = eps - x0
        return z + (s_next - s) * v

    def mistakes(self, z: Tensor, eps: Tensor, s: float, s_next: float) -> Mistakes:
        x0 = (z - s * eps) / (1 - s)
        v = eps - x0
        yield z - (s_next - s) * v
        yield (
            "you walk towards the noise: v is eps - x0, and (s_next - s) * v is added, where "
            "s_next - s is negative"
        )
        yield z + s_next * v
        yield "the step is the way from s to s_next, s_next - s, and not s_next itself"
        yield x0
        yield "that goes to the picture at once: go as far as s_next only"
        yield z + (s_next - s) * eps
        yield "you go along the noise alone: the direction is eps - x0"
        yield z + (s_next - s) * (eps - z)
        yield "you took z for the picture: x0 is what z and eps imply, (z - s * eps) / (1 - s)"
        yield v
        yield "that is the direction: go along it, from z, for s_next - s"


class Velocity(Exercise, name="real.velocity"):
    """With alpha = sqrt(alpha_bar) and sigma = sqrt(1 - alpha_bar), x_t = alpha x0 + sigma eps and
    v = alpha eps - sigma x0. In alpha x_t - sigma v the noise cancels, and alpha² + sigma² is 1
    (Salimans and Ho 2022, arXiv 2202.00512, appendix D).
    """

    hints = (
        "Write alpha for sqrt(alpha_bar) and sigma for sqrt(1 - alpha_bar). How can you get rid of "
        "eps in x_t = alpha * x0 + sigma * eps and v = alpha * eps - sigma * x0?",
        "Multiply the first by alpha, the second by sigma, and subtract.",
        "What is left is (alpha² + sigma²) * x0, which is x0: so x0 = alpha * x_t - sigma * v.",
    )

    def cases(self) -> Cases:
        """A small case, noise level in the middle, and pure noise: (x_t, v, alpha_bar)."""
        small = torch.tensor([2.2, 1.0]), torch.tensor([-0.4, 1.0]), torch.tensor(0.64)
        shape, bars = (4, 3, 3), (torch.tensor(0.3), torch.tensor(0.0))
        return [
            small,
            *((randn(shape, [i, 5]), randn(shape, [i, 9]), bar) for i, bar in enumerate(bars)),
        ]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"diffusion.x0_of": x0_of}

    def answer(self, x_t: Tensor, v: Tensor, alpha_bar: Tensor) -> Tensor:
        return alpha_bar**0.5 * x_t - (1 - alpha_bar) ** 0.5 * v

    def mistakes(self, x_t: Tensor, v: Tensor, alpha_bar: Tensor) -> Mistakes:
        alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        yield (x_t - sigma * v) / alpha
        yield "that is the formula for predicted noise: v is a mixture of noise and picture"
        yield alpha_bar * x_t - (1 - alpha_bar) * v
        yield "the roots are missing: sqrt(alpha_bar) and sqrt(1 - alpha_bar)"
        yield sigma * x_t - alpha * v
        yield "alpha and sigma are swapped: at alpha_bar = 1 the result must be x_t"
        yield alpha * v - sigma * x_t
        yield "x_t and v are swapped: at alpha_bar = 1 the result must be x_t"
        yield alpha * v + sigma * x_t
        yield "that is the noise: the picture is the other mixture of the two"
        yield x_t - v
        yield "each has its share: sqrt(alpha_bar) of x_t and sqrt(1 - alpha_bar) of v"


class Numbers(Exercise, name="real.numbers"):
    """1024 * 1024 * 3 numbers become 128 * 128 * 16, a twelfth. Patches of 2 by 2 make 64 * 64
    tokens of 128 * 128 places, as many as Stable Diffusion 1.5 has places at its finest level.
    """

    hints = (
        "How high and wide is the latent, if it is 8 times smaller on each side?",
        "128 * 128 places of 16 channels, from 1024 * 1024 pixels of 3 numbers.",
        "A patch of 2 by 2 is one token, so there are 64 * 64 of them.",
    )

    def answer(self) -> list[int]:
        side = 1024 // 8
        return [1024 * 1024 * 3 // (side * side * 16), (side // 2) ** 2]

    def mistakes(self) -> Mistakes:
        yield [48, 64 * 64]
        yield "48 is for 4 channels: here there are 16"
        yield [64, 64 * 64]
        yield "64 is the ratio of the areas: count the channels, 3 of the picture and 16 here"
        yield [12, 128 * 128]
        yield "12 is right. A token is a patch of 2 by 2 places, so there are fewer"
        yield [12, 128 * 128 // 2]
        yield "12 is right. A patch of 2 by 2 holds 4 places, and not 2"
        yield [12, 64]
        yield "12 is right. 64 is one side: there are as many rows of patches"
        yield [12, 512 * 512]
        yield "12 is right. The patches are cut from the latent, and not from the picture"
        yield [1024 * 1024 * 3, 128 * 128 * 16]
        yield "these are the numbers of picture and latent: divide them, then count tokens"

    def counterexample(self, answer: Any) -> str | None:
        times, tokens = answer
        return f"{tokens:,} tokens of 2 by 2 places would be a latent of {4 * tokens:,} places"


class Orthogonal(Exercise, name="real.orthogonal"):
    """The share along a direction is the inner product with it, divided by its squared length; what
    is left has no part along it (Sadat et al. 2024, arXiv 2410.02416, section 4).
    """

    tolerance = 1e-4
    hints = (
        "How much of `difference` lies along `towards`? Multiply place by place and add up, over "
        "all axes but the first: (difference * towards).sum(dim=(1, 2, 3), keepdim=True).",
        "Divide that by the same sum of towards * towards: it says how many times `towards` is in "
        "`difference`, for each picture.",
        "Take that many times `towards` away from `difference`.",
    )

    def cases(self) -> Cases:
        """A small case, two pictures of different strength, and one: (difference, towards)."""
        small = torch.tensor([3.0, 1.0]), torch.tensor([2.0, 0.0])
        shape = (4, 3, 3)
        strong = torch.tensor([1.0, 5.0]).view(2, 1, 1, 1)
        return [
            tuple(x.view(1, 2, 1, 1) for x in small),
            (randn(shape, [1, 2]), strong * randn(shape, [3, 4])),
            (randn(shape, [5, 6]) + 1, randn(shape, [7, 8]) + 1),
        ]

    def answer(self, difference: Tensor, towards: Tensor) -> Tensor:
        along = (difference * towards).sum(dim=(1, 2, 3), keepdim=True)
        square = (towards * towards).sum(dim=(1, 2, 3), keepdim=True)
        return difference - along / square * towards

    def mistakes(self, difference: Tensor, towards: Tensor) -> Mistakes:
        each: Any = {"dim": (1, 2, 3), "keepdim": True}
        along, square = (difference * towards).sum(**each), (towards * towards).sum(**each)
        yield along / square * towards
        yield "that is the part along `towards`: what is left without it is asked for"
        yield difference - along * towards
        yield "`towards` has a length of its own: divide by its squared length"
        yield difference - along / square.sqrt() * towards
        yield "divide by the square of the length, as `towards` comes twice: no root"
        yield difference - (difference * towards).sum() / (towards * towards).sum() * towards
        yield "you add up over the whole batch: each picture has a share of its own, dim=(1, 2, 3)"
        yield difference - towards
        yield "take away as much of `towards` as there is in `difference`, and not all of it"
        yield difference - along / (difference * difference).sum(**each) * difference
        yield "you project the wrong way round: take away what lies along `towards`"


EXERCISES = (Gigabytes(), FlowStep(), Velocity(), Numbers(), Orthogonal())
