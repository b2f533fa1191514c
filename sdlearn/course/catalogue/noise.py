"""Exercises of lesson 01: noise added to pictures (DDPM, arXiv 2006.11239)."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...diffusion.equations import add_noise, alphas_cumprod, betas, pred_x0
from ...diffusion.seeds import randn
from ...viz import to_tensor
from ...world import Scene, Thing, render
from ..exercises import Cases, Exercise, Mistakes, OpenExercise
from ..given import GIVEN, Given
from ..words import kind, plain

NAMES = {**GIVEN, "alphas_cumprod": Given(lambda: alphas_cumprod(betas()))}


class AddNoise(Exercise, name="noise.add_noise"):
    """Variances add up. The picture keeps the share alpha_bar of the variance and the noise has the
    rest, so what each is multiplied with is the root (DDPM eq. 4).
    """

    hints = (
        "It is a sum of two terms: the picture times one number, the noise times another.",
        "At alpha_bar = 1 the picture is left alone, at 0 only the noise is left.",
        "The picture's number is alpha_bar ** 0.5. The squares of the two numbers add up to 1.",
    )

    def cases(self) -> Cases:
        """A small case to show; images and shares that no wrong formula gets right by chance."""
        shape, shares = (3, 4, 4), torch.tensor([0.9, 0.2])
        small = (torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.5]), torch.tensor(0.64))
        return [small, *((randn(shape, [i]), randn(shape, [i + 10]), shares[i]) for i in (0, 1))]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"diffusion.add_noise": add_noise}

    def answer(self, x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
        return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise

    def mistakes(self, x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Mistakes:
        yield alpha_bar**0.5 * noise + (1 - alpha_bar) ** 0.5 * x0
        yield "you used sqrt(alpha_bar) on the noise: swap the two"
        yield alpha_bar * x0 + (1 - alpha_bar) * noise
        yield "alpha_bar and 1 - alpha_bar are shares of variance: multiply with their roots"
        yield alpha_bar**0.5 * x0 + (1 - alpha_bar**0.5) * noise
        yield "the noise needs the root of 1 - alpha_bar, not 1 minus the root"
        yield x0 + (1 - alpha_bar) ** 0.5 * noise
        yield "your picture stays at full strength: it fades by sqrt(alpha_bar)"
        yield alpha_bar**0.5 * x0 + noise
        yield "your noise always has full strength: multiply it with sqrt(1 - alpha_bar)"


class AlphaBar(Exercise, name="noise.alpha_bar"):
    """Each step leaves 1 - beta of the variance that the last step left, so the shares of all steps
    up to t are multiplied (DDPM, below eq. 4). cumprod gives that for every t at once.
    """

    hints = (
        "A step with beta = 0.1 leaves 0.9 of the variance. What do two such steps leave?",
        "0.9 * 0.9. For every t, multiply the 1 - beta of all steps from the first to t.",
        "Tensors have a method for running products: values.cumprod(dim=0).",
    )

    def cases(self) -> Cases:
        small = torch.tensor([0.1, 0.2, 0.5])
        return [(small,), (betas("linear", 20, beta_range=(0.05, 0.2)),), (betas("cosine", 10),)]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"diffusion.alphas_cumprod": alphas_cumprod}

    def answer(self, betas: Tensor) -> Tensor:
        return (1 - betas).cumprod(dim=0)

    def mistakes(self, betas: Tensor) -> Mistakes:
        yield (1 - betas).sqrt().cumprod(dim=0)
        yield "that is the product of the roots, sqrt(alpha_bar): leave the roots out"
        yield 1 - betas
        yield "that is what one step alone leaves: multiply those of all steps up to t"
        yield betas.cumprod(dim=0)
        yield "you multiplied what each step adds: multiply what it leaves, 1 - beta"
        yield 1 - betas.cumsum(dim=0)
        yield "you took the betas away one after the other: each takes its share of what is left"
        yield 1 - betas.cumprod(dim=0)
        yield "first 1 - beta, then the product: you did it the other way round"
        yield (1 - betas).prod()
        yield "that is the last one only: there is an alpha_bar for every t"
        yield (1 - betas).cumsum(dim=0)
        yield "you added up what the steps leave: multiply it, with cumprod in place of cumsum"


class Even(Exercise, name="noise.even"):
    """The ratio alpha_bar / (1 - alpha_bar) is 1 where alpha_bar is one half. In Stable Diffusion's
    schedule that is a good deal before the middle of the 1000 steps.
    """

    given = NAMES
    hints = (
        "What is alpha_bar when alpha_bar / (1 - alpha_bar) is 1?",
        "It is 0.5. The values fall, so count how many are not below it.",
        "(alphas_cumprod >= 0.5) is a tensor of True and False; .sum() counts the True ones.",
    )

    def answer(self, *, alphas_cumprod: Tensor) -> int:
        return next(t for t, share in enumerate(alphas_cumprod) if share < 0.5)

    def mistakes(self, *, alphas_cumprod: Tensor) -> Mistakes:
        yield 500
        yield "half of the steps is not half of the noise: the steps differ in size"
        yield int((alphas_cumprod >= 0.5).sum()) - 1
        yield "there the picture is still the stronger one, by a little: one step more"
        yield int((alphas_cumprod >= 0.25).sum())
        yield "you compared the root of alpha_bar with one half: compare alpha_bar itself"
        yield 0.5
        yield "that is the alpha_bar at that place: the t that has it is wanted"

    def counterexample(self, answer: Any, *, alphas_cumprod: Tensor) -> str | None:
        if answer != int(answer) or not 0 <= answer < len(alphas_cumprod):
            return f"a t is a whole number from 0 to {len(alphas_cumprod) - 1}"
        share = float(alphas_cumprod[int(answer)])
        side = "above" if share > 0.5 else "below"
        before = "" if share > 0.5 else ", and earlier ones do, too"
        snr = share / (1 - share)
        return f"there alpha_bar is {share:.3f}, which gives an SNR of {snr:.3g}, {side} 1{before}"


class Copies(OpenExercise, name="noise.copies"):
    """The mean of N copies has noise of variance (1 - alpha_bar) / N and a picture of variance
    alpha_bar. They are equal at N = (1 - alpha_bar) / alpha_bar, which is 1 / SNR. (That counts the
    picture's own variance as 1, as the SNR does. For the pixels of the boat it is about 0.25, and
    it takes four times as many copies.)
    """

    given = NAMES
    hints = (
        "Averaging N independent draws divides the variance of the noise by N.",
        "The picture is in every copy, so averaging leaves its variance alpha_bar as it is.",
        "Solve (1 - alpha_bar) / N = alpha_bar for N, with alpha_bar = alphas_cumprod[-1].",
    )

    def answer(self, *, alphas_cumprod: Tensor) -> int:
        left = float(alphas_cumprod[-1])
        return round((1 - left) / left)

    def judge(self, answer: Any, *, alphas_cumprod: Tensor) -> str | None:
        """Right is what follows from the numbers as the lesson prints them.

        It prints alpha_bar as 0.0047 and its root as 0.068, the pixels' variance as 0.25.
        """
        number, left = plain(answer), float(alphas_cumprod[-1])
        if kind(number) != "a number":
            return f"a number is expected, yours is {kind(number)}"
        copies = (1 - left) / left
        least, most = (copies / variance for variance in reversed(_variances_of_the_boat()))
        if _near(number, copies, copies) or _near(number, least, most):
            if number == round(number):
                return None
            return "that is right, but copies come whole: round it"
        if abs(number - copies**0.5) < 0.5:
            return "averaging N copies weakens the noise by the root of N only: square your number"
        rough = round(left, 3)
        if _near(number, (1 - rough) / rough, 1 / rough):
            off = f"{100 * rough / left - 100:.0f} %"
            return f"alpha_bar rounded to {rough} is {off} off: take alphas_cumprod[-1] itself"
        if number < 1:
            return f"{number:.4g} is no number of copies: at least one must be averaged"
        side = "more" if number < copies else "fewer"
        return (
            f"with {number:.4g} copies the noise that is left has the variance "
            f"{(1 - left) / number:.4g} and the picture's part {left:.4g}: take {side}"
        )


def _near(number: float, least: float, most: float) -> bool:
    """Whether a number lies in a range, give or take the digits that the lesson prints."""
    return 0.985 * least <= number <= 1.015 * most


def _variances_of_the_boat() -> tuple[float, float]:
    """The least and the largest variance of its pixels from -1 to 1.

    The lesson has the boat in two sizes, and prints a variance to two digits.
    """
    boat = render(Scene((Thing("boat", "red"),), ground="water", sky="sun"))
    exact = [float((to_tensor(image) * 2 - 1).var()) for image in (boat, boat.resize((64, 64)))]
    printed = [round(variance, 2) for variance in exact]
    return min(exact + printed), max(exact + printed)


class Recover(Exercise, name="noise.recover"):
    """It is the formula of add_noise, solved for x0 (DDIM eq. 9). Subtracting the noise is only
    half of it: the noise must have the strength it has in x_t, and the picture is faded.
    """

    hints = (
        "Write down x_t = sqrt(alpha_bar) * x0 + sqrt(1 - alpha_bar) * noise. x0 is wanted.",
        "Bring the noise to the other side first.",
        "Then divide by what x0 is multiplied with.",
    )

    def cases(self) -> Cases:
        return [(add_noise(x0, noise, ab), noise, ab) for x0, noise, ab in AddNoise().cases()]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"diffusion.pred_x0": pred_x0}

    def answer(self, x_t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
        return (x_t - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5

    def mistakes(self, x_t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Mistakes:
        yield x_t - noise
        yield "in x_t the noise has the strength sqrt(1 - alpha_bar): subtract that much of it"
        yield x_t - (1 - alpha_bar) ** 0.5 * noise
        yield "the noise is gone, but the picture is still faded: divide by sqrt(alpha_bar)"
        yield (x_t - (1 - alpha_bar) ** 0.5 * noise) * alpha_bar**0.5
        yield "the picture was multiplied with sqrt(alpha_bar): divide by it"
        yield (x_t - noise) / alpha_bar**0.5
        yield "the division is right; of the noise, subtract only sqrt(1 - alpha_bar) times as much"
        yield (x_t - alpha_bar**0.5 * noise) / (1 - alpha_bar) ** 0.5
        yield "you swapped the two roots: sqrt(1 - alpha_bar) belongs to the noise"
        yield (x_t - (1 - alpha_bar) * noise) / alpha_bar
        yield "the roots are missing, on the noise and below the line"
        yield (x_t - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar
        yield "nearly: the picture was multiplied with the root of alpha_bar, so divide by the root"


EXERCISES = (AddNoise(), AlphaBar(), Even(), Copies(), Recover())
