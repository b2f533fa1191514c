"""What the names of a lesson stand for, made anew for the checks.

A learner may give `sd` or `error` another meaning, so what is right is worked out with these. Of
the learner's own names it is only told which of them are no longer what the lesson made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

import torch
from PIL import Image

from .. import diffusion, viz
from ..evaluation import load_judge
from ..pipeline import StableDiffusion, load
from .comparing import difference
from .words import kind

__all__ = ["GIVEN", "Given", "changed", "model", "names_in"]


def _alike(mine: Any, theirs: Any) -> bool:
    """Whether a learner's name has the value that the lesson gave it, as far as can be seen."""
    if isinstance(theirs, StableDiffusion):
        return isinstance(mine, StableDiffusion) and mine.folder == theirs.folder
    try:
        return difference(mine, theirs) is None
    except TypeError:  # modules, functions, and objects that cannot be compared
        return mine is theirs or type(mine) is type(theirs)


class Given(NamedTuple):
    """A name of the lesson: how its value is made, and whether a learner's is like it."""

    make: Callable[[], Any]
    alike: Callable[[Any, Any], bool] = _alike


@lru_cache(maxsize=1)
def model() -> StableDiffusion:
    """The model of the lessons; the checks have one of their own."""
    return load("tiny")


GIVEN: Mapping[str, Given] = {
    "sd": Given(model),
    "judge": Given(load_judge),
    "torch": Given(lambda: torch, lambda mine, theirs: mine is theirs),
    "viz": Given(lambda: viz, lambda mine, theirs: mine is theirs),
    "diffusion": Given(lambda: diffusion, lambda mine, theirs: mine is theirs),
    "first": Given(lambda: [Image.new("RGB", (128, 128))], lambda mine, theirs: True),
}


def names_in(code: CodeType) -> Iterator[str]:
    """The names that code looks up outside of itself, with those of the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def changed(
    given: Mapping[str, Given], used: Iterator[str] | list[str], namespace: Mapping[str, Any]
) -> str | None:
    """What to say when a name of the lesson that is `used` has got another meaning."""
    for name in used:
        if name not in given or name not in namespace:
            continue
        mine = namespace[name]
        try:
            same = given[name].alike(mine, given[name].make())
        except Exception:  # a function of the lesson that was replaced by anything
            same = False
        if not same:
            now = f" (now it is {kind(mine)})" if kind(mine) != kind(given[name].make()) else ""
            return (
                f"`{name}` is no longer what the lesson made it{now}: run the cell above that "
                "makes it, then this one"
            )
    return None
