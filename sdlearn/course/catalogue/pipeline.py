"""Exercises of lesson 05: the loop (DDIM, arXiv 2010.02502), which grows from one to the next.

One step, the loop with the words, the loop with guidance, the noise of any seeds, the decoder. Each
may use what the ones before it have taught, from the library (`diffusion.ddim_step`).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...diffusion.equations import ddim_step
from ...diffusion.loop import denoise_steps
from ...diffusion.seeds import randn
from ...pipeline import StableDiffusion
from ..exercises import Cases, Exercise, Mistakes
from ..given import GIVEN, Given, model

NAMES = {**GIVEN, "alphas_cumprod": Given(lambda: model().scheduler.alphas_cumprod)}
LOOPS: Mapping[str, Callable[..., Any]] = {
    "sd.denoise": StableDiffusion.denoise,
    "sd.generate": StableDiffusion.generate,
    "diffusion.denoise_steps": denoise_steps,
}
SMALL = 64  # pixels of a side: the loop runs here on latents of 8 by 8


def _few_steps() -> list[tuple[Tensor, list[int]]]:
    """Noise and timesteps for the loop, with strides that do not stay the same."""
    noise = model().init_latents([3], height=SMALL, width=SMALL)
    return [(noise, [999, 749, 499, 249]), (noise, [999, 400])]


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


class Loop(Exercise, name="pipeline.loop"):
    """Each call of the U-Net is asked about the latents that the step before has made. The step
    leads to the next timestep of the list, and from its last one to timestep 0.
    """

    given = NAMES
    tolerance = 1e-3  # latents may be moved in another order of sums
    hints = (
        "Begin with x_t = noise. In the loop, ask for eps, take the step, and call the result x_t.",
        "Pairs of here and next: zip(timesteps, [*timesteps[1:], 0]).",
        "x_t = diffusion.ddim_step(x_t, eps, alphas_cumprod[t], alphas_cumprod[t_prev])",
    )

    def cases(self) -> Cases:
        """(noise, cond, timesteps)."""
        cond = model().encode_text("a red house on green grass")
        return [(noise, cond, timesteps) for noise, timesteps in _few_steps()]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return LOOPS

    def answer(
        self,
        noise: Tensor,
        cond: Tensor,
        timesteps: list[int],
        *,
        sd: Any,
        diffusion: Any,
        alphas_cumprod: Tensor,
    ) -> Tensor:
        x_t = noise
        for t, t_prev in zip(timesteps, [*timesteps[1:], 0], strict=True):
            eps = sd.predict_noise(x_t, t, cond)
            x_t = diffusion.ddim_step(x_t, eps, alphas_cumprod[t], alphas_cumprod[t_prev])
        return x_t

    def mistakes(
        self,
        noise: Tensor,
        cond: Tensor,
        timesteps: list[int],
        *,
        sd: Any,
        alphas_cumprod: Tensor,
    ) -> Mistakes:
        def walk(grid: list[int], nexts: list[int]) -> Tensor:
            x_t = noise
            for t, t_prev in zip(grid, nexts, strict=True):
                eps = sd.predict_noise(x_t, t, cond)
                x_t = ddim_step(x_t, eps, alphas_cumprod[t], alphas_cumprod[t_prev])
            return x_t

        rest = timesteps[1:]
        yield walk(timesteps[:-1], rest)
        yield "the last step is missing: from the last timestep of the list it leads to 0"
        yield walk(timesteps[:1], rest[:1])
        yield "you return after the first step: `return` stands below the loop, not in it"
        yield walk(timesteps, [*rest, -1])
        yield (
            "a step of yours leads to more noise, where ddim_step gives nan: go down the list, and "
            "from its last timestep to 0 (below 0, Python counts from the noisy end)"
        )
        stride = 1000 // len(timesteps)
        yield walk(timesteps, [max(0, t - stride) for t in timesteps])
        yield "not every list has strides of 1000 // its length: take the next from the list"
        yield walk(timesteps[-1:], [0])
        yield (
            "every step of yours begins at the noise again, so only the last one counts: go on "
            "with what the step before has made"
        )
        yield walk(timesteps, timesteps)
        yield "you stay where you are: the second alpha_bar is that of the next timestep"
        x_t = noise
        for t in timesteps:
            x_t = x_t - sd.predict_noise(x_t, t, cond)
        yield x_t
        yield "no scheduler subtracts the noise: take the step of turn 3, diffusion.ddim_step"


class Guided(Exercise, name="pipeline.guided"):
    """Only eps is another one: the prediction without words, plus guidance_scale times what the
    words change in it. Everything else in the loop stays as it was.
    """

    given = NAMES
    tolerance = 1e-3
    hints = (
        "Ask the U-Net twice, with uncond and with cond, and put the two answers together.",
        "Guidance starts at eps_uncond and goes guidance_scale times the way to eps_cond.",
        "eps = eps_uncond + guidance_scale * (eps_cond - eps_uncond)",
    )

    def cases(self) -> Cases:
        """(noise, cond, uncond, timesteps, guidance_scale)."""
        cond, uncond = model().encode_text(["a red house on green grass", ""]).chunk(2)
        scales = 3.0, 7.5
        return [(n, cond, uncond, ts, s) for (n, ts), s in zip(_few_steps(), scales, strict=True)]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return LOOPS

    def answer(
        self,
        noise: Tensor,
        cond: Tensor,
        uncond: Tensor,
        timesteps: list[int],
        guidance_scale: float,
        *,
        sd: Any,
        torch: Any,
        diffusion: Any,
        alphas_cumprod: Tensor,
    ) -> Tensor:
        x_t, text = noise, torch.cat([uncond, cond])
        for t, t_prev in zip(timesteps, [*timesteps[1:], 0], strict=True):
            eps_uncond, eps_cond = sd.predict_noise(torch.cat([x_t, x_t]), t, text).chunk(2)
            eps = eps_uncond + guidance_scale * (eps_cond - eps_uncond)
            x_t = diffusion.ddim_step(x_t, eps, alphas_cumprod[t], alphas_cumprod[t_prev])
        return x_t

    def mistakes(
        self,
        noise: Tensor,
        cond: Tensor,
        uncond: Tensor,
        timesteps: list[int],
        guidance_scale: float,
        *,
        sd: Any,
        alphas_cumprod: Tensor,
    ) -> Mistakes:
        def walk(combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
            x_t = noise
            for t, t_prev in zip(timesteps, [*timesteps[1:], 0], strict=True):
                u, c = (sd.predict_noise(x_t, t, states) for states in (uncond, cond))
                x_t = ddim_step(x_t, combine(u, c), alphas_cumprod[t], alphas_cumprod[t_prev])
            return x_t

        yield walk(lambda u, c: c)
        yield "that is the loop without guidance, as at scale 1: guidance_scale must play a part"
        yield walk(lambda u, c: u)
        yield "the words have no say in yours: eps is eps_uncond"
        yield walk(lambda u, c: c + guidance_scale * (u - c))
        yield (
            "the two predictions are swapped: start from the one without words, and with one batch "
            "for both keep texts and answers in the same order"
        )
        yield walk(lambda u, c: u + guidance_scale * c)
        yield "you add all of eps_cond: only its difference from eps_uncond is multiplied"
        yield walk(lambda u, c: c + guidance_scale * (c - u))
        yield "you start at eps_cond, which is one too many: start at eps_uncond"
        yield walk(lambda u, c: guidance_scale * (c - u))
        yield "the difference alone is not the noise: add it to eps_uncond"
        yield walk(lambda u, c: guidance_scale * c)
        yield "guidance does not multiply the whole prediction, only what the words change in it"


class Noise(Exercise, name="pipeline.noise"):
    """Each seed has a generator of its own, so the noise of a seed does not depend on which others
    are drawn with it, or on their order.
    """

    hints = (
        "Draw the noise of one seed as in section 2, for each of the seeds, then stack them.",
        "A new torch.Generator().manual_seed(seed) for each seed; torch.cat at the end.",
        "torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(seed)) for each seed",
    )

    def cases(self) -> Cases:
        return [([7, 3],), ([5],), ([3, 4, 7],)]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"sd.init_latents": StableDiffusion.init_latents, "diffusion.randn": randn}

    def answer(self, seeds: list[int], *, torch: Any) -> Tensor:
        each = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            each.append(torch.randn(1, 4, 16, 16, generator=generator))
        return torch.cat(each)

    def mistakes(self, seeds: list[int]) -> Mistakes:
        def drawn(seed: int) -> Tensor:
            return torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(seed))

        one_by_one = torch.Generator().manual_seed(seeds[0])
        yield torch.cat([torch.randn(1, 4, 16, 16, generator=one_by_one) for _ in seeds])
        yield (
            "one generator goes on from picture to picture, so the second seed has no say: make a "
            "new one for each seed"
        )
        yield drawn(seeds[0]).expand(len(seeds), -1, -1, -1)
        yield "all pictures have the noise of the first seed: use each of the seeds"
        yield drawn(seeds[-1])
        yield "only the last seed is left: keep the noise of each, and torch.cat them"
        yield torch.stack([drawn(seed) for seed in seeds])
        yield "torch.stack adds an axis: torch.cat puts the pictures into the axis that is there"
        uniform = [torch.Generator().manual_seed(seed) for seed in seeds]
        yield torch.cat([torch.rand(1, 4, 16, 16, generator=g) for g in uniform])
        yield "torch.rand draws evenly from 0 to 1: Gaussian noise is torch.randn, with an n"


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


EXERCISES = (Shape(), Grid(), DdimStep(), Loop(), Guided(), Noise(), Decode(), Calls())
