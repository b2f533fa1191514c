"""One prompt, drawn with many seeds and read by the judge: what do its words do?

    trial = try_prompt(sd, "a red house", range(12), num_steps=10)
    trial.rate(subject="house", colour="red")    # how many of the images show both
    trial.counts("sky")                          # {"cloud": 7, "none": 5}

`adherence` asks how well many scenes are drawn, each once. Here it is one prompt, and what it
leaves open is of interest as well. All images of a trial have the same words: its rates tell of
other seeds, and not of other prompts. `Gain` compares two of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ..pipeline import StableDiffusion
from ..util.images import to_tensor
from .intervals import Rate
from .judge import ATTRIBUTES, Judge, Reading, load_judge

AT_ONCE = 6  # images; a lesson's kernel has 800 MB in all


@dataclass(frozen=True, eq=False)
class Trial:
    """The images of one prompt, and what the judge sees in each."""

    prompt: str | None
    images: Sequence[Image.Image]
    readings: Sequence[Reading]

    def rate(self, **asked: str) -> Rate:
        """How many images show all that is asked, such as `colour="red"`, in the judge's words.

        Raises `ValueError` for an attribute or a word that the judge does not know.
        """
        for name, word in asked.items():
            if word not in _words_of(name):
                known = ", ".join(_words_of(name))
                raise ValueError(f"{name} must be one of {known}; got {word!r}")
        seen = [reading.words for reading in self.readings]
        right = sum(all(words[name] == word for name, word in asked.items()) for words in seen)
        return Rate(right, len(seen))

    def counts(self, attribute: str) -> Counter[str]:
        """How often the judge sees each word of an attribute such as "sky"; the most often first.

        Raises `ValueError` for an attribute that the judge does not know.
        """
        _words_of(attribute)
        counter = Counter(reading.words[attribute] for reading in self.readings)
        return Counter(dict(counter.most_common()))


def _words_of(attribute: str) -> tuple[str, ...]:
    if attribute not in ATTRIBUTES:
        raise ValueError(f"attribute must be one of {', '.join(ATTRIBUTES)}; got {attribute!r}")
    return ATTRIBUTES[attribute]


def try_prompt(
    sd: StableDiffusion,
    prompt: str | None,
    seeds: Sequence[int],
    *,
    judge: Judge | None = None,
    batch_size: int = AT_ONCE,
    **sampling: Any,
) -> Trial:
    """Generate one image of `prompt` for each seed, and let the judge read them.

    `judge`: the shipped one when left out. `sampling`: arguments of `StableDiffusion.generate`,
    such as `num_steps=10` or `negative_prompt="at night"`; with `prompt_embeds=` the prompt is
    None. Raises what `generate` raises.
    """
    judge = judge or load_judge()
    images: list[Image.Image] = []
    readings: list[Reading] = []
    for start in range(0, max(1, len(seeds)), batch_size):
        few = sd.generate(prompt, seeds=seeds[start : start + batch_size], **sampling)
        readings += judge.read(to_tensor(few))
        images += few
    return Trial(prompt, images, readings)
