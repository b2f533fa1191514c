"""Exercises of lesson 09: the loss, the best guess, what LoRA adds, copies, and a skewed world."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...diffusion.ideal import ideal_x0
from ...diffusion.seeds import randn
from ..exercises import Cases, Exercise, Mistakes


def _network(x_t: Tensor, t: Tensor) -> Tensor:
    """Stands for a network: its guess depends on both of its inputs."""
    return 0.7 * x_t + t[:, None] / 1000


class Step(Exercise, name="train.step"):
    """The network sees the mixture and the timestep and is compared with the noise that went in.
    Nobody has to label anything: the noise is known because we have drawn it.
    """

    others = (
        "((network(alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise, t) - noise) ** 2).mean()",
    )
    hints = (
        "Three lines: mix points and noise as in lesson 01, let the network guess, compare.",
        "x_t = alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise, and then network(x_t, t).",
        "Return ((network(x_t, t) - noise) ** 2).mean().",
    )

    def cases(self) -> Cases:
        small = (torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 0.5]]))
        large = (randn((2,), range(5)), randn((2,), range(5, 10)))
        bars = torch.tensor([[0.9], [0.5], [0.2], [0.05], [0.7]])
        return [
            (_network, *small, torch.tensor([500]), torch.tensor([[0.64]])),
            (_network, *large, torch.tensor([60, 300, 600, 900, 150]), bars),
        ]

    def answer(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        x0: Tensor,
        noise: Tensor,
        t: Tensor,
        alpha_bar: Tensor,
    ) -> Tensor:
        x_t = alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise
        return ((network(x_t, t) - noise) ** 2).mean()

    def mistakes(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        x0: Tensor,
        noise: Tensor,
        t: Tensor,
        alpha_bar: Tensor,
    ) -> Mistakes:
        x_t = alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise
        guess = network(x_t, t)
        yield ((network(x0, t) - noise) ** 2).mean()
        yield "the network was shown the clean points: it must see the mixture, x_t"
        yield ((network(noise, t) - noise) ** 2).mean()
        yield "the network was shown the noise alone: it must see the mixture, x_t"
        yield ((guess - x0) ** 2).mean()
        yield "you compared the guess with the points: it is a guess of the noise"
        yield ((guess - x_t) ** 2).mean()
        yield "you compared the guess with what went in: it is a guess of the noise"
        yield guess
        yield "that is the guess itself: compare it with the noise, and make one number of it"
        yield ((network(x0 + noise, t) - noise) ** 2).mean()
        yield "the two were added at full strength: x0 fades by sqrt(alpha_bar) as noise comes in"
        swapped = alpha_bar**0.5 * noise + (1 - alpha_bar) ** 0.5 * x0
        yield ((network(swapped, t) - noise) ** 2).mean()
        yield "points and noise are swapped in the mixture: sqrt(alpha_bar) belongs to x0"
        yield (guess - noise).mean()
        yield "differences above and below 0 cancel: square them before you take the mean"
        yield (guess - noise).abs().mean()
        yield "that is the mean of the absolute differences: square them instead"
        yield ((guess - noise) ** 2).sum()
        yield "that is the sum of the squares, which grows with the batch: take the mean"


class BestGuess(Exercise, name="train.best_guess"):
    """The squared error is smallest at the mean of all that is possible, each by its share. Near
    one point the shares of the others vanish; in plain noise all are nearly alike.
    """

    others = (
        "(-((x_t - alpha_bar**0.5 * points) ** 2).sum(1) / (2 * (1 - alpha_bar))).exp() @ points / "
        "(-((x_t - alpha_bar**0.5 * points) ** 2).sum(1) / (2 * (1 - alpha_bar))).exp().sum()",
    )
    hints = (
        "How far is x_t from where each point went without noise, sqrt(alpha_bar) * point? Near "
        "ones are the likely ones.",
        "The bell curve: a point's share grows with exp(-distance² / (2 * (1 - alpha_bar))). "
        "softmax(dim=0) takes that exp and makes the shares add up to 1.",
        "far = ((x_t - alpha_bar**0.5 * points) ** 2).sum(dim=1), then "
        "share = (-far / (2 * (1 - alpha_bar))).softmax(dim=0), and the mean is share @ points.",
    )

    def cases(self) -> Cases:
        two = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
        many = randn((2,), range(9))
        return [
            (torch.tensor([0.4, 0.3]), two, 0.64),
            (torch.tensor([0.5, -1.0]), many, 0.2),
            (torch.tensor([-0.2, 0.7]), many, 0.8),
        ]

    def taught(self) -> Mapping[str, Callable[..., Any]]:
        return {"diffusion.ideal_x0": ideal_x0}

    def answer(self, x_t: Tensor, points: Tensor, alpha_bar: float) -> Tensor:
        far = ((x_t - alpha_bar**0.5 * points) ** 2).sum(dim=1)
        share = (-far / (2 * (1 - alpha_bar))).softmax(dim=0)
        return share @ points

    def mistakes(self, x_t: Tensor, points: Tensor, alpha_bar: float) -> Mistakes:
        far = ((x_t - alpha_bar**0.5 * points) ** 2).sum(dim=1)
        width = 2 * (1 - alpha_bar)
        share = (-far / width).softmax(dim=0)
        yield points.mean(dim=0)
        yield "that is the mean of all points alike: those from which x_t is likely count more"
        yield points[far.argmin()]
        yield "that is the likeliest point: the others are possible as well, each by its share"
        unfaded = ((x_t - points) ** 2).sum(dim=1)
        yield (-unfaded / width).softmax(dim=0) @ points
        yield "x_t lies around sqrt(alpha_bar) times its point, not around the point itself"
        yield (-far / (1 - alpha_bar)).softmax(dim=0) @ points
        yield "in the bell curve the variance, 1 - alpha_bar, is taken twice: it has a 2 below"
        yield (-far).softmax(dim=0) @ points
        yield "how wide the bell curve is has no say yet: divide by 2 * (1 - alpha_bar)"
        yield (far / width).softmax(dim=0) @ points
        yield "far points have the largest shares: the exponent needs a minus"
        yield (-far.sqrt() / width).softmax(dim=0) @ points
        yield "the bell curve falls with the square of the distance: leave the root out"
        yield alpha_bar**0.5 * (share @ points)
        yield "that is the mean of the faded points: the points themselves are asked for"
        yield share
        yield "those are the shares: now take the mean of the points with them, share @ points"
        yield (-far / width).exp() @ points
        yield "the shares must add up to 1: divide by their sum, or use softmax"


class LowRank(Exercise, name="train.low_rank"):
    """Two narrow matrices make one as large as the weight, and it is added. At scale 0 the layer is
    the old one, exactly.
    """

    others = ("weight + up @ down * scale", "weight + (scale * up) @ down")
    hints = (
        "What has the shape of weight, (out, in), made of (out, 4) and (4, in)?",
        "up @ down has it. It is added to the weight, and scale says how much of it.",
        "weight + scale * (up @ down)",
    )

    def cases(self) -> Cases:
        small = (torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, -1.0]]), torch.tensor([[2.0]]))
        wide = (randn((6,), range(5)), randn((6,), range(5, 9)), randn((4,), range(9, 14)))
        return [(*small, 0.5), (*wide, 0.7), (*wide, 0.0)]

    def answer(self, weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
        return weight + scale * (up @ down)

    def mistakes(self, weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Mistakes:
        yield weight + up @ down
        yield "scale has no say yet: at 0 the old weight must be left"
        yield scale * (up @ down)
        yield "that is what is added: the old weight stays, so add it to that"
        yield scale * (weight + up @ down)
        yield "scale multiplies the old weight as well: at 0 nothing would be left of the layer"
        yield (1 - scale) * weight + scale * (up @ down)
        yield "that fades the old weight out: LoRA adds and takes nothing away"
        yield weight * (scale * (up @ down))
        yield "you multiplied the two: they are added"


class Nearest(Exercise, name="train.nearest"):
    """Every drawn image is compared with every known one, and only the nearest counts. Distances in
    pixels say whether something was copied as it is; they do not see what was shifted or mirrored.
    """

    others = ("((drawn[:, None] - known) ** 2).flatten(2).mean(dim=2).min(dim=1).values.sqrt()",)
    hints = (
        "drawn[:, None] - known has a row for each drawn image and a column for each known one: "
        "its shape is (B, N, 3, h, w).",
        "Square it, take the mean over the last three axes, (2, 3, 4), and then the root: (B, N).",
        "The smallest in each row is .min(dim=1).values.",
    )

    def cases(self) -> Cases:
        first = torch.tensor([0.0, 0.2]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
        second = torch.tensor([0.1, 0.5, 1.0]).view(3, 1, 1, 1).expand(3, 3, 1, 1)
        images = [randn((3, 4, 4), seeds) for seeds in (range(3), range(3, 8))]
        return [(first.clone(), second.clone()), (images[0], images[1])]

    def answer(self, drawn: Tensor, known: Tensor) -> Tensor:
        squares = ((drawn[:, None] - known) ** 2).mean(dim=(2, 3, 4))
        return (squares**0.5).min(dim=1).values

    def mistakes(self, drawn: Tensor, known: Tensor) -> Mistakes:
        differences = drawn[:, None] - known
        apart = (differences**2).mean(dim=(2, 3, 4)) ** 0.5
        yield apart
        yield "those are all distances: for each drawn image the smallest is asked for"
        yield apart.mean(dim=1)
        yield "that is the mean distance: the nearest one is asked for, so take the smallest"
        yield apart.max(dim=1).values
        yield "that is the farthest one: take the smallest"
        yield apart.min(dim=0).values
        yield "that is one for each known image: take the smallest along the other axis, dim=1"
        yield apart.argmin(dim=1)
        yield "those are the places of the nearest ones: their distances are asked for"
        yield apart.min()
        yield "that is one number for all: give one for each drawn image, min(dim=1)"
        yield differences.abs().mean(dim=(2, 3, 4)).min(dim=1).values
        yield "that is a mean of absolute differences: square, take the mean, then the root"
        yield (differences**2).sum(dim=(2, 3, 4)).sqrt().min(dim=1).values
        yield "you took the sum of the squares: the mean does not grow with the image's size"


class Skewed(Exercise, name="train.skewed"):
    """Of three icons one is a night, and that lies on snow; of the other two a quarter do. So of
    all snow two thirds are night: what one word brings along, the other brings along, too.
    """

    decimals = 2
    hints = (
        "Imagine twelve icons: four of each time of day. How many of them are on snow?",
        "All four nights, and of the eight others a quarter. How many of these snows are nights?",
        "4 of 6: (1 / 3) / (1 / 3 + 2 / 3 * 1 / 4).",
    )

    def answer(self) -> float:
        snow_at_night = 1 / 3
        snow_otherwise = 2 / 3 * 1 / 4
        return snow_at_night / (snow_at_night + snow_otherwise)

    def mistakes(self) -> Mistakes:
        yield 1.0
        yield "all nights are snow, but not all snow is night: there is snow by day and at sunset"
        yield 1 / 3
        yield "that is the share of nights among all icons: here only those on snow count"
        yield 1 / 2
        yield "that is the share of snow among all icons: how much of it is night?"
        yield 1 / 4
        yield "that is the share of snow by day: the share of nights in the snow is asked for"
        yield 1 / 12
        yield "that is night and snow together in the fair world: ours is skewed"
        yield 2 / 3 * 1 / 4
        yield "that is the snow that is no night, of all icons"

    def counterexample(self, answer: Any) -> str | None:
        return (
            f"of twelve icons, four of each time of day, six are on snow, and {6 * answer:.3g} of "
            "these would be nights"
        )


EXERCISES = (Step(), BestGuess(), LowRank(), Nearest(), Skewed())
