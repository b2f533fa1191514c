"""Exercises of lesson 08: the loop begun elsewhere, and pushed aside (SDEdit, arXiv 2108.01073)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...diffusion.equations import add_noise, ddim_step
from ...diffusion.guidance import apply_guidance
from ...diffusion.seeds import randn
from ...util.images import turn
from ..exercises import Cases, Exercise, Mistakes
from ..given import GIVEN, Given, imported, model

GRID = range(999, 0, -50)  # trailing, 20 steps
PROMPT = "a large red house on the left, on green grass, by day"  # of the lesson's first section


@torch.no_grad()
def _denoise(x_t: Tensor, timesteps: list[int]) -> Tensor:
    """The lesson's loop from these timesteps on, at guidance 3."""
    sd = model()
    cond, uncond, bars = sd.encode_text(PROMPT), sd.encode_text(""), sd.scheduler.alphas_cumprod
    for t, t_prev in zip(timesteps, [*timesteps[1:], 0], strict=True):
        eps_uncond, eps_cond = (sd.predict_noise(x_t, t, text) for text in (uncond, cond))
        eps = apply_guidance(eps_uncond, eps_cond, 3)
        x_t = ddim_step(x_t, eps, bars[t], bars[t_prev])
    return x_t


def _same_loop(mine: Any, theirs: Any) -> bool:
    """Whether two loops lead to one place; a learner may have changed the words, or the loop."""
    x_t = randn((4, 8, 8), [3])
    try:
        return torch.allclose(mine(x_t, [499, 249]), theirs(x_t, [499, 249]), atol=1e-3)
    except Exception:  # whatever a learner's own function may raise
        return False


class Begin(Exercise, name="editing.begin"):
    """Strength is the share of the steps that is run: 12 of 20. The first 8 are left out, so the
    loop begins at 999 - 8 * 50.
    """

    hints = (
        "How many of the 20 steps are run, and how many are left out?",
        "0.6 * 20 = 12 are run, the last ones. So the first 8 are left out.",
        "The grid is 999, 949, 899 and so on. Which one comes after the first 8?",
    )

    def answer(self) -> int:
        return 999 - 50 * (20 - 12)

    def mistakes(self) -> Mistakes:
        yield 600
        yield "0.6 of 1000 is near, but the grid has 999, 949 and so on: 600 is not on it"
        yield 399
        yield "you left out 12 steps: strength is the share that is run, so 8 are left out"
        yield 400
        yield "strength is the share that is run, not the one that is left out; and 400 is no step"
        yield 999
        yield "that is where strength 1 begins: with 0.6 the first 8 steps are left out"
        yield 649
        yield "that is the last step that is left out: one further"
        yield 549
        yield "that is the second step that is run: one back"
        yield 12
        yield "so many steps are run: at which timestep does the first of them begin?"
        yield 8
        yield "so many steps are left out: at which timestep does the next one begin?"

    def counterexample(self, answer: Any) -> str | None:
        return f"from there {sum(t <= answer for t in GRID)} of the 20 steps would be run"


