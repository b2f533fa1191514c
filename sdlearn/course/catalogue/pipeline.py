"""Exercises of lesson 05: the whole loop (DDIM, arXiv 2010.02502)."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...diffusion.equations import ddim_step
from ...diffusion.seeds import randn
from ...pipeline import StableDiffusion
from ..exercises import Cases, Exercise, Mistakes
from ..given import model


class Shape(Exercise, name="pipeline.shape"):
    """A latent has 4 channels, and one number of each stands for 8 by 8 pixels. Rows come before
    columns, so the height comes before the width.
    """

    hints = (
        "The order is pictures, channels, height, width.",
        "The VAE makes height and width 8 times smaller. It has 4 channels.",
        "128 / 8 rows of 256 / 8 numbers, in 4 channels, for 1 picture.",
    )

    def answer(self) -> tuple[int, ...]:
        return (1, 4, 128 // 8, 256 // 8)

    def mistakes(self) -> Mistakes:
        yield (1, 3, 16, 32)
        yield "3 channels are red, green and blue: a latent has 4"
        yield (1, 4, 32, 16)
        yield "rows come first: height before width"
        yield (1, 4, 128, 256)
        yield "a latent has an eighth of the height and width"
        yield (1, 3, 128, 256)
        yield "that is the picture: the loop runs on its latent"
        yield (4, 16, 32)
        yield "the number of pictures comes first, here 1"
        yield 1 * 4 * 16 * 32
        yield "that is how many numbers the noise has: give its four sizes"

    def counterexample(self, answer: Any) -> str | None:
        _, _, rows, columns = answer
        return f"decoded, it would be {8 * columns} pixels wide and {8 * rows} high"


class Grid(Exercise, name="pipeline.grid"):
    """The loop must begin where there is hardly anything but noise, at 999, and then go down in
    strides of 1000 / num_steps ("trailing", Lin et al. 2023, arXiv 2305.08891, table 2).
    """

    hints = (
        "The list for 4 steps is [999, 749, 499, 249].",
        "The first is 999. The stride is 1000 // num_steps.",
        "[999 - i * stride for i in range(num_steps)]",
    )

    def cases(self) -> Cases:
        return [(4,), (20,), (1,)]

    def answer(self, num_steps: int) -> list[int]:
        return [999 - i * 1000 // num_steps for i in range(num_steps)]

    def mistakes(self, num_steps: int) -> Mistakes:
        yield [1000 - i * 1000 // num_steps for i in range(num_steps)]
        yield "off by one: there are 1000 timesteps and the first is 0, so the last is 999"
        yield [(i + 1) * 1000 // num_steps - 1 for i in range(num_steps)]
        yield "the numbers are right, their order is not: the loop begins with the noisiest"
        yield [i * 1000 // num_steps for i in reversed(range(num_steps))]
        yield 'that is the grid called "leading": it ends at 0 and does not begin at 999'
        last = max(1, num_steps - 1)
        yield [round(999 - i * 999 / last) for i in range(num_steps)]
        yield 'that is "linspace", from 999 to 0: the strides of "trailing" are 1000 / num_steps'
        yield [round(i * 999 / last) for i in range(num_steps)]
        yield "linspace from 0 up to 999 goes from clean to noisy: begin at 999 and go down"
        yield [999 - i * 1000 // num_steps for i in range(num_steps + 1)]
        yield "that is one too many: the last stride only leads to the clean picture"


class DdimStep(Exercise, name="pipeline.ddim_step"):
    """First solve the formula of noising for the clean latents, with the alpha_bar of where you
    are. Then mix them with the same noise, with that of where you go (DDIM eq. 12).
    """

    hints = (
        "Two lines: what would the clean latents be, and how noisy are they one step on?",
        "pred_x0 is (x_t - sqrt(1 - alpha_bar) * eps) / sqrt(alpha_bar), as in lesson 01.",
        "Then add noise as ever: sqrt(alpha_bar_prev) * pred_x0 + sqrt(1 - alpha_bar_prev) * eps.",
    )

    def cases(self) -> Cases:
        """Two large steps and a small one: (x_t, eps, alpha_bar, alpha_bar_prev)."""
        shape, bars = (4, 3, 3), torch.tensor([[0.1, 0.3], [0.2, 0.7], [0.9, 0.95]])
        small = torch.tensor([2.0, 1.0]), torch.tensor([1.0, -1.0]), *torch.tensor([0.36, 0.64])
        return [
            small,
            *((randn(shape, [i]), randn(shape, [i + 10]), *ab) for i, ab in enumerate(bars)),
        ]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"diffusion.ddim_step": ddim_step}

    def answer(self, x_t: Tensor, eps: Tensor, alpha_bar: Tensor, alpha_bar_prev: Tensor) -> Tensor:
        pred_x0 = (x_t - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5
        return alpha_bar_prev**0.5 * pred_x0 + (1 - alpha_bar_prev) ** 0.5 * eps

    def mistakes(
        self, x_t: Tensor, eps: Tensor, alpha_bar: Tensor, alpha_bar_prev: Tensor
    ) -> Mistakes:
        pred_x0 = (x_t - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5
        yield alpha_bar_prev * pred_x0 + (1 - alpha_bar_prev) * eps
        yield "the roots are missing where you mix: sqrt(alpha_bar_prev), sqrt(1 - alpha_bar_prev)"
        rootless = (x_t - (1 - alpha_bar) * eps) / alpha_bar
        yield alpha_bar_prev**0.5 * rootless + (1 - alpha_bar_prev) ** 0.5 * eps
        yield "the roots are missing in pred_x0: sqrt(1 - alpha_bar) and sqrt(alpha_bar)"
        yield x_t
        yield "with one alpha_bar for both you are back at x_t: mix with alpha_bar_prev"
        yield self.answer(x_t, eps, alpha_bar_prev, alpha_bar)
        yield "you swapped the two: pred_x0 needs the alpha_bar of t, the mixing alpha_bar_prev"
        yield pred_x0
        yield "that jumps to pred_x0, the end: mix noise in again, that of eps"
        yield alpha_bar_prev**0.5 * pred_x0
        yield "pred_x0 is faded as it should be, but its noise is missing: add that of eps"
        yield x_t - eps
        yield "no scheduler subtracts the noise: find pred_x0, mix it with eps again"


class Decode(Exercise, name="pipeline.decode"):
    """The loop runs on latents that were multiplied with the scaling factor, to bring them near the
    size of the noise. The decoder wants them as the encoder made them, and gives pixels from -1 to
    1.
    """

    tolerance = 1e-3
    hints = (
        "Latents in the loop are scaling_factor times those that the encoder made.",
        "So divide: latents / sd.vae.config.scaling_factor.",
        "Its pixels go from -1 to 1: (pixels / 2 + 0.5).clamp(0, 1).",
    )

    def cases(self) -> Cases:
        """Weak and strong latents, so that the pixels of the strong ones leave the range."""
        latents = model().init_latents([7], height=64, width=64)
        return [(strength * latents,) for strength in (0.5, 3.0)]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"sd.decode": StableDiffusion.decode}

    def answer(self, latents: Tensor, *, sd: Any) -> Tensor:
        pixels = sd.vae.decode(latents / sd.vae.config.scaling_factor).sample
        return (pixels / 2 + 0.5).clamp(0, 1)

    def mistakes(self, latents: Tensor, *, sd: Any) -> Mistakes:
        factor = sd.vae.config.scaling_factor
        yield self.answer(latents * factor**2, sd=sd)
        yield "the encoder's latents were multiplied with the scaling factor: divide by it"
        yield self.answer(latents * factor, sd=sd)
        yield "the decoder wants latents of full size: divide by the scaling factor"
        yield self.answer(latents / factor, sd=sd)
        yield "sd.decode divides by the scaling factor itself: divide once"
        pixels = sd.vae.decode(latents / factor).sample
        yield pixels
        yield "pixels go from -1 to 1: halve them, add 0.5 and clamp"
        yield pixels / 2 + 0.5
        yield "some pixels are beyond black or white: .clamp(0, 1)"
        yield pixels.clamp(0, 1)
        yield "pixels go from -1 to 1: first halve them and add 0.5"
        yield (pixels + 0.5).clamp(0, 1)
        yield "half of the range is missing: pixels go from -1 to 1, so halve them, too"
        yield (pixels / 2).clamp(0, 1)
        yield "halved, pixels go from -0.5 to 0.5: add 0.5"
        yield (pixels / 2 + 0.5).clamp(-1, 1)
        yield "black is 0: .clamp(0, 1)"


class Calls(Exercise, name="pipeline.calls"):
    """Heun looks at both ends of each stride, but not after the last one: 2 * 30 - 1 calls.
    Guidance puts each of the 5 pictures into the batch twice, without and with the text.
    """

    hints = (
        "Count the calls first, then the latents in each.",
        "N steps of Heun are 2N - 1 calls.",
        "5 pictures, each without and with the text, are 10 latents a call.",
    )

    def answer(self) -> int:
        return 5 * 2 * (2 * 30 - 1)

    def mistakes(self) -> Mistakes:
        yield 5 * 2 * 30
        yield "Heun calls the U-Net nearly twice a step"
        yield 5 * 2 * 2 * 30
        yield "close: Heun's last step needs one call only"
        yield 2 * 30 - 1
        yield "these are the calls: how many latents are in each?"
        yield 5 * (2 * 30 - 1)
        yield "you have counted only 5 latents a call: it is 10"
        yield 2 * (2 * 30 - 1)
        yield "that is one picture, with and without words: you draw 5 at once"
        yield 5 * 30
        yield "that is one latent a picture and one call a step: guidance and Heun need two"

    def counterexample(self, answer: Any) -> str | None:
        return f"with 10 latents a call that would be {answer / 10:g} calls, in 30 steps of Heun"


EXERCISES = (Shape(), Grid(), DdimStep(), Decode(), Calls())
