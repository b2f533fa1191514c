"""What the names of a lesson stand for, made anew for the checks.

A learner may give `sd` or `error` another meaning, so what is right is worked out with these. Of
the learner's own names it is only told which of them are no longer what the lesson made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from operator import is_
from types import CodeType
from typing import Any, NamedTuple

import torch

from .. import diffusion, viz
from ..evaluation import load_judge
from ..pipeline import StableDiffusion, load
from .comparing import difference
from .words import kind

__all__ = ["GIVEN", "Given", "changed", "imported", "model", "names_in"]


def _alike(mine: Any, theirs: Any) -> bool:
    """Whether a learner's name has the value that the lesson gave it, as far as can be seen."""
    if isinstance(theirs, StableDiffusion):
        return isinstance(mine, StableDiffusion) and mine.folder == theirs.folder
    try:
        return difference(mine, theirs) is None
    except TypeError:  # an object that cannot be compared, such as the judge
        return type(mine) is type(theirs)


class Given(NamedTuple):
    """A name of the lesson: how its value is made, and whether a learner's is like it."""

    make: Callable[[], Any]
    alike: Callable[[Any, Any], bool] = _alike


def imported(thing: Any) -> Given:
    """A name that the lesson imports, a module or a function."""
    return Given(lambda: thing, is_)


@lru_cache(maxsize=1)
def model() -> StableDiffusion:
    """The model of the lessons; the checks have one of their own, for as long as they work."""
    return load("tiny")


GIVEN: Mapping[str, Given] = {
    "sd": Given(model),
    "judge": Given(lru_cache(maxsize=1)(load_judge)),
    "torch": imported(torch),
    "viz": imported(viz),
    "diffusion": imported(diffusion),
}


def names_in(code: CodeType) -> Iterator[str]:
    """The names that code looks up outside of itself, with those of the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def changed(
    given: Mapping[str, Given], used: Iterable[str], namespace: Mapping[str, Any]
) -> str | None:
    """What to say when a name of the lesson that is `used` has got another meaning."""
    for name in used:
        if name not in given or name not in namespace:
            continue
        mine, theirs = namespace[name], given[name].make()
        try:
            same = given[name].alike(mine, theirs)
        except Exception:  # a function of the lesson that was replaced by anything
            same = False
        if not same:
            now = f" (now it is {kind(mine)})" if kind(mine) != kind(theirs) else ""
            return (
                f"`{name}` is no longer what the lesson made it{now}: run the cell above that "
                "makes it, then this one"
            )
    return None