class ImageToImage(Exercise, name="editing.image_to_image"):
    """The loop cannot tell latents with noise on the way from latents that were given noise by us,
    as long as it is as much as belongs to the timestep. So noise the picture for the first of the
    steps that are run, and let the loop go on from there (SDEdit, Meng et al. 2021).
    """

    tolerance = 1e-3
    given = {
        **GIVEN,
        "denoise": Given(lambda: _denoise, _same_loop),
        "alphas_cumprod": Given(lambda: model().scheduler.alphas_cumprod),
    }
    hints = (
        "Three lines: which timesteps are left, the picture with the noise of the first of them, "
        "and the loop.",
        "int(strength * len(timesteps)) steps are run. They are the last ones of the list.",
        "left = timesteps[-count:], and the alpha_bar for the noise is alphas_cumprod[left[0]].",
    )

    def cases(self) -> Cases:
        """Three of four steps, and one of three, where strength does not come out even."""
        latents, noise = randn((4, 8, 8), [1]), randn((4, 8, 8), [2])
        return [
            (latents, noise, [999, 749, 499, 249], 0.75),
            (latents, noise, [999, 666, 333], 0.5),
        ]

    def answer(
        self,
        latents: Tensor,
        noise: Tensor,
        timesteps: list[int],
        strength: float,
        *,
        denoise: Any,
        alphas_cumprod: Any,
    ) -> Tensor:
        count = int(strength * len(timesteps))
        left = timesteps[-count:]
        alpha_bar = alphas_cumprod[left[0]]
        x_t = alpha_bar**0.5 * latents + (1 - alpha_bar) ** 0.5 * noise
        return denoise(x_t, left)

    def mistakes(
        self,
        latents: Tensor,
        noise: Tensor,
        timesteps: list[int],
        strength: float,
        *,
        denoise: Any,
        alphas_cumprod: Any,
    ) -> Mistakes:
        def begun(left: list[int], t: int) -> Tensor:
            return denoise(add_noise(latents, noise, alphas_cumprod[t]), left)

        count = int(strength * len(timesteps))
        left, alpha_bar = timesteps[-count:], alphas_cumprod[timesteps[-count]]
        yield denoise(latents, left)
        yield "the loop is told that there is noise, and there is none: add that of left[0] first"
        yield begun(left, timesteps[0])
        yield "that is the noise of 999: take that of the first step that is run"
        yield begun(left, left[-1])
        yield "that is the noise of the last step: take that of the first one that is run"
        yield begun(timesteps, timesteps[0])
        yield "so all steps are run: strength says which share of them, and they are the last ones"
        yield begun(timesteps, left[0])
        yield "the noise is right, but the loop runs all steps: begin with the first one that fits"
        yield begun(timesteps[:count], timesteps[0])
        yield "you kept the first steps, the noisy ones: run the last ones, down to the clean end"
        skipped = timesteps[count:]
        yield begun(skipped, skipped[0])
        yield "strength is the share that is run: you left that share out"
        more = timesteps[-round(strength * len(timesteps) + 0.01) :]
        yield begun(more, more[0])
        yield "where the steps do not come out even they are rounded down: int(...)"
        yield denoise(strength * noise + (1 - strength) * latents, left)
        yield "strength is no share of noise: how much noise belongs to left[0] says alphas_cumprod"
        yield denoise(noise, left)
        yield "that is noise alone: nothing of the picture is in it"
        yield denoise((1 - alpha_bar) ** 0.5 * latents + alpha_bar**0.5 * noise, left)
        yield "you swapped the roots: sqrt(alpha_bar) belongs to the picture"
        yield denoise(latents + (1 - alpha_bar) ** 0.5 * noise, left)
        yield "the picture must fade as well: multiply it with sqrt(alpha_bar)"
        yield denoise(latents + noise, left)
        yield "how much of picture and noise there is says alpha_bar: see lesson 01"
        yield add_noise(latents, noise, alpha_bar)
        yield "that is where the loop begins: now run it, denoise(x_t, left)"


class Keep(Exercise, name="editing.keep"):
    """Under the mask the loop goes its own way. Elsewhere the picture is put back, and as the rest
    is noisy still, it is given just as much noise (blended latent diffusion, arXiv 2206.02779).
    """

    hints = (
        "The mask is 1 where the picture is made anew. What stands there, and what elsewhere?",
        "mask * x_t + (1 - mask) * kept. What is kept must be as noisy as x_t.",
        "kept is sqrt(alpha_bar) * latents + sqrt(1 - alpha_bar) * noise.",
    )

    def cases(self) -> Cases:
        small = [torch.tensor(x) for x in ([1.0, 1.0], [2.0, 2.0], [0.5, 0.5], [1.0, 0.0])]
        shape, mask = (1, 4, 3, 3), torch.zeros(1, 1, 3, 3)
        mask[..., 1:, :2] = 1
        large = [randn(shape[1:], [seed]) for seed in range(3)]
        return [(*small, torch.tensor(0.64)), (*large, mask, torch.tensor(0.3))]

    def answer(
        self, x_t: Tensor, latents: Tensor, noise: Tensor, mask: Tensor, alpha_bar: Tensor
    ) -> Tensor:
        kept = alpha_bar**0.5 * latents + (1 - alpha_bar) ** 0.5 * noise
        return mask * x_t + (1 - mask) * kept

    def mistakes(
        self, x_t: Tensor, latents: Tensor, noise: Tensor, mask: Tensor, alpha_bar: Tensor
    ) -> Mistakes:
        kept = add_noise(latents, noise, alpha_bar)
        yield mask * kept + (1 - mask) * x_t
        yield "the mask is the wrong way round: where it is 1 the picture is made anew"
        yield mask * x_t + (1 - mask) * latents
        yield "what you put back is clean, and the loop expects noise everywhere: add it first"
        yield mask * x_t + (1 - mask) * noise
        yield "outside of the mask you keep noise only: the picture belongs there, with its noise"
        yield mask * x_t
        yield "outside of the mask nothing is left: put the picture there, with its noise"
        yield (1 - mask) * kept
        yield "that is the part that is kept: add what is made anew, mask * x_t"
        yield kept
        yield "so everything is the picture: where the mask is 1, x_t belongs"
        yield x_t + (1 - mask) * kept
        yield "you add the picture to what stands there: outside of the mask it takes its place"
        yield add_noise(mask * x_t + (1 - mask) * latents, noise, alpha_bar)
        yield "x_t has its noise already: only the picture needs some"


