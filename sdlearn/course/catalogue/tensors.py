"""Exercises of *Ten minutes on tensors*, which comes before lesson 01."""

from functools import cache

import torch
from torch import Tensor

from ...viz import to_tensor
from ...world import Scene, Thing, render
from ..exercises import Cases, Exercise, Mistakes
from ..given import GIVEN, Given

SCENES = (
    Scene((Thing("boat", "red"),), ground="water", sky="sun"),
    Scene((Thing("house", "yellow"),), ground="snow", time="night", sky="moon"),
    Scene((Thing("castle", "white"),), ground="sand", time="sunset"),
    Scene((Thing("tree", "green"),), time="night"),
)


@cache
def _drawn() -> Tensor:
    """The pictures of the page, (4, 3, 128, 128)."""
    return to_tensor([render(scene) for scene in SCENES])


NAMES = {**GIVEN, "picture": Given(lambda: _drawn()[:1]), "batch": Given(_drawn)}


class Crop(Exercise, name="tensors.crop"):
    """The place in the brackets says which axis is meant, and axis 2 counts the rows from the top.
    A slice without an end goes on to the last row.
    """

    given = NAMES
    hints = (
        "Which axis counts the rows? In front of it, write one colon for every other axis.",
        "The lower half are the rows from 64 on. A slice that ends in a colon goes on to the last.",
        "The upper half is picture[:, :, :64]. On which side of the 64 do the lower rows stand?",
    )

    def answer(self, *, picture: Tensor) -> Tensor:
        return picture[:, :, 64:]

    def mistakes(self, *, picture: Tensor) -> Mistakes:
        yield picture[:, :, :64]
        yield "that is the upper half: rows are counted from the top"
        yield picture[:, :, :, 64:]
        yield "that is the right half: axis 3 counts the columns, and the rows are axis 2"
        yield picture[:, :, 64:, 64:]
        yield "that is a quarter of the picture: all columns are wanted, so take no part of axis 3"
        yield picture[:, :, 64]
        yield "that is row 64 alone: with a colon behind it, 64:, all rows from there on are taken"
        yield picture[:, 64:]
        yield "axis 1 counts the colours, and there are only three: put one more `:,` in front"
        yield picture[64:]
        yield "axis 0 counts the pictures, and there is only one: put `:, :,` in front"
        yield picture[0, :, 64:]
        yield "these are the right rows, but the 0 in front has taken away axis 0: write `:` there"


class Mix(Exercise, name="tensors.mix"):
    """The two amounts, 1 - share and share, add up to 1. So the mixture of two pictures is neither
    lighter than both nor darker than both.
    """

    hints = (
        "It is a sum of two products: an amount times one, and an amount times other.",
        "The amount of other is share. Of one you take what is left, so that both add up to 1.",
        "Bracket the amount of one: (1 - share) * one. Then add share * other.",
    )

    def cases(self) -> Cases:
        """A small case to show; a block of numbers that no wrong formula gets right by chance."""
        block = torch.linspace(0, 1, 12).view(3, 2, 2)
        small = (torch.tensor([0.0, 0.8]), torch.tensor([1.0, 0.4]), 0.25)
        return [small, (block, block.flip(0) ** 2, 0.7)]

    def answer(self, one: Tensor, other: Tensor, share: float) -> Tensor:
        return (1 - share) * one + share * other

    def mistakes(self, one: Tensor, other: Tensor, share: float) -> Mistakes:
        yield share * one + (1 - share) * other
        yield "with a share of 0 that gives all of `other`: swap the two amounts"
        yield (one + other) / 2
        yield "that is half of each, whatever `share` is"
        yield one + other
        yield "that is all of both: multiply each of them with its amount first"
        yield one + share * other
        yield "`one` is there in full: multiply it with what is left of it, 1 - share"
        yield (1 - share) * one + other
        yield "`other` is there in full: multiply it with its share"
        yield share * one + share * other
        yield "you take the share of both: of `one`, take what is left, 1 - share"


class Colour(Exercise, name="tensors.colour"):
    """The axes that `dim` names are gone, and the others stay. Axis 1, the colours, is to stay, so
    it is the only one that is not named.
    """

    given = NAMES
    hints = (
        "Which of the four axes is to stay? Name all the others: they are what the mean is over.",
        "The colours are to stay, and they are axis 1.",
        "batch.mean(dim=(0, 2, 3))",
    )

    def answer(self, *, batch: Tensor) -> Tensor:
        return batch.mean(dim=(0, 2, 3))

    def mistakes(self, *, batch: Tensor) -> Mistakes:
        yield batch.mean(dim=(1, 2, 3))
        yield "that is one number for each picture: keep axis 1, the colours, and not axis 0"
        yield batch.mean(dim=1)
        yield "what `dim` names is gone, and here the colours are: name the three other axes"
        yield batch.mean()
        yield "that is one number for everything: say with dim which axes are to go"
        yield batch.mean(dim=0)
        yield "that is the mean picture: its rows and columns, axes 2 and 3, are to go as well"
        yield batch.mean(dim=(2, 3))
        yield "that is a colour for each picture: axis 0 is to go as well"
        yield batch.mean(dim=(0, 2, 3), keepdim=True)
        yield "these are the three numbers, each axis kept with length 1: leave keepdim=True out"
        yield batch.sum(dim=(0, 2, 3))
        yield "these are sums over pictures, rows and columns: take the mean in place of the sum"


EXERCISES = (Crop(), Mix(), Colour())
