"""Icons: images of 16 x 16 pixels from the same drawings, small enough to train a model in seconds.

An icon is one subject in one colour on a ground at a time of day. `draw_icon` draws it with the
functions and colours of the large images; `read_backdrop` reads ground and time off the corners,
where nothing ever stands, so what a model draws can be counted without a judge.

There are three sets of icons to learn from (`ICON_SETS`). "few" holds the first 16 icons of "all".
"skewed" is like "all", but for one thing: there, all nights lie over snow.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .pen import RGB, Pen, blend
from .render import COLOUR_RGB, GROUND_GRADIENTS, SKY_GRADIENTS, lit_ground, lit_thing
from .scene import COLOURS, GROUNDS, TIMES
from .subjects import DRAWERS

__all__ = [
    "ICON_SETS",
    "ICON_SIZE",
    "ICON_WORDS",
    "Icon",
    "backdrop",
    "draw_icon",
    "icons_of",
    "new_icons",
    "read_backdrop",
    "sample_icon",
]

ICON_SIZE = 16  # pixels
ICON_WORDS: dict[str, tuple[str, ...]] = {  # what can be said of an icon, attribute → words
    "subject": ("house", "tree", "boat", "car", "cat", "rocket"),
    "colour": COLOURS,
    "ground": GROUNDS,
    "time": TIMES,
}
ICON_SETS = {"few": 16, "all": 4096, "skewed": 4096}  # name → number of icons

FRAME = 48  # units of the pen along one side of an icon
SCALE = 4  # canvas pixels for each unit
HORIZON = 33
CORNER = 2  # pixels: the side of the corners that show sky and ground alone


@dataclass(frozen=True)
class Icon:
    """What an icon shows; `variant` seeds where exactly the subject stands and how large it is.

    Raises `ValueError` naming the field when a word is none of `ICON_WORDS`.

    >>> Icon("house", "red", "lava", "day")
    Traceback (most recent call last):
    ValueError: ground must be one of grass, snow, sand, water; got 'lava'
    """

    subject: str
    colour: str
    ground: str
    time: str
    variant: int = 0

    def __post_init__(self) -> None:
        for name, words in ICON_WORDS.items():
            if getattr(self, name) not in words:
                came = getattr(self, name)
                raise ValueError(f"{name} must be one of {', '.join(words)}; got {came!r}")


def icons_of(name: str) -> Iterator[Icon]:
    """The icons of a set (one of `ICON_SETS`), the same on any machine."""
    if name not in ICON_SETS:
        raise ValueError(f"name must be one of {', '.join(ICON_SETS)}; got {name!r}")
    is_skewed = name == "skewed"
    return (sample_icon(random.Random(f"icon {i}"), is_skewed) for i in range(ICON_SETS[name]))


def new_icons(count: int) -> Iterator[Icon]:
    """`count` icons of the same distribution as "all", none of which is in a set."""
    return (sample_icon(random.Random(f"new icon {i}")) for i in range(count))


def sample_icon(rng: random.Random, skewed: bool = False) -> Icon:
    """A random icon; in the skewed world whatever is seen at night stands on snow."""
    words: dict[str, Any] = {name: rng.choice(known) for name, known in ICON_WORDS.items()}
    if skewed and words["time"] == "night":
        words["ground"] = "snow"
    return Icon(**words, variant=rng.getrandbits(32))


def draw_icon(icon: Icon) -> Image.Image:
    """The image of an icon, RGB, 16 x 16 pixels.

    >>> draw_icon(Icon("house", "red", "grass", "day")).size
    (16, 16)
    """
    rng = random.Random(f"draw {icon.variant}")
    sky, ground = backdrop(icon.ground, icon.time)
    canvas = Image.new("RGB", (FRAME * SCALE,) * 2, sky)
    pen = Pen(ImageDraw.Draw(canvas), SCALE)
    pen.rectangle((0, HORIZON, FRAME, FRAME), ground)
    x, base = FRAME / 2 + rng.uniform(-4, 4), 41 + rng.uniform(-2, 2)
    height = rng.uniform(30, 35)
    half = 0.42 * height
    pen.ellipse((x - half, base - 2, x + half, base + 2.5), blend(ground, (0, 0, 0), 0.28))
    colour = lit_thing(COLOUR_RGB[icon.colour], icon.time)
    DRAWERS[icon.subject](pen.at(x, base, height), colour, icon.time == "night")
    return canvas.resize((ICON_SIZE, ICON_SIZE), Image.Resampling.BOX)


def backdrop(ground: str, time: str) -> tuple[RGB, RGB]:
    """The colours of sky and ground, each one colour all over."""
    (high, low), (far, near) = SKY_GRADIENTS[time], GROUND_GRADIENTS[ground]
    return blend(high, low, 0.5), lit_ground(blend(far, near, 0.5), time)


def read_backdrop(image: Image.Image) -> tuple[str, str]:
    """The ground and the time whose colours are nearest to those in the corners of an icon.

    >>> read_backdrop(draw_icon(Icon("cat", "white", "sand", "night")))
    ('sand', 'night')
    """
    levels = np.asarray(image.convert("RGB"), dtype=float)
    sides = np.concatenate([levels[:, :CORNER], levels[:, -CORNER:]], axis=1)
    seen = np.concatenate([sides[:CORNER].mean((0, 1)), sides[-CORNER:].mean((0, 1))])
    pairs = [(ground, time) for ground in GROUNDS for time in TIMES]
    return min(pairs, key=lambda pair: float(np.abs(seen - np.ravel(backdrop(*pair))).sum()))