class Push(Exercise, name="editing.push"):
    """The gradient points to where the loss grows. The loop moves away from eps, so what is added
    to eps is taken off the latents, and the loss falls (Dhariwal and Nichol 2021, arXiv 2105.05233,
    algorithm 2, with the gradient of a log-likelihood, which has the other sign).
    """

    hints = (
        "The loop takes eps away from the latents. So what should eps hold more of?",
        "Of the direction in which the loss grows, and the gradient points there.",
        "eps + scale * sqrt(1 - alpha_bar) * gradient",
    )

    def cases(self) -> Cases:
        small = (torch.tensor([1.0, -1.0]), torch.tensor([0.5, 1.0]), torch.tensor(0.64), 2.0)
        large = (randn((4, 3, 3), [1]), randn((4, 3, 3), [2]), torch.tensor(0.2), 0.5)
        return [small, large]

    def answer(self, eps: Tensor, gradient: Tensor, alpha_bar: Tensor, scale: float) -> Tensor:
        return eps + scale * (1 - alpha_bar) ** 0.5 * gradient

    def mistakes(self, eps: Tensor, gradient: Tensor, alpha_bar: Tensor, scale: float) -> Mistakes:
        push = scale * (1 - alpha_bar) ** 0.5 * gradient
        yield eps - push
        yield (
            "so the loss would grow: the loop takes eps off the latents, so eps must hold more of "
            "the gradient"
        )
        yield push
        yield "that is the push alone: add it to eps"
        yield eps + scale * gradient
        yield "the push must fade with the noise, as eps does: multiply it with sqrt(1 - alpha_bar)"
        yield eps - scale * gradient
        yield "the sign is wrong, and sqrt(1 - alpha_bar) is missing"
        yield eps + scale * alpha_bar**0.5 * gradient
        yield "sqrt(alpha_bar) is the picture's share: the push belongs to the noise's"
        yield eps + (1 - alpha_bar) ** 0.5 * gradient
        yield "your push is the same at every scale: multiply it with scale"
        yield (1 - scale) * eps + push
        yield "eps stays as it is: the push is added to all of it"


def _slope(first: float) -> Callable[[Tensor], Tensor]:
    """A prediction that is another at every place, so that it shows how its input was laid."""

    def predict(x: Tensor) -> Tensor:
        return x * torch.arange(first, first + x[0].numel()).view(x.shape[1:])

    return predict


class Anagram(Exercise, name="editing.anagram"):
    """The second prediction is made for the latents upside down, so it has to be turned back before
    the two can be put together. Their mean points to latents that fit both prompts (Geng, Park and
    Owens 2023, arXiv 2311.17919).
    """

    others = ("(upright(x_t) + upside_down(x_t.flip(-1, -2)).flip(-1, -2)) / 2",)
    given = {**GIVEN, "turn": imported(turn)}
    hints = (
        "What does `upside_down` have to see, and how does its answer lie then?",
        "turn(x_t, 2) is x_t upside down. Half a turn more brings the answer back.",
        "The mean of upright(x_t) and turn(upside_down(turn(x_t, 2)), 2).",
    )

    def cases(self) -> Cases:
        return [(randn((4, 4, 4), [1]), _slope(1.0), _slope(-70.0))]

    def answer(self, x_t: Tensor, upright: Any, upside_down: Any, *, turn: Any) -> Tensor:
        turned = turn(upside_down(turn(x_t, 2)), 2)
        return (upright(x_t) + turned) / 2

    def mistakes(self, x_t: Tensor, upright: Any, upside_down: Any, *, turn: Any) -> Mistakes:
        one, other = upright(x_t), upside_down(turn(x_t, 2))
        yield (one + other) / 2
        yield "the second prediction lies upside down: turn it back before you add it"
        yield (one + upside_down(x_t)) / 2
        yield "both predictions see the picture upright: turn x_t for the second, and back again"
        yield (one + turn(upside_down(x_t), 2)) / 2
        yield "you turned the answer, but not what it was asked about: turn(x_t, 2)"
        yield one + turn(other, 2)
        yield "that is twice as much noise as there is: take the mean, so divide by 2"
        yield one + turn(other, 2) / 2
        yield "brackets are missing: the sum is divided, not the second prediction alone"
        yield turn(other, 2)
        yield "that follows the second prompt alone: take the mean with upright(x_t)"
        yield (one + upside_down(x_t.flip(-2)).flip(-2)) / 2
        yield "you flip the rows only, which is a mirror image: half a turn is turn(x, 2)"
        yield (one + turn(upside_down(turn(x_t, 1)), 1)) / 2
        yield "turn(x, 1) is a quarter turn: upside down is turn(x, 2)"
        yield (one + turn(upside_down(turn(x_t, 1)), 3)) / 2
        yield "there and back is right, but that was a quarter turn: upside down is turn(x, 2)"


EXERCISES = (Begin(), ImageToImage(), Keep(), Push(), Anagram())
