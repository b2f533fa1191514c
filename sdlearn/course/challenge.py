"""A hidden scene to be matched by a prompt: what each attempt scores, and the best one kept.

    challenge = course.challenge(1)
    challenge.show()                      # an image of the hidden scene
    challenge.attempt(sd, "a red house")  # draws, says what was right, keeps the best attempt

The scene is drawn from the world by chance, and it is the same everywhere, so that a class can
compare what it has reached. An attempt is drawn with several seeds, and the judge counts the images
that show all of the scene. What is wrong is told by attribute, and not what would be right: that is
how those who cannot see the image can take part as well.
"""

from __future__ import annotations

import random
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..util.checks import check_whole
from .results import RESULTS, read_results, write_result
from .typed import is_untouched

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..evaluation import Rate
    from ..pipeline import StableDiffusion
    from ..world import Scene

__all__ = ["Challenge", "challenge"]

# What `sample_scene` is asked for, from the first level up.
LEVELS: tuple[Mapping[str, bool], ...] = (
    {"pair": False},
    {"pair": False, "styled": True},
    {"pair": False, "held_out": True},  # a combination that training never showed
    {"pair": True},
)
SEEDS = range(8)
NUM_STEPS = 10
SECTION = "challenges"
WIDTH = 88


def challenge(level: int = 1, number: int = 0) -> Challenge:
    """The challenge of a level, 1..4; each `number` from 0 up hides another scene.

    Raises `TypeError` or `ValueError` for anything else.
    """
    level = check_whole("level must be a whole number", level)
    number = check_whole("number must be a whole number", number)
    if not 1 <= level <= len(LEVELS):
        raise ValueError(f"level must lie in 1..{len(LEVELS)}; got {level}")
    if number < 0:
        raise ValueError(f"number must be 0 or more; got {number}")
    return Challenge(level, number)


class Challenge:
    """One hidden scene. It says nothing of the scene but by its image and its counts."""

    def __init__(self, level: int, number: int) -> None:
        self.level, self.number = level, number
        self.name = f"prompts {level}" if number == 0 else f"prompts {level}.{number}"

    def __repr__(self) -> str:
        return f"<challenge {self.name}>"

    def _scene(self) -> Scene:
        from ..world import sample_scene

        rng = random.Random(f"challenge {self.level} {self.number}")
        return sample_scene(rng, **LEVELS[self.level - 1])

    def show(self, size: int = 128) -> Figure:
        """The image of the hidden scene as the world draws it, `size` pixels wide."""
        from .. import viz
        from ..world import render

        alt = f"the hidden scene of the challenge {self.name}, to be described in a prompt"
        return viz.show([render(self._scene())], size=size, alt=alt)

    def attempt(self, sd: StableDiffusion, prompt: Any, **sampling: Any) -> None:
        """Draw a prompt with eight seeds, and print what the judge finds right.

        The best attempt is kept in `sdlearn-results.json`, in the folder that the notebook runs in.
        `sampling`: arguments of `StableDiffusion.generate`, such as `guidance_scale=2`. What is no
        prompt is told and not counted.
        """
        from .words import kind  # loads numpy

        if is_untouched(prompt):
            _tell("Not yet tried.")
        elif not isinstance(prompt, str) or not prompt.strip():
            _tell(f"A prompt is expected, words in quotes; yours is {kind(prompt)}.")
        else:
            rates = self._counted(sd, prompt, **{"num_steps": NUM_STEPS, **sampling})
            _tell(_told(rates))
            _tell(self._kept(rates["all_right"], prompt, sampling))

    def _counted(self, sd: StableDiffusion, prompt: str, **sampling: Any) -> dict[str, Rate]:
        from ..evaluation.adherence import tally
        from ..evaluation.prompts import asked_of
        from ..evaluation.trials import try_prompt

        readings = try_prompt(sd, prompt, SEEDS, **sampling).readings
        return tally(readings, [asked_of(self._scene())] * len(readings))

    def _kept(self, rate: Rate, prompt: str, sampling: Mapping[str, Any]) -> str:
        """Keep what is better than before, and say what the best attempt is now.

        Of two attempts that are equally often right, the one with fewer words is better.
        """
        entry = {"right": rate.right, "of": rate.total, "prompt": prompt}
        entry |= {name: str(value) for name, value in sampling.items()}
        try:
            best = read_results().get(SECTION, {}).get(self.name)
            if best is None or _rank(entry) > _rank(best):
                write_result(SECTION, self.name, entry)
                return f"That is your best so far, with {_words(prompt)}; {RESULTS} keeps it."
        except (OSError, ValueError) as error:
            return f"It could not be kept: {error}."
        told = f"{best['right']} of {best['of']} with {_words(best['prompt'])}"
        return f'Your best so far is {told}: "{best["prompt"]}".'


def _rank(entry: Mapping[str, Any]) -> tuple[float, int]:
    return entry["right"] / entry["of"], -len(entry["prompt"].split())


def _words(prompt: str) -> str:
    count = len(prompt.split())
    return f"{count} word{'s' if count > 1 else ''}"


def _told(rates: Mapping[str, Rate]) -> str:
    """How many images are right, and by how many each attribute was missed."""
    whole = rates["all_right"]
    sums = ("all_right", "both_subjects_and_colours", "colours_swapped")
    missed = {
        name.replace("_", " "): rate.total - rate.right
        for name, rate in rates.items()
        if name not in sums and rate.right < rate.total
    }
    wrong = ", ".join(f"{name} {count}" for name, count in missed.items())
    told = f"{whole.right} of {whole.total} pictures show all of it."
    if wrong:
        return f"{told} Pictures with a mistake in the {wrong}."
    return told if whole.right == whole.total else f"{told} In the others is a thing too many."


def _tell(sentence: str) -> None:
    print(textwrap.fill(sentence, WIDTH))
